//! What routes may answer in place of their answer, as the OpenAPI document tells it.

use std::collections::BTreeMap;

use utoipa::openapi::{Content, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::Problem;

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
#[derive(Debug)]
pub struct Refusals;

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
#[derive(Debug)]
pub struct Undecided;

impl IntoResponses for Undecided {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[
            (410, "The model is gone; `successor` takes its place"),
            (422, "No model will do; `candidates` says why"),
        ])
    }
}

/// What a route that calls a model may answer besides.
#[derive(Debug)]
pub struct Unanswered;

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
