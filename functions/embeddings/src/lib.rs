//! The embeddings function: N texts or images in, N vectors out, in order, whatever the provider's own batch rules.
//!
//! [`native`] and [`openai`] are the two dialects that callers speak. Both are read into a [`job::Job`], whose inputs go
//! out in the batches and the [`dialect`] of the model, as many at once as Bedrock bears ([`batch`]), and come back as
//! [`vectors`]. [`answer`] writes them out piece by piece, so that they are held once.

use std::sync::Arc;

use aws_sdk_bedrockruntime::Client;
use axum::Router;
use axum::routing::post;
use shared::config::Config;

pub mod answer;
mod batch;
pub mod dialect;
mod input;
mod job;
pub mod native;
pub mod openai;
pub mod openapi;
mod pace;
pub mod vectors;

/// What every call needs.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The connection to Bedrock.
    pub client: Client,
}

/// Every route of this function.
pub const ROUTES: [&str; 2] = ["POST /embeddings", "POST /v1/embeddings"];

/// The routes, ready to serve.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/embeddings", post(native::embeddings))
        .route("/v1/embeddings", post(openai::embeddings))
        .with_state(Arc::new(app))
}
