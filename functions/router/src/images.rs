//! `POST /images`: images from a text. Providers make one a call; several are several calls.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::bedrock::{Fault, Limits, Outcome, in_region, invoke};
use shared::catalog::{Images, Kind};
use shared::cost::{Cost, Usage};
use shared::error::Error;
use shared::http::described::{Refusals, Unanswered, Undecided};
use shared::http::{Call, Failed, Payload, bounds, json, parse, way_out};
use shared::routing::{Specialist, Wanted};
use shared::telemetry::{Record, whole_ms};
use shared::usd::Usd;
use shared::wire::ImageFormat;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::App;
use crate::specialist::able;

/// Images in one request at most.
const MOST: u32 = 10;

/// An image in base64 has about so many bytes: a square million pixels, as PNG and otherwise.
const PNG_BYTES: u64 = 3_300_000;
const OTHER_BYTES: u64 = 1_200_000;

/// The longest that one place may take: an image comes in ten seconds or so.
const LONGEST: Duration = Duration::from_secs(90);

/// What is to be drawn.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagesRequest {
    /// What is to be seen.
    #[schema(min_length = 1, max_length = 10000)]
    prompt: String,
    /// What is not to be seen.
    #[schema(max_length = 10000)]
    negative_prompt: Option<String>,
    /// `auto`, or any name of a model.
    #[schema(example = "sd3-5-large")]
    model: Option<String>,
    /// Refuse a model that is gone, in place of asking its successor.
    #[serde(default)]
    strict_model: bool,
    /// Width to height, such as `16:9`; `1:1` if absent.
    aspect_ratio: Option<String>,
    /// The same seed gives the same image; of several images, each has the next one.
    seed: Option<u64>,
    /// What the bytes are.
    #[serde(default)]
    output_format: OutputFormat,
    /// How many.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 10)]
    count: u32,
    /// The most it may cost, in US dollars.
    #[schema(exclusive_minimum = 0)]
    max_cost_usd: Option<Usd>,
    /// The most time it may take, in milliseconds.
    #[schema(minimum = 100, maximum = 86400000)]
    timeout_ms: Option<u64>,
}

fn one() -> u32 {
    1
}

/// What the bytes of an image are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OutputFormat {
    /// Exact.
    #[default]
    Png,
    /// A third of the size.
    Jpeg,
    /// Smaller still, where the model makes it.
    Webp,
}

impl OutputFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }
}

/// The images, and what they cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drawn<'a> {
    /// The Lambda request id.
    id: &'a str,
    /// Those that were made.
    images: Vec<Image>,
    /// Those that were not, and why.
    errors: Vec<Failed>,
    /// The id that was invoked.
    model_id: &'a str,
    /// The model's short name.
    model: &'a str,
    /// The Region that was called.
    region: &'a str,
    /// Exact cost; null where the price is unknown.
    cost: Option<Cost>,
    /// Milliseconds from request to answer.
    latency_ms: u64,
    /// What the caller should know.
    warnings: Vec<String>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    /// Such as `image/png`.
    media_type: String,
    /// The bytes.
    base64: String,
    /// What it was drawn from.
    seed: Option<u64>,
}

/// Draws.
#[utoipa::path(post, path = "/images", tag = "models", summary = "Images from a text",
    request_body(content = ImagesRequest, examples(
        ("image" = (summary = "An image", value = json!({ "prompt": "A photo of a sunset over the ocean" }))),
        ("wide" = (summary = "A wide one that can be drawn again", value = json!({
            "prompt": "A photo of a sunset over the ocean", "negativePrompt": "people", "model": "sd3-5-large",
            "aspectRatio": "16:9", "seed": 42, "outputFormat": "jpeg" }))),
    )),
    responses((status = 200, description = "The images", body = Drawn), Refusals, Undecided, Unanswered))]
pub async fn images(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = call.record("/images");
    let request = body.0.and_then(|body| parse::<ImagesRequest>(&body));
    let answer = match request {
        Ok(request) => app.images(&call, &request, &mut record).await,
        Err(error) => Err(error),
    };
    call.conclude(answer, record, app.config.metrics.as_deref())
}

/// What one place has drawn.
struct Drawing<'a> {
    place: &'a Specialist<'a>,
    results: Vec<Result<Image, Fault>>,
    /// Of the places before it.
    warnings: Vec<String>,
}

impl Drawing<'_> {
    fn told<'t>(self, call: &'t Call, cost: Option<Cost>, mut warnings: Vec<String>) -> Drawn<'t>
    where
        Self: 't,
    {
        warnings.extend(self.warnings);
        if cost.is_none() {
            warnings.push(format!("the price of {} is not known", self.place.id));
        }
        let (mut images, mut errors) = (Vec::new(), Vec::new());
        for (index, result) in self.results.into_iter().enumerate() {
            match result {
                Ok(image) => images.push(image),
                Err(fault) => errors.push(Failed::of(index, &fault)),
            }
        }
        Drawn {
            id: &call.request_id,
            images,
            errors,
            model_id: &self.place.id,
            model: &self.place.model.name,
            region: &self.place.region,
            cost,
            latency_ms: whole_ms(call.started.elapsed()),
            warnings,
        }
    }
}

impl App {
    async fn images(
        &self,
        call: &Call,
        request: &ImagesRequest,
        record: &mut Record,
    ) -> Result<Response, Error> {
        let timeout = bounds(request.max_cost_usd, request.timeout_ms)?;
        let wanted = Wanted::of(request.model.as_deref(), request.strict_model);
        let found = self.specialists(Kind::Image, wanted)?;
        let price =
            |place: &Specialist<'_>, count: usize| Some(place.prices?.per_image? * count as u64);
        let count = usize::try_from(request.count).unwrap_or(usize::MAX);
        let places = able([found.first].into_iter().chain(found.others), |place| {
            request.check(place)?;
            let price = price(place, count);
            place.afford(price, request.max_cost_usd, &self.config.policy)
        })?;
        let advice = "ask for fewer images, or for jpeg";
        let way_out = way_out(request.bytes(), self.config.streaming, advice)?;
        let time_left = || call.time_to_ask(timeout, way_out);
        let drawn = self.draw(request, &places, time_left, record).await?;
        let made = drawn.results.iter().filter(|result| result.is_ok()).count();
        let cost = price(drawn.place, made).map(|output| Cost::of(Usd::ZERO, output));
        record.spend(&Usage::default(), cost.map(|cost| cost.total_usd));
        let answer = drawn.told(call, cost, found.warnings);
        Ok(json(StatusCode::OK, &answer, &call.request_id))
    }

    /// All images from the first place that makes one at least.
    async fn draw<'a>(
        &self,
        request: &ImagesRequest,
        places: &'a [Specialist<'a>],
        time_left: impl Fn() -> Duration,
        record: &mut Record,
    ) -> Result<Drawing<'a>, Error> {
        let mut warnings = Vec::new();
        let mut last = Fault::new(Outcome::TimedOut, "there was no time left to ask");
        for (number, place) in places.iter().enumerate() {
            let time = time_left().min(LONGEST);
            if time.is_zero() {
                break;
            }
            record.model_id = Some(place.id.clone());
            record.fallbacks = number;
            let is_last = number + 1 == places.len();
            let limits = Limits {
                time,
                // Several at once are throttled more easily, and what one place has drawn another does not complete.
                attempts: if is_last || request.count > 1 { 4 } else { 1 },
            };
            let results = self.all_at_once(request, place, limits).await?;
            if results.iter().any(Result::is_ok) {
                return Ok(Drawing {
                    place,
                    results,
                    warnings,
                });
            }
            if let Some(fault) = results.into_iter().find_map(Result::err) {
                warnings.push(format!(
                    "{} made no image: {}",
                    place.id,
                    fault.outcome.kind()
                ));
                let is_final = !fault.outcome.is_worth_another_model();
                last = fault;
                if is_final {
                    break;
                }
            }
        }
        Err(Error::bedrock(last, Vec::new()))
    }

    async fn all_at_once(
        &self,
        request: &ImagesRequest,
        place: &Specialist<'_>,
        limits: Limits,
    ) -> Result<Vec<Result<Image, Fault>>, Error> {
        let mut running = JoinSet::new();
        let mut results: Vec<Result<Image, Fault>> = Vec::new();
        for number in 0..request.count {
            let body = request
                .body(place, number)
                .map_err(|error| Error::Internal(error.to_string()))?;
            let (client, id) = (in_region(&self.client, &place.region), place.id.clone());
            running.spawn(async move {
                let answer = invoke(&client, &id, body, limits).await;
                (number, answer.and_then(|answer| read(&answer.body)))
            });
            results.push(Err(Fault::new(Outcome::Failed, "the call did not end")));
        }
        while let Some(ended) = running.join_next().await {
            if let Ok((number, result)) = ended
                && let Some(place) = usize::try_from(number)
                    .ok()
                    .and_then(|number| results.get_mut(number))
            {
                *place = result;
            }
        }
        Ok(results)
    }
}

impl ImagesRequest {
    fn check(&self, place: &Specialist<'_>) -> Result<(), Error> {
        let facts = facts(place)?;
        let name = &place.model.name;
        self.check_prompts(name, facts.max_prompt_characters)?;
        if !(1..=MOST).contains(&self.count) {
            return Err(Error::invalid(
                "count",
                format!("count must be from 1 to {MOST}"),
            ));
        }
        if let Some(ratio) = self
            .aspect_ratio
            .as_ref()
            .filter(|ratio| !facts.aspect_ratios.iter().any(|known| known == *ratio))
        {
            let words = format!(
                "{name} draws {}, not {ratio}",
                facts.aspect_ratios.join(", ")
            );
            return Err(Error::invalid("aspectRatio", words));
        }
        let format = self.output_format.as_str();
        if !facts.formats.iter().any(|known| known == format) {
            let words = format!("{name} makes {}, not {format}", facts.formats.join(", "));
            return Err(Error::invalid("outputFormat", words));
        }
        if self
            .seed
            .is_some_and(|seed| seed > u64::from(facts.max_seed))
        {
            return Err(Error::invalid(
                "seed",
                format!("seed must be from 0 to {}", facts.max_seed),
            ));
        }
        Ok(())
    }

    fn check_prompts(&self, name: &str, most: u32) -> Result<(), Error> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let prompts = [
            ("prompt", Some(&self.prompt)),
            ("negativePrompt", self.negative_prompt.as_ref()),
        ];
        for (field, text) in prompts
            .into_iter()
            .filter_map(|(field, text)| Some((field, text?)))
        {
            let length = text.chars().count();
            if length > most {
                return Err(Error::invalid(
                    field,
                    format!("{length} characters are more than the {most} of {name}"),
                ));
            }
        }
        if self.prompt.trim().is_empty() {
            return Err(Error::invalid("prompt", "there is nothing to draw"));
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let each = if self.output_format == OutputFormat::Png {
            PNG_BYTES
        } else {
            OTHER_BYTES
        };
        each * u64::from(self.count)
    }

    fn body(&self, place: &Specialist<'_>, number: u32) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Body<'a> {
            prompt: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            negative_prompt: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            aspect_ratio: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            seed: Option<u64>,
            output_format: &'static str,
        }
        let seeds = place
            .model
            .images
            .as_ref()
            .map_or(1, |facts| u64::from(facts.max_seed) + 1);
        serde_json::to_vec(&Body {
            prompt: &self.prompt,
            negative_prompt: self
                .negative_prompt
                .as_deref()
                .filter(|text| !text.is_empty()),
            aspect_ratio: self.aspect_ratio.as_deref(),
            seed: self.seed.map(|seed| next_seed(seed, number, seeds)),
            output_format: self.output_format.as_str(),
        })
    }
}

/// The seed of an image: each the next one. 0 is left out, where it might stand for any.
fn next_seed(seed: u64, number: u32, seeds: u64) -> u64 {
    let next = seed + u64::from(number);
    if next < seeds { next } else { next - seeds + 1 }
}

fn facts<'a>(place: &Specialist<'a>) -> Result<&'a Images, Error> {
    let name = &place.model.name;
    place
        .model
        .images
        .as_ref()
        .ok_or_else(|| Error::invalid("model", format!("nothing is known of how {name} is asked")))
}

/// Reads Stability's reply. What a filter has stopped comes as if all had gone well, with a reason and often without an image.
fn read(body: &[u8]) -> Result<Image, Fault> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Reply {
        seeds: Vec<Option<u64>>,
        finish_reasons: Vec<Option<String>>,
        images: Vec<String>,
    }
    let reply: Reply = serde_json::from_slice(body).map_err(Fault::unreadable)?;
    match reply.finish_reasons.into_iter().next().flatten() {
        None => {}
        Some(reason) if reason == "Inference error" => {
            return Err(Fault::new(Outcome::ModelError, reason));
        }
        Some(reason) => {
            return Err(Fault::new(
                Outcome::Filtered,
                format!("the provider says: {reason}"),
            ));
        }
    }
    let base64 = reply
        .images
        .into_iter()
        .next()
        .ok_or_else(|| Fault::unreadable("there is no image"))?;
    let bytes = STANDARD.decode(&base64).map_err(Fault::unreadable)?;
    let format =
        ImageFormat::of(&bytes).ok_or_else(|| Fault::unreadable("the bytes are no image"))?;
    Ok(Image {
        media_type: format!("image/{}", format.as_str()),
        base64,
        seed: reply.seeds.into_iter().next().flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_an_error_whatever_the_status() {
        let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
        let good = format!(r#"{{"seeds": [7], "finish_reasons": [null], "images": ["{png}"]}}"#);
        let image = read(good.as_bytes()).unwrap();
        assert_eq!(
            (image.media_type.as_str(), image.seed),
            ("image/png", Some(7))
        );
        let filtered = good.replace("null", "\"Filter reason: output image\"");
        for (body, outcome) in [
            (filtered.as_str(), Outcome::Filtered),
            (
                r#"{"seeds": [7], "finish_reasons": ["Filter reason: prompt"]}"#,
                Outcome::Filtered,
            ),
            (
                r#"{"finish_reasons": ["Inference error"], "images": []}"#,
                Outcome::ModelError,
            ),
            (
                r#"{"finish_reasons": [null], "images": []}"#,
                Outcome::Unreadable,
            ),
            (
                r#"{"finish_reasons": [null], "images": ["!"]}"#,
                Outcome::Unreadable,
            ),
            (
                r#"{"finish_reasons": [null], "images": ["aGVsbG8="]}"#,
                Outcome::Unreadable,
            ),
            ("{}", Outcome::Unreadable),
        ] {
            assert_eq!(
                read(body.as_bytes()).unwrap_err().outcome,
                outcome,
                "{body}"
            );
        }
    }
}
