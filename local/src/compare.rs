//! One prompt to several models, side by side, as they answer.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures_core::Stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::usd::Usd;
use tower::ServiceExt;

use crate::client::{problem_of, table};

/// What to ask, and whom.
#[derive(Debug, Default, clap::Args)]
pub struct Contest {
    /// The prompt.
    prompt: String,
    /// Models by any of their names, and the groups tiers and cheapest:N; the guide's four if absent.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// A system prompt.
    #[arg(long)]
    system: Option<String>,
    /// The most tokens of each answer.
    #[arg(long)]
    max_tokens: Option<u32>,
    /// Print each answer whole, below the table.
    #[arg(long)]
    full: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    name: String,
    model_id: Option<String>,
    latency_ms: u64,
    time_to_first_token_ms: Option<u64>,
    tokens_per_second: Option<f64>,
    usage: Option<shared::cost::Usage>,
    cost: Option<Cost>,
    preview: Option<String>,
    text: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    total_usd: Usd,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    by_cost: Vec<String>,
    by_latency: Vec<String>,
    totals: Totals,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    answered: usize,
    failed: usize,
    cost_usd: Usd,
    unpriced: usize,
    latency_ms: u64,
}

impl Contest {
    fn body(&self) -> Value {
        let models = Some(&self.models).filter(|models| !models.is_empty());
        let given = [
            ("prompt", Some(Value::from(self.prompt.clone()))),
            ("stream", Some(true.into())),
            ("models", models.map(|models| json!(models))),
            ("system", self.system.clone().map(Value::from)),
            (
                "inferenceConfig",
                self.max_tokens.map(|most| json!({ "maxTokens": most })),
            ),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

/// Asks, shows a line as each model answers, and returns what to print at the end.
///
/// # Errors
/// The problem's text.
pub async fn compare(router: Router, contest: &Contest) -> Result<String, String> {
    let request = Request::post("/compare")
        .body(Body::from(contest.body().to_string()))
        .map_err(|error| error.to_string())?;
    let response = router
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let status = response.status();
    let mut events = Events::of(response.into_body());
    if status != StatusCode::OK {
        return Err(problem_of(events.rest().await.as_bytes()));
    }
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.set_message("asking");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let mut results = Vec::new();
    let mut summary = None;
    while let Some((name, data)) = events.next().await? {
        let unreadable =
            |error: serde_json::Error| format!("the event {name} cannot be read: {error}");
        match name.as_str() {
            "result" => {
                let result: Compared = serde_json::from_str(&data).map_err(unreadable)?;
                bar.println(line(&result));
                results.push(result);
                bar.set_message(format!("{} answered", results.len()));
            }
            "done" => summary = Some(serde_json::from_str::<Summary>(&data).map_err(unreadable)?),
            _ => return Err(problem_of(data.as_bytes())),
        }
    }
    bar.finish_and_clear();
    let summary = summary.ok_or("the comparison broke off")?;
    Ok(shown(&results, &summary, contest.full))
}

/// A result in a line, while others are still to come.
fn line(result: &Compared) -> String {
    let preview = result.preview.as_deref().unwrap_or_default();
    let what = result.why_not().unwrap_or(preview).replace('\n', " ");
    format!("{:>7} ms  {:<24} {what}", result.latency_ms, result.name)
}

/// The table, the cheapest first, and what is to be said of all.
fn shown(results: &[Compared], summary: &Summary, full: bool) -> String {
    let place = |result: &&Compared| {
        let names = &mut summary.by_cost.iter();
        names
            .position(|name| *name == result.name)
            .unwrap_or(usize::MAX)
    };
    let mut sorted: Vec<_> = results.iter().collect();
    sorted.sort_by_key(place);
    let mut table = table();
    table.set_width(140).set_header([
        "model",
        "answered by",
        "time",
        "first token",
        "tokens/s",
        "tokens in / out",
        "USD",
    ]);
    for result in &sorted {
        table.add_row(result.row());
    }
    let mut said = vec![table.to_string()];
    if let (Some(cheapest), Some(quickest)) = (summary.by_cost.first(), summary.by_latency.first())
    {
        said.push(format!("cheapest {cheapest}, quickest {quickest}"));
    }
    said.push(summary.totals.to_string());
    if full {
        let texts = sorted
            .iter()
            .filter_map(|result| Some(format!("\n== {}\n{}", result.name, result.text.as_ref()?)));
        said.extend(texts);
    }
    said.join("\n")
}

impl Compared {
    /// Why there is no answer.
    fn why_not(&self) -> Option<&str> {
        let detail = self.error.as_ref()?.get("detail");
        Some(detail.and_then(Value::as_str).unwrap_or("failed"))
    }

    fn row(&self) -> Vec<String> {
        if let Some(why) = self.why_not() {
            return vec![self.name.clone(), why.to_owned()];
        }
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let usage = self.usage.clone().unwrap_or_default();
        let cost = self.cost.as_ref().map(|cost| cost.total_usd.to_string());
        vec![
            self.name.clone(),
            or_dash(self.model_id.clone()),
            format!("{} ms", self.latency_ms),
            or_dash(self.time_to_first_token_ms.map(|ms| format!("{ms} ms"))),
            or_dash(self.tokens_per_second.map(|rate| format!("{rate:.1}"))),
            format!("{} / {}", usage.input_tokens, usage.output_tokens),
            cost.unwrap_or_else(|| "unknown".into()),
        ]
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            answered,
            failed,
            cost_usd,
            unpriced,
            latency_ms,
        } = self;
        write!(f, "{answered} answered, {failed} failed, {cost_usd} USD")?;
        if *unpriced > 0 {
            write!(f, ", {unpriced} without a known price")?;
        }
        write!(f, ", {latency_ms} ms")
    }
}

/// The server-sent events of a body.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    fn of(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            text: String::new(),
        }
    }

    /// Name and data of the next event.
    async fn next(&mut self) -> Result<Option<(String, String)>, String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                let found = field("event: ").zip(field("data: "));
                self.text = rest.to_owned();
                match found {
                    Some(found) => return Ok(Some(found)),
                    // A heartbeat.
                    None => continue,
                }
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await {
                None => return Ok(None),
                Some(piece) => {
                    let piece = piece.map_err(|error| error.to_string())?;
                    self.text.push_str(&String::from_utf8_lossy(&piece));
                }
            }
        }
    }

    /// All that is left, which is no stream of events.
    async fn rest(mut self) -> String {
        while let Some(Ok(piece)) =
            poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await
        {
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
        self.text
    }
}
