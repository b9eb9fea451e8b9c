//! `POST /compare`: one prompt to several models at once, side by side.
//!
//! Each model is asked as `/invoke` asks one that is named, and has its own record; that one fails does not spoil the others.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use shared::catalog::{Kind, Named, Task, Tier, clean};
use shared::cost::{Cost, ServiceTier, Usage, cost};
use shared::error::{Error, cut};
use shared::http::described::{Refusals, Unanswered, Undecided};
use shared::http::{Call, Payload, Problem, json, log, parse, respond};
use shared::routing::{Facts, Wanted, classify, decide};
use shared::telemetry::{self, Record, whole_ms};
use shared::usd::Usd;
use shared::wire::{InferenceConfig, OutputConfig};
use shared::wire::{Json, Message, SystemContentBlock, TextOr, ToolConfig, union};
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::App;
use crate::answer::Answer;
use crate::dialect::ServerSentEvent;
use crate::dialect::native::Native;
use crate::request::{InvokeRequest, Request};
use crate::tell::{self, Sink};

/// Models in one comparison at most.
const MOST_MODELS: usize = 20;
/// Models that are asked at once, if the request is not large.
const AT_ONCE: usize = 8;
/// Bytes of requests that are on their way at once.
const BYTES_AT_ONCE: usize = 32 * 1024 * 1024;
/// Characters of a preview.
const PREVIEW: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CompareRequest {
    /// Models by any of their names, and groups: `tiers` (the first choice of each tier), `cheapest:5` (the five of `routes.json` that are
    /// expected to cost least). The guide's four if absent.
    #[schema(max_items = 20, example = json!(["claude-haiku", "nova-lite", "cheapest:3"]))]
    models: Option<Vec<String>>,
    /// How the answer comes: `json`, `table` or `csv`; the header `Accept: text/plain` or `text/csv` asks for the same.
    format: Option<CompareFormat>,
    /// Answer in server-sent events: a `result` as each model answers, and `done`.
    #[serde(default)]
    stream: bool,
    /// A question, in place of `messages`.
    prompt: Option<String>,
    /// A conversation, the oldest turn first.
    messages: Option<Vec<Message>>,
    /// Instructions.
    #[serde(default, deserialize_with = "union::text_or_list")]
    #[schema(value_type = TextOr<SystemContentBlock>)]
    system: Vec<SystemContentBlock>,
    /// How to answer.
    #[serde(default)]
    #[schema(value_type = InferenceConfig)]
    inference_config: InferenceConfig,
    /// Tools.
    tool_config: Option<ToolConfig>,
    /// JSON by a schema, and how hard to think.
    output_config: Option<OutputConfig>,
    /// The most that each answer may cost, in US dollars.
    #[schema(exclusive_minimum = 0)]
    max_cost_usd: Option<Usd>,
    /// The most time that all may take together, in milliseconds.
    #[schema(minimum = 100, maximum = 86400000)]
    timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CompareFormat {
    Json,
    Table,
    Csv,
}

/// What one model made of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compared {
    /// The model as it was asked for.
    name: String,
    /// The id that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    /// Milliseconds from question to answer.
    latency_ms: u64,
    /// Milliseconds to the first piece of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_token_ms: Option<u64>,
    /// Output tokens a second, from the first piece on.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Exact cost; null where a price is unknown.
    cost: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<String>,
    /// The beginning of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Why there is no answer: a problem as `/invoke` would tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Json>,
}

/// Who was cheapest, who was quickest, and what all came to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Models that answered and have a price, the cheapest first.
    by_cost: Vec<String>,
    /// Models that answered, the quickest first.
    by_latency: Vec<String>,
    totals: Totals,
}

/// What all answers came to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    answered: usize,
    failed: usize,
    input_tokens: u64,
    output_tokens: u64,
    /// What is known of the cost.
    cost_usd: Usd,
    /// Answers whose price is not known.
    unpriced: usize,
    /// Milliseconds that the comparison took.
    latency_ms: u64,
}

/// The comparison.
#[derive(Serialize, ToSchema)]
pub(crate) struct Comparison {
    /// In the order of the request.
    results: Vec<Compared>,
    #[serde(flatten)]
    summary: Summary,
}

/// Asks all models, and answers with what each made of it.
#[utoipa::path(post, path = "/compare", tag = "models", summary = "One prompt to several models, side by side",
    request_body(content = CompareRequest, examples(
        ("usual" = (summary = "The guide's models, or what took their place", value = json!({
            "prompt": "Write a concise explanation of how load balancers distribute traffic across servers.",
            "inferenceConfig": { "maxTokens": 300, "temperature": 0.5 } }))),
        ("groups" = (summary = "The first choices, and the cheapest three", value = json!({
            "prompt": "Why is the sky blue?", "models": ["tiers", "cheapest:3"] }))),
    )),
    responses((status = 200, description = "The answers, in the order of the request", content(
        (Comparison = "application/json"), (String = "text/plain"), (String = "text/csv"), (ServerSentEvent = "text/event-stream"))), Refusals, Undecided, Unanswered))]
pub async fn compare(
    State(app): State<Arc<App>>,
    call: Call,
    headers: HeaderMap,
    body: Payload,
) -> Response {
    let record = call.record("/compare");
    let metrics = app.config.metrics.clone();
    let asked = match body.0.and_then(|body| app.comparison(&call, &body)) {
        Ok(asked) => asked,
        Err(error) => return call.conclude(Err(error), record, metrics.as_deref()),
    };
    if asked.stream || call.takes_events {
        let id = call.request_id.clone();
        let tell = |sink: Sink| async move {
            let results = app.ask_all(&call, asked, &sink).await;
            sink.event("done", &Summary::of(&results, &call)).await;
        };
        return tell::answer(&id, Box::new(Native), tell).await;
    }
    let format = asked.format.unwrap_or_else(|| accepted(&headers));
    let results = app.ask_all(&call, asked, &Sink::default()).await;
    let id = &call.request_id;
    match format {
        CompareFormat::Json => {
            let summary = Summary::of(&results, &call);
            json(StatusCode::OK, &Comparison { results, summary }, id)
        }
        CompareFormat::Table => respond(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            table(&results).into_bytes(),
            id,
        ),
        CompareFormat::Csv => match rows(&results) {
            Ok(rows) => respond(StatusCode::OK, "text/csv; charset=utf-8", rows, id),
            Err(error) => call.conclude(Err(error), record, metrics.as_deref()),
        },
    }
}

fn too_many(models: usize) -> Error {
    let words = format!("{models} models are more than the {MOST_MODELS} of one comparison");
    Error::invalid("models", words)
}

/// What is to be asked, and of whom.
struct Asked {
    request: Request,
    names: Vec<String>,
    format: Option<CompareFormat>,
    stream: bool,
    at_once: usize,
}

impl App {
    fn comparison(&self, call: &Call, body: &[u8]) -> Result<Asked, Error> {
        let length = body.len();
        let body: CompareRequest = parse(body)?;
        let request = Request::of(InvokeRequest {
            prompt: body.prompt,
            messages: body.messages,
            system: body.system,
            inference_config: body.inference_config,
            tool_config: body.tool_config,
            output_config: body.output_config,
            max_cost_usd: body.max_cost_usd,
            timeout_ms: body.timeout_ms,
            ..InvokeRequest::default()
        })?;
        let request = self.admit(self.own(call, request, "/compare")?)?;
        Ok(Asked {
            names: self.contestants(body.models, &request)?,
            request,
            format: body.format,
            stream: body.stream,
            at_once: (BYTES_AT_ONCE / length.max(1)).clamp(1, AT_ONCE),
        })
    }

    /// The models that are meant, each once.
    fn contestants(
        &self,
        named: Option<Vec<String>>,
        request: &Request,
    ) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let Some(named) = named else {
            let usual = self.config.catalog.compare.iter();
            return Ok(usual
                .filter_map(|index| Some(self.config.catalog.model(*index)?.name.to_string()))
                .collect());
        };
        if named.len() > MOST_MODELS {
            return Err(too_many(named.len()));
        }
        let prompt = request.conversation.prompt();
        let facts = request.facts(&prompt, self.config.default_budget);
        for (index, name) in named.iter().enumerate() {
            let field = format!("models[{index}]");
            match clean(name).split_once(':') {
                None if clean(name) == "tiers" => names.extend(self.first_choices(&facts)),
                Some(("cheapest", count)) => {
                    let count = count
                        .parse()
                        .ok()
                        .filter(|count| (1..=MOST_MODELS).contains(count));
                    let count = count.ok_or_else(|| {
                        Error::invalid(
                            &field,
                            format!("after \"cheapest:\" comes a number up to {MOST_MODELS}"),
                        )
                    })?;
                    names.extend(self.cheapest(count, &facts));
                }
                _ => names.push(self.contestant(name, &field)?),
            }
        }
        let mut seen = HashSet::new();
        // Each id is asked once, by whatever names it goes.
        names.retain(|name| {
            let id = self.placed(name, &facts, false);
            seen.insert(id.unwrap_or_else(|| name.clone()))
        });
        match names.len() {
            0 => Err(Error::invalid("models", "there is no model to ask")),
            1..=MOST_MODELS => Ok(names),
            many => Err(too_many(many)),
        }
    }

    /// A name that means a model.
    fn contestant(&self, name: &str, field: &str) -> Result<String, Error> {
        let name = clean(name);
        match self.config.catalog.named(self.config.policy.known_as(name)) {
            Named::Model(_) | Named::Opaque => Ok(name.to_owned()),
            Named::Unknown(nearest) => {
                let detail = Error::unknown_model(name, &nearest).detail();
                Err(Error::invalid(field, detail))
            }
        }
    }

    /// The model that each tier would be given to.
    fn first_choices(&self, facts: &Facts<'_>) -> Vec<String> {
        let catalog = &self.config.catalog;
        let task = facts.task.unwrap_or(Task::General);
        let tiers = [Tier::Simple, Tier::Medium, Tier::Complex].into_iter();
        let firsts = tiers.filter_map(|tier| {
            let candidates = catalog.candidates(task, tier).iter();
            let mut models = candidates.filter_map(|ranked| catalog.model(ranked.model));
            models.find(|model| self.will_do(&model.name, facts))
        });
        firsts.map(|model| model.name.to_string()).collect()
    }

    /// The models that are expected to cost least, of those in `routes.json` that will do.
    fn cheapest(&self, count: usize, facts: &Facts<'_>) -> Vec<String> {
        let (catalog, policy) = (&self.config.catalog, &self.config.policy);
        let expected = catalog.tier_tokens(classify(facts).tier);
        // What the function may invoke, whatever else the catalog knows.
        let routes = catalog.routes.iter();
        let routed: BTreeSet<_> = routes
            .flat_map(|route| route.candidates.iter().map(|ranked| ranked.model))
            .collect();
        let models = routed.into_iter().filter_map(|index| catalog.model(index));
        let mut priced: Vec<_> = models
            .filter(|model| model.kind == Kind::Text)
            .filter_map(|model| {
                let placement = model.placements(&policy.region, policy.residency).next()?;
                let prices = model.prices_in(&placement.scope, &policy.region)?;
                let output = expected?.expected(model.may_think());
                let usage = Usage::of(facts.input_tokens.into(), output.into());
                Some((cost(&usage, prices, ServiceTier::Default)?.total_usd, model))
            })
            .collect();
        priced.sort_by_key(|(cost, _)| *cost);
        let will_do = priced.into_iter().map(|(_, model)| &model.name);
        let will_do = will_do.filter(|name| self.will_do(name, facts));
        will_do.take(count).map(ToString::to_string).collect()
    }

    /// Whether a model can be asked this from here today.
    fn will_do(&self, name: &str, facts: &Facts<'_>) -> bool {
        self.placed(name, facts, true).is_some()
    }

    /// The id that a name would be asked by. What the prompt says does not matter to that, and reading it for every name would take long.
    fn placed(&self, name: &str, facts: &Facts<'_>, strict: bool) -> Option<String> {
        let facts = &Facts {
            prompt: "",
            ..facts.clone()
        };
        let wanted = Wanted::Named { name, strict };
        let (catalog, policy) = (&self.config.catalog, &self.config.policy);
        let decision = decide(catalog, policy, facts, wanted, telemetry::today());
        decision.ok().map(|decision| decision.first.id)
    }

    /// Asks all, so many at once, and tells of each as it answers. The answers stand in the order of the request.
    async fn ask_all(self: &Arc<Self>, call: &Call, asked: Asked, sink: &Sink) -> Vec<Compared> {
        let mut waiting = asked.names.into_iter().enumerate();
        let mut running = JoinSet::new();
        let mut results = Vec::new();
        loop {
            while running.len() < asked.at_once
                && let Some((place, name)) = waiting.next()
            {
                let app = Arc::clone(self);
                let left = call.time_left_within(asked.request.timeout);
                let request = Request {
                    model: Some(name.clone()),
                    timeout: Some(left),
                    ..asked.request.clone()
                };
                let call = call.afresh();
                running.spawn(async move { (place, app.ask_for(name, &call, &request).await) });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((place, result))) => {
                    sink.event("result", &result).await;
                    results.push((place, result));
                }
                // One that panics is lost, and does not take the others with it.
                Some(Err(error)) => log(&Error::Internal(error.to_string()), &call.request_id),
            }
        }
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn ask_for(&self, name: String, call: &Call, request: &Request) -> Compared {
        let mut record: Record = call.record("/compare");
        let own_name = name.clone();
        let answer = self
            .invoke(call, request, &Sink::default(), &mut record, |answer| {
                Compared::answered(own_name, &answer)
            })
            .await;
        let (status, kind) = match &answer {
            Ok(_) => (StatusCode::OK, None),
            Err(error) => (error.status(), Some(error.kind())),
        };
        call.write(&mut record, status, kind, self.config.metrics.as_deref());
        answer.unwrap_or_else(|error| {
            log(&error, &call.request_id);
            Compared::failed(name, &error, call)
        })
    }
}

impl Compared {
    fn answered(name: String, answer: &Answer<'_>) -> Self {
        let done = &answer.done;
        let first = done.time_to_first_token_ms;
        let writing =
            Duration::from_millis(done.latency_ms.saturating_sub(first.unwrap_or_default()));
        Self {
            name,
            model_id: Some(answer.routing.model_id().to_owned()),
            latency_ms: done.latency_ms,
            time_to_first_token_ms: first,
            tokens_per_second: per_second(
                done.usage.output_tokens,
                writing,
                Duration::from_millis(done.latency_ms),
            ),
            usage: Some(done.usage.clone()),
            cost: done.cost,
            stop_reason: Some(done.stop_reason.clone()),
            preview: Some(cut(&answer.text, PREVIEW)),
            text: Some(answer.text.clone()),
            warnings: done.warnings.clone(),
            error: None,
        }
    }

    fn failed(name: String, error: &Error, call: &Call) -> Self {
        Self {
            name,
            model_id: None,
            latency_ms: whole_ms(call.started.elapsed()),
            time_to_first_token_ms: None,
            tokens_per_second: None,
            // What broke off is paid for, too.
            usage: error.cut().map(|cut| cut.usage.clone()),
            cost: error.cut().and_then(|cut| cut.cost),
            stop_reason: None,
            preview: None,
            text: None,
            warnings: Vec::new(),
            error: to_raw_value(&Problem::of(error, &call.request_id)).ok(),
        }
    }

    /// Input, cached or not, and output.
    fn tokens(&self) -> (u64, u64) {
        self.usage.as_ref().map_or((0, 0), |usage| {
            let read = usage.cache_read_input_tokens.unwrap_or_default();
            let written = usage.cache_write_input_tokens.unwrap_or_default();
            (usage.input_tokens + read + written, usage.output_tokens)
        })
    }

    fn why_not(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Told {
            detail: String,
        }
        let told = self.error.as_ref()?;
        serde_json::from_str(told.get())
            .ok()
            .map(|told: Told| told.detail)
    }
}

/// Tokens a second to a tenth; nothing where the answer came in one piece, or nearly so.
fn per_second(tokens: u64, writing: Duration, whole: Duration) -> Option<f64> {
    let tokens = f64::from(u32::try_from(tokens).ok()?);
    let rate = tokens / writing.as_secs_f64();
    (writing * 20 > whole && rate.is_finite()).then_some((rate * 10.0).round() / 10.0)
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

impl Summary {
    fn of(results: &[Compared], call: &Call) -> Self {
        let mut answered: Vec<_> = results
            .iter()
            .filter(|result| result.error.is_none())
            .collect();
        let names =
            |results: &[&Compared]| results.iter().map(|result| result.name.clone()).collect();
        answered.sort_by_key(|result| result.latency_ms);
        let by_latency = names(&answered);
        let mut priced: Vec<_> = answered
            .iter()
            .copied()
            .filter(|result| result.cost.is_some())
            .collect();
        priced.sort_by_key(|result| result.cost.map(|cost| cost.total_usd));
        // What broke off is paid for, too.
        let costs = results.iter().filter_map(|result| result.cost);
        let costs = costs.map(|cost| cost.total_usd);
        let sum = |tokens: fn((u64, u64)) -> u64| {
            results.iter().map(|result| tokens(result.tokens())).sum()
        };
        Self {
            by_cost: names(&priced),
            by_latency,
            totals: Totals {
                answered: answered.len(),
                failed: results.len() - answered.len(),
                input_tokens: sum(|(input, _)| input),
                output_tokens: sum(|(_, output)| output),
                cost_usd: costs.fold(Usd::ZERO, |sum, cost| sum + cost),
                unpriced: answered.len() - priced.len(),
                latency_ms: whole_ms(call.started.elapsed()),
            },
        }
    }
}

/// The form that a client would rather have: the first that it names and that is known.
fn accepted(headers: &HeaderMap) -> CompareFormat {
    let accepts = headers.get_all(ACCEPT).iter();
    let accepts = accepts.filter_map(|value| value.to_str().ok());
    for kind in accepts.flat_map(|value| value.split(',')) {
        let mut parts = kind.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            part.starts_with("q=0") && !part.contains(|c: char| ('1'..='9').contains(&c))
        });
        match name {
            _ if refused => {}
            "text/plain" => return CompareFormat::Table,
            "text/csv" => return CompareFormat::Csv,
            "application/json" | "*/*" => return CompareFormat::Json,
            _ => {}
        }
    }
    CompareFormat::Json
}

/// A table as the guide prints it, with what it left out.
fn table(results: &[Compared]) -> String {
    let width = results
        .iter()
        .map(|result| result.name.chars().count())
        .max()
        .unwrap_or_default()
        .max(20);
    let mut table = format!(
        "{:<width$} {:>9} {:>9} {:>8} {:>10} {:>11} {:>14}\n",
        "Model", "Time", "First", "Tokens/s", "In Tokens", "Out Tokens", "Cost in USD"
    );
    table.push_str(&"-".repeat(table.trim_end().chars().count()));
    table.push('\n');
    for result in results {
        let row = match result.why_not() {
            Some(why) => format!("{:<width$} ERROR: {}", result.name, cut(&why, 80)),
            None => {
                let (input, output) = result.tokens();
                let first = result
                    .time_to_first_token_ms
                    .map_or_else(|| "-".into(), seconds);
                let rate = result
                    .tokens_per_second
                    .map_or_else(|| "-".into(), |rate| format!("{rate:.1}"));
                let cost = result
                    .cost
                    .map_or_else(|| "unknown".into(), |cost| cost.total_usd.to_string());
                let time = seconds(result.latency_ms);
                format!(
                    "{:<width$} {time:>9} {first:>9} {rate:>8} {input:>10} {output:>11} {cost:>14}",
                    result.name
                )
            }
        };
        table.push_str(&row);
        table.push('\n');
    }
    table
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02}s", ms / 1000, ms % 1000 / 10)
}

/// A line for each model.
fn rows(results: &[Compared]) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        name: &'a str,
        model_id: Option<&'a str>,
        latency_ms: u64,
        time_to_first_token_ms: Option<u64>,
        tokens_per_second: Option<f64>,
        input_tokens: u64,
        output_tokens: u64,
        cost_usd: Option<String>,
        stop_reason: Option<&'a str>,
        text: Option<String>,
        error: Option<String>,
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for result in results {
        let (input_tokens, output_tokens) = result.tokens();
        let row = Row {
            name: &result.name,
            model_id: result.model_id.as_deref(),
            latency_ms: result.latency_ms,
            time_to_first_token_ms: result.time_to_first_token_ms,
            tokens_per_second: result.tokens_per_second,
            input_tokens,
            output_tokens,
            cost_usd: result.cost.map(|cost| cost.total_usd.to_string()),
            stop_reason: result.stop_reason.as_deref(),
            text: result.text.clone().map(cell),
            error: result.why_not().map(cell),
        };
        writer
            .serialize(row)
            .map_err(|error| Error::Internal(error.to_string()))?;
    }
    writer
        .into_inner()
        .map_err(|error| Error::Internal(error.to_string()))
}
