//! `POST /embeddings`: texts, images, or pairs of both; vectors in the same order.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shared::cost::{Cost, Usage};
use shared::error::Error;
use shared::http::described::{Refusals, Unanswered, Undecided};
use shared::http::{Call, Failed, Payload, bounds, parse};
use shared::telemetry::{Record, whole_ms};
use shared::usd::Usd;
use utoipa::ToSchema;

use crate::App;
use crate::answer::Pieces;
use crate::dialect::{Purpose, Truncate};
use crate::input::Given;
use crate::job::{Embedded, Job};
use crate::vectors::Encoding;

/// What is to be embedded. With texts and images both, the first text and the first image make one vector, and so on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmbeddingsRequest {
    /// Texts.
    #[serde(default)]
    #[schema(max_items = 10000)]
    texts: Vec<String>,
    /// Images in base64, bare or as data URIs.
    #[serde(default)]
    #[schema(max_items = 10000)]
    images: Vec<String>,
    /// `auto`, or any name of a model: alias, id, inference-profile id, ARN.
    #[schema(example = "titan-embed-text-v2")]
    model: Option<String>,
    /// Refuse a model that is gone, in place of asking its successor.
    #[serde(default)]
    strict_model: bool,
    /// What the vectors are for; `document` if absent.
    purpose: Option<Purpose>,
    /// Their length; the model's own if absent.
    dimensions: Option<u32>,
    /// `true`: every vector has the length of 1, whatever the model does; absent: as the model does it.
    normalize: Option<bool>,
    /// Which end of a text may go when it is too long.
    #[serde(default)]
    truncate: Truncate,
    /// How the vectors are written, and of what they are made.
    #[serde(default)]
    encoding: Encoding,
    /// The most it may cost, in US dollars.
    #[schema(exclusive_minimum = 0)]
    max_cost_usd: Option<Usd>,
    /// The most time it may take, in milliseconds.
    #[schema(minimum = 100, maximum = 86400000)]
    timeout_ms: Option<u64>,
}

/// The vectors, and what they cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Embeddings<'a> {
    /// The Lambda request id.
    id: &'a str,
    /// The id that was invoked.
    model_id: &'a str,
    /// The model's short name.
    model: &'a str,
    /// What the id is priced by.
    scope: &'a str,
    /// The Region that was called.
    region: &'a str,
    /// The length of the vectors.
    dimensions: u32,
    /// What they are for.
    purpose: Purpose,
    /// How they are written.
    encoding: Encoding,
    /// Tokens, as Bedrock counted them.
    usage: &'a Usage,
    /// Some of the tokens are our own estimate, because Bedrock told none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    usage_estimated: bool,
    /// Exact cost; null where a price is unknown.
    cost: Option<Cost>,
    /// Calls to Bedrock.
    calls: u32,
    /// Those of them that were throttled, and repeated.
    throttled: u32,
    /// Milliseconds from request to answer.
    latency_ms: u64,
    /// What the caller should know.
    warnings: &'a [String],
    /// Inputs that have no vector, and why.
    errors: Vec<Failed>,
    /// The vectors in the order of the inputs; null where one failed.
    #[serde(skip_serializing)]
    #[schema(value_type = Vec<Option<VectorShown>>)]
    #[allow(
        dead_code,
        reason = "for the document; the vectors are written piece by piece"
    )]
    embeddings: (),
}

/// A vector: numbers, or base64.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the document")]
#[serde(untagged)]
enum VectorShown {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Makes the vectors.
#[utoipa::path(post, path = "/embeddings", tag = "models", summary = "Vectors of texts or images, in order",
    request_body(content = EmbeddingsRequest, examples(
        ("texts" = (summary = "Texts to be found by a search", value = json!({
            "texts": ["How to set up monitoring alerts", "Configure Kubernetes probes", "Best Italian restaurants nearby"],
            "dimensions": 512, "normalize": true }))),
        ("query" = (summary = "A query, by a model that tells queries from documents", value = json!({
            "texts": ["kubernetes health checks"], "model": "cohere-embed-english", "purpose": "query", "truncate": "end" }))),
        ("image" = (summary = "An image and its caption, as one vector", value = json!({
            "texts": ["a white square"], "model": "titan-multimodal",
            "images": ["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="] }))),
    )),
    responses((status = 200, description = "The vectors", body = Embeddings), Refusals, Undecided, Unanswered))]
pub async fn embeddings(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = call.record("/embeddings");
    let answer = match body.0.and_then(|body| read(&body)) {
        Ok(job) => app.native(&call, job, &mut record).await,
        Err(error) => Err(error),
    };
    call.conclude(answer, record, app.config.metrics.as_deref())
}

impl App {
    async fn native(&self, call: &Call, job: Job, record: &mut Record) -> Result<Response, Error> {
        let done = self.embed(call, job, record).await?;
        let told = serde_json::value::to_raw_value(&done.told(call))
            .map_err(|error| Error::Internal(error.to_string()))?;
        let pieces = Pieces::new(&told, "embeddings", done, false)?;
        Ok(pieces.respond(&call.request_id))
    }
}

impl Embedded<'_> {
    fn told<'a>(&'a self, call: &'a Call) -> Embeddings<'a> {
        let failed = self.slots.iter().enumerate();
        let failed = failed
            .filter_map(|(index, slot)| Some(Failed::of(index, self.faults.get(*slot)?.as_ref()?)));
        Embeddings {
            id: &call.request_id,
            model_id: &self.place.id,
            model: &self.place.model.name,
            scope: self.place.scope.as_str(),
            region: &self.place.region,
            dimensions: self.shape.dimensions,
            purpose: self.shape.purpose,
            encoding: self.shape.encoding,
            usage: &self.usage,
            usage_estimated: self.estimated,
            cost: self.cost,
            calls: self.calls,
            throttled: self.throttled,
            latency_ms: whole_ms(call.started.elapsed()),
            warnings: &self.warnings,
            errors: failed.collect(),
            embeddings: (),
        }
    }
}

fn read(body: &[u8]) -> Result<Job, Error> {
    let body: EmbeddingsRequest = parse(body)?;
    Ok(Job {
        timeout: bounds(body.max_cost_usd, body.timeout_ms)?,
        given: Given {
            texts: body.texts,
            images: body.images,
            field: "texts",
        },
        model: body.model,
        strict: body.strict_model,
        purpose: body.purpose,
        dimensions: body.dimensions,
        normalize: body.normalize,
        truncate: body.truncate,
        encoding: body.encoding,
        max_cost: body.max_cost_usd,
    })
}
