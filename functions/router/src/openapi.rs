//! `GET /openapi.json`: the API in OpenAPI's words, made from the types that are read and written.
//!
//! [`document`] makes it; what is served is the finished text in `openapi.json`, so that it costs a cold start nothing. A test
//! holds the two together, and `make openapi` writes the file anew.

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use shared::http::{Call, Problem, raw_json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response as Described, ResponseBuilder, Schema};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

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

/// The document, made from the types.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn document() -> Result<String, String> {
    let text = Document::openapi()
        .to_pretty_json()
        .map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

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
        crate::estimate::estimate,
        crate::models::list,
        crate::models::one,
        crate::health,
        openapi,
    ),
    components(schemas(Problem)),
    security(("sigv4" = [])),
    modifiers(&Sigv4, &OpenAnswers, &OneKey),
)]
struct Document;

/// Requests are signed with AWS Signature Version 4; the extension is API Gateway's own.
struct Sigv4;

impl Modify for Sigv4 {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let extension = ExtensionsBuilder::new()
            .add("x-amazon-apigateway-authtype", "awsSigv4")
            .build();
        let mut key = ApiKeyValue::with_description(
            "Authorization",
            "AWS Signature Version 4, service execute-api",
        );
        key.extensions = Some(extension);
        if let Some(components) = &mut document.components {
            components.add_security_scheme("sigv4", SecurityScheme::ApiKey(ApiKey::Header(key)));
        }
    }
}

/// The catalog's types are strict when its file is read; in answers, more fields may come, and they stand among others.
struct OpenAnswers;

impl Modify for OpenAnswers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemas = document
            .components
            .iter_mut()
            .flat_map(|components| &mut components.schemas);
        for (name, schema) in schemas {
            let RefOr::T(Schema::Object(object)) = schema else {
                continue;
            };
            let of_the_catalog = [
                "Model",
                "Limits",
                "Capabilities",
                "Prices",
                "TokenPrices",
                "LongContext",
                "Profile",
                "Lifecycle",
                "Embedding",
                "Sources",
            ];
            let is_closed = matches!(
                object.additional_properties.as_deref(),
                Some(AdditionalProperties::FreeForm(false))
            );
            if of_the_catalog.contains(&name.as_str()) && is_closed {
                object.additional_properties = None;
            }
        }
    }
}

/// A union is an object with one key, and no other.
struct OneKey;

impl Modify for OneKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemas = document
            .components
            .iter_mut()
            .flat_map(|components| components.schemas.values_mut());
        schemas.for_each(close_unions);
    }
}

fn close_unions(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::OneOf(union)) => {
            for part in &mut union.items {
                if let RefOr::T(Schema::Object(part)) = part
                    && part.properties.len() == 1
                    && part.required.len() == 1
                {
                    part.additional_properties =
                        Some(Box::new(AdditionalProperties::FreeForm(false)));
                }
                close_unions(part);
            }
        }
        RefOr::T(Schema::Array(list)) => {
            if let ArrayItems::RefOrSchema(items) = &mut list.items {
                close_unions(items);
            }
        }
        RefOr::T(Schema::Object(object)) => object.properties.values_mut().for_each(close_unions),
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

fn problems(problems: &[(u16, &str)]) -> BTreeMap<String, RefOr<Described>> {
    let problem = |(status, what): &(u16, &str)| {
        let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
        let response = ResponseBuilder::new()
            .description(*what)
            .content("application/problem+json", content)
            .build();
        (status.to_string(), RefOr::T(response))
    };
    problems.iter().map(problem).collect()
}

/// What any route may answer in place of its answer.
pub(crate) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[
            (400, "The request is not valid; `field` says where"),
            (
                403,
                "API Gateway refuses the caller, or the account has no access to the model",
            ),
            (404, "There is no such thing"),
            (405, "The route does not take this method"),
            (413, "The body is too large"),
            (
                500,
                "The router failed; the log has the cause under the request id",
            ),
        ])
    }
}

/// What a route that decides may answer besides.
pub(crate) struct Undecided;

impl IntoResponses for Undecided {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[
            (410, "The model is gone; `successor` takes its place"),
            (422, "No model will do; `candidates` says why"),
        ])
    }
}

/// What a route that calls a model may answer besides.
pub(crate) struct Unanswered;

impl IntoResponses for Unanswered {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[
            (
                429,
                "Every candidate is throttled; `retryAfterSeconds` says when to try again",
            ),
            (502, "The model or the connection failed"),
            (
                503,
                "Bedrock lacks capacity, or the operator has paused all calls",
            ),
            (504, "No candidate answered in time"),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_what_the_types_say() {
        assert!(
            document().unwrap() == FINISHED,
            "openapi.json is not what the types say; run `make openapi`"
        );
    }

    #[test]
    fn every_route_is_described() {
        let described: Vec<_> = Document::openapi()
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = [("GET", item.get.is_some()), ("POST", item.post.is_some())];
                methods
                    .into_iter()
                    .filter(|(_, is)| *is)
                    .map(move |(method, _)| format!("{method} {path}"))
            })
            .collect();
        let mut routes = crate::ROUTES.map(str::to_owned).to_vec();
        routes.sort_unstable_by_key(|route| {
            route
                .split_once(' ')
                .map(|(method, path)| (path.to_owned(), method.to_owned()))
        });
        assert_eq!(described, routes);
    }
}
