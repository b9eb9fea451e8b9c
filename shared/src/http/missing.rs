//! What is answered where nothing is served.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{Call, MAX_BODY, problem};
use crate::error::{Error, cut};

/// Routes with an answer for every other path and method, for bodies that are too large, and for browsers on the sites that may ask.
pub fn closed(routes: Router, sites: &[HeaderValue]) -> Router {
    let routes = routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY));
    if sites.is_empty() {
        return routes;
    }
    let origin = match sites {
        [any] if any == "*" => AllowOrigin::any(),
        sites => AllowOrigin::list(sites.iter().cloned()),
    };
    let cors = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([HeaderName::from_static("x-request-id"), RETRY_AFTER])
        .max_age(Duration::from_secs(3600));
    routes.layer(cors)
}

async fn not_found(call: Call, uri: Uri) -> Response {
    let detail = format!(
        "nothing is served at {}; GET /health lists the routes",
        cut(uri.path(), 200)
    );
    problem(&Error::NotFound { detail }, &call.request_id)
}

async fn method_not_allowed(call: Call) -> Response {
    problem(&Error::MethodNotAllowed, &call.request_id)
}
