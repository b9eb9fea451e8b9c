//! The way in with a key: a Lambda authorizer of a REST API that hands the caller's key to API Gateway.
//!
//! It judges nothing but the form. API Gateway has the keys, in usage plans; it takes `usageIdentifierKey` for the key of the call
//! (`ApiKeySourceType: AUTHORIZER`), refuses one that it does not know, throttles and meters the others. So neither this function nor
//! any store of ours holds a secret, and OpenAI's SDKs, which send `Authorization: Bearer`, work like clients that send `x-api-key`.

use std::collections::{BTreeSet, HashMap};

use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};

/// How long a key of API Gateway is.
const LENGTH: std::ops::RangeInclusive<usize> = 20..=128;

/// What API Gateway asks, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The method that is called: `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH`.
    pub method_arn: String,
    /// Headers; of several with one name only the last.
    headers: Option<HashMap<String, Option<String>>>,
    /// Headers, all of them.
    multi_value_headers: Option<HashMap<String, Option<Vec<String>>>>,
}

/// What it is answered.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Who calls; the key itself must not be in anything that is logged.
    pub principal_id: &'static str,
    /// That the call may go on to where the key is checked.
    pub policy_document: Policy,
    /// The key.
    pub usage_identifier_key: String,
}

/// An IAM policy.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: String,
}

/// There is no key, or none that can be one. API Gateway answers 401 to this very word.
#[derive(Debug, PartialEq)]
pub struct Unauthorized;

impl From<Unauthorized> for Diagnostic {
    fn from(_: Unauthorized) -> Self {
        Self {
            error_type: "Unauthorized".into(),
            error_message: "Unauthorized".into(),
        }
    }
}

/// Hands on the key of a call.
///
/// # Errors
/// Where there is no key, or more than one, or something that cannot be one.
pub fn answer(question: &Question) -> Result<Answer, Unauthorized> {
    let keys: Result<BTreeSet<&str>, Unauthorized> = question.given().collect();
    let keys: Vec<&str> = keys?.into_iter().collect();
    let [key] = keys.as_slice() else {
        return Err(Unauthorized);
    };
    let is_key = LENGTH.contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key {
        return Err(Unauthorized);
    }
    Ok(Answer {
        principal_id: "api-key",
        policy_document: Policy {
            version: "2012-10-17",
            statement: [Statement {
                action: "execute-api:Invoke",
                effect: "Allow",
                resource: stage(&question.method_arn).ok_or(Unauthorized)?,
            }],
        },
        usage_identifier_key: (*key).to_owned(),
    })
}

impl Question {
    /// Every key that was given. An `Authorization` that bears no token is none.
    fn given(&self) -> impl Iterator<Item = Result<&str, Unauthorized>> {
        self.all_headers().filter_map(|(name, value)| {
            if name.eq_ignore_ascii_case("x-api-key") {
                Some(Ok(value.trim()))
            } else if name.eq_ignore_ascii_case("authorization") {
                Some(bearer(value).ok_or(Unauthorized))
            } else {
                None
            }
        })
    }

    fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let many = self.multi_value_headers.iter().flatten();
        let many = many.flat_map(|(name, values)| {
            let values = values.iter().flatten();
            values.map(move |value| (name.as_str(), value.as_str()))
        });
        let single = self.headers.iter().flatten();
        let single = single.filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        many.chain(single)
    }
}

/// The token of `Bearer TOKEN`, in any letter case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Every method of the stage. What the caller wrote into the path must not get into a policy.
fn stage(method_arn: &str) -> Option<String> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next()?, parts.next()?);
    api.starts_with("arn:").then(|| format!("{api}/{stage}/*"))
}
