//! `GET /openapi.json`: the API in OpenAPI's words, made from the types that are read and written.
//!
//! The local stack makes it, of all functions; what is served is the finished text in `openapi.json`, so that it costs a cold start
//! nothing. A test holds the two together, and `make openapi` writes the file anew.

use axum::response::Response;
use http::StatusCode;
use shared::http::described::Refusals;
use shared::http::{Call, Problem, raw_json};
use utoipa::OpenApi;

/// The finished document.
pub const FINISHED: &str = include_str!("../openapi.json");

/// Answers with the document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", summary = "This document",
    responses((status = 200, description = "The document", body = Object), Refusals))]
pub async fn openapi(call: Call) -> Response {
    raw_json(
        StatusCode::OK,
        FINISHED.as_bytes().to_vec(),
        &call.request_id,
    )
}

/// What this function has to tell.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bedrock Model Router",
        description = "Send a prompt; it judges how much model the prompt needs, picks one that will do, asks it over Amazon \
            Bedrock's Converse API, and answers with the text, the tokens, the exact cost and the reason for the choice.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        crate::invoke::invoke,
        crate::route::route,
        crate::compare::compare,
        crate::dialect::openai::chat,
        crate::dialect::openai::models::list,
        crate::dialect::openai::models::one,
        crate::dialect::converse::converse,
        crate::dialect::converse::converse_stream,
        crate::estimate::estimate,
        crate::images::images,
        crate::rerank::rerank,
        crate::models::list,
        crate::models::one,
        crate::health,
        openapi,
    ),
    components(schemas(Problem)),
    security(("sigv4" = [])),
)]
#[derive(Debug)]
pub struct Document;
