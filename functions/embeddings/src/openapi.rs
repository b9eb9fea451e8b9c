//! What this function has to tell in the OpenAPI document.

use utoipa::OpenApi;

/// Its routes and their types.
#[derive(Debug, OpenApi)]
#[openapi(paths(crate::native::embeddings, crate::openai::embeddings))]
pub struct Document;
