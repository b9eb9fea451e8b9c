//! The router: from a prompt to the cheapest model that will do, and back with text, tokens, exact cost and the reason.
//!
//! [`invoke`] routes and asks, [`route`] only routes, [`images`] draws, [`rerank`] orders documents, [`estimate`] prices, [`models`] shows the catalog, [`health`] says that all
//! is well. A request is read in [`request`], the candidates are asked in [`ask`] and heard in [`hear`], JSON by a
//! schema is checked in [`structured`], and [`answer`] is what goes out, in pieces through [`tell`], in the caller's [`dialect`].

use std::sync::Arc;

use aws_sdk_bedrockruntime::Client;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Serialize;
use shared::config::Config;
use shared::fit::Learned;
use shared::http::described::Refusals;
use shared::http::{Call, json};
use utoipa::ToSchema;

use cooldown::Cooldowns;
use dialect::{converse, openai};

pub mod answer;
mod ask;
pub mod compare;
pub mod cooldown;
pub mod dialect;
pub mod estimate;
mod hear;
pub mod images;
pub mod invoke;
pub mod models;
pub mod openapi;
pub mod request;
pub mod rerank;
pub mod route;
mod specialist;
mod structured;
mod tell;

/// What every call needs.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The connection to Bedrock.
    pub client: Client,
    /// What Bedrock's refusals have taught this instance.
    pub learned: Learned,
    /// Ids that are left alone for a while.
    pub cooldowns: Cooldowns,
}

impl App {
    /// An app that has learned nothing yet.
    #[must_use]
    pub fn new(config: Config, client: Client) -> Self {
        Self {
            config,
            client,
            learned: Learned::default(),
            cooldowns: Cooldowns::default(),
        }
    }
}

/// Every route of this function.
pub const ROUTES: [&str; 15] = [
    "POST /invoke",
    "POST /route",
    "POST /compare",
    "POST /v1/chat/completions",
    "GET /v1/models",
    "GET /v1/models/{id}",
    "POST /model/{modelId}/converse",
    "POST /model/{modelId}/converse-stream",
    "POST /estimate",
    "POST /images",
    "POST /rerank",
    "GET /models",
    "GET /models/{id}",
    "GET /health",
    "GET /openapi.json",
];

/// Routes of the same API that another function serves.
const ELSEWHERE: [&str; 2] = ["POST /embeddings", "POST /v1/embeddings"];

/// The routes, ready to serve.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/invoke", post(invoke::invoke))
        .route("/route", post(route::route))
        .route("/compare", post(compare::compare))
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*id}", get(openai::models::one))
        .route("/model/{*rest}", post(converse::converse))
        .route("/estimate", post(estimate::estimate))
        .route("/images", post(images::images))
        .route("/rerank", post(rerank::rerank))
        .route("/models", get(models::list))
        // An ARN holds a slash, and HTTP APIs decode the path: the rest of it, whatever it holds, is the name.
        .route("/models/{*id}", get(models::one))
        .route("/health", get(health))
        .route("/openapi.json", get(openapi::openapi))
        .with_state(Arc::new(app))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health<'a> {
    status: &'static str,
    version: &'static str,
    region: &'a str,
    models: usize,
    routes: Vec<&'static str>,
}

/// `GET /health`: alive, and what it serves. It calls nothing.
#[utoipa::path(get, path = "/health", tag = "operations", summary = "Alive, and what is served",
    responses((status = 200, description = "Alive", body = Health), Refusals))]
pub async fn health(State(app): State<Arc<App>>, call: Call) -> Response {
    let health = Health {
        status: if app.config.paused { "paused" } else { "ok" },
        version: env!("CARGO_PKG_VERSION"),
        region: &app.config.policy.region,
        models: app.config.catalog.models.len(),
        routes: [&ROUTES[..], &ELSEWHERE].concat(),
    };
    json(StatusCode::OK, &health, &call.request_id)
}
