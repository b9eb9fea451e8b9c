//! A request's body: read whole, and as JSON whose mistakes are explained.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::Error;
use crate::usd::Usd;

/// The largest request body: Lambda takes 6 MB of event, and API Gateway may have put the body into base64.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// A request body, whole, or why it could not be had.
#[derive(Debug)]
pub struct Payload(pub Result<Bytes, Error>);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = Bytes::from_request(request, state).await;
        Ok(Self(body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge { limit: MAX_BODY },
            _ => Error::invalid("body", "the body could not be read to its end"),
        })))
    }
}

/// Reads a JSON body; what is wrong with it is said with the path of the field.
///
/// # Errors
/// [`Error::Invalid`].
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    if body.trim_ascii().is_empty() {
        return Err(Error::invalid(
            "body",
            "the body is empty; send a JSON object",
        ));
    }
    // Without this, serde would read a list as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("body", "the body must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = match path.trim_end_matches(".?") {
            "." | "?" => "body",
            known => known,
        };
        Error::invalid(field, in_json_words(&error.inner().to_string(), body))
    })?;
    deserializer
        .end()
        .map_err(|error| Error::invalid("body", error.to_string()))?;
    Ok(value)
}

/// The least time that a caller may give, in milliseconds.
const LEAST_TIMEOUT_MS: u64 = 100;
/// The most, which is more than any call lasts.
const MOST_TIMEOUT_MS: u64 = 86_400_000;

/// Checks what every request may bound, and returns the time it may take.
///
/// # Errors
/// [`Error::Invalid`].
pub fn bounds(max_cost: Option<Usd>, timeout_ms: Option<u64>) -> Result<Option<Duration>, Error> {
    if max_cost.is_some_and(|limit| limit <= Usd::ZERO) {
        return Err(Error::invalid("maxCostUsd", "maxCostUsd must be above 0"));
    }
    if timeout_ms.is_some_and(|timeout| timeout < LEAST_TIMEOUT_MS) {
        let words =
            format!("timeoutMs must be at least {LEAST_TIMEOUT_MS}; no model answers sooner");
        return Err(Error::invalid("timeoutMs", words));
    }
    if timeout_ms.is_some_and(|timeout| timeout > MOST_TIMEOUT_MS) {
        let words =
            format!("timeoutMs must be at most {MOST_TIMEOUT_MS}, a day; Lambda ends sooner");
        return Err(Error::invalid("timeoutMs", words));
    }
    Ok(timeout_ms.map(Duration::from_millis))
}

/// A message of serde's without the names of our types, and without the claim that legal JSON is none.
fn in_json_words(message: &str, body: &[u8]) -> String {
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if message.starts_with("expected value") && is_json() {
        return "a value of this kind cannot stand here; it is a word out of a list, in quotes"
            .into();
    }
    let mut words: Vec<&str> = message.split(' ').collect();
    for at in 0..words.len() {
        match words.get(at..at + 2) {
            Some(["struct" | "enum", _]) => {
                words.splice(at..at + 2, ["an object"]);
            }
            Some(["expected", "u8" | "u16" | "u32" | "u64" | "usize"]) => {
                words.splice(at..at + 2, ["expected a whole number"]);
            }
            Some(["expected", "f64"]) => {
                words.splice(at..at + 2, ["expected a number"]);
            }
            Some(_) | None => {}
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        _names: Vec<String>,
    }

    #[test]
    fn a_wrong_body_is_explained_with_the_path_of_the_field() {
        for (body, field, detail) in [
            ("", "body", "the body is empty"),
            (" \n", "body", "the body is empty"),
            ("{", "body", "EOF while parsing"),
            ("nonsense", "body", "a JSON object"),
            ("[]", "body", "a JSON object"),
            ("{} {}", "body", "trailing characters"),
            (
                r#"{"_names": [1]}"#,
                "_names[0]",
                "invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"name": 1}"#,
                "name",
                "unknown field `name`, expected `_names`",
            ),
        ] {
            match parse::<Sample>(body.as_bytes()) {
                Err(Error::Invalid {
                    field: f,
                    detail: d,
                }) => {
                    assert_eq!(f, field, "{body}");
                    assert!(d.contains(detail), "{body}: {d}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
