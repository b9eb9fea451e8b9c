//! What is answered where nothing is served.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use http::Uri;

use super::{Call, MAX_BODY, problem};
use crate::error::{Error, cut};

/// Routes with an answer for every other path and method, and for bodies that are too large.
pub fn closed(routes: Router) -> Router {
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
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
