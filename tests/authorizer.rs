//! The authorizer: the real bootstrap, and what API Gateway sends it.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

use serde_json::{Value, json};

use crate::lambda::{Lambda, event};

/// Every event that brings a key.
pub(crate) const EVENTS: [&str; 2] = ["authorizer-bearer", "authorizer-key"];
const KEY: &str = "exampleExampleExampleExample00000001";

/// A question with these headers, each of which may be there several times.
fn question(headers: &[(&str, &[&str])]) -> Value {
    let mut question: Value = serde_json::from_str(&event("authorizer-key")).unwrap();
    question["headers"] = json!({});
    question["multiValueHeaders"] = json!({});
    for (name, values) in headers {
        question["headers"][name] = json!(values.last());
        question["multiValueHeaders"][name] = json!(values);
    }
    question
}

#[tokio::test]
async fn a_key_is_handed_on_and_nothing_else() {
    let lambda = Lambda::authorizer().await;
    for name in EVENTS {
        let answer = lambda.invoke(&event(name)).await;
        let statement = json!([{
            "Action": "execute-api:Invoke", "Effect": "Allow",
            "Resource": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/v1/*"
        }]);
        let wanted = json!({
            "principalId": "api-key", "policyDocument": { "Version": "2012-10-17", "Statement": statement },
            "usageIdentifierKey": KEY
        });
        assert_eq!(answer, wanted);
    }
    assert!(!lambda.output().contains(KEY), "a key is a secret");
}

#[tokio::test]
async fn keys_come_in_two_headers_in_any_letter_case() {
    let lambda = Lambda::authorizer().await;
    let bearer = format!("Bearer {KEY}");
    let lower = format!("  bearer  {KEY} ");
    for headers in [
        &[("Authorization", &[bearer.as_str()][..])][..],
        &[("AUTHORIZATION", &[lower.as_str()])],
        &[("X-API-Key", &[KEY])],
        // OpenAI's SDK and a proxy that knows the key, too: the same key is no contradiction.
        &[
            ("authorization", &[bearer.as_str()]),
            ("x-api-key", &[KEY, KEY]),
        ],
    ] {
        let answer = lambda.invoke(&question(headers).to_string()).await;
        assert_eq!(answer["usageIdentifierKey"], KEY, "{headers:?}");
    }
    // API Gateway's test console sends no headers of several values.
    let mut single = question(&[("x-api-key", &[KEY])]);
    single["multiValueHeaders"] = Value::Null;
    assert_eq!(
        lambda.invoke(&single.to_string()).await["usageIdentifierKey"],
        KEY
    );
}

#[tokio::test]
async fn what_is_no_key_is_unauthorized() {
    let lambda = Lambda::authorizer().await;
    let (bearer, long) = (format!("Bearer {KEY}"), "k".repeat(129));
    let (injected, spaced) = (format!("{KEY}\r\nx-admin: 1"), format!("{KEY} {KEY}"));
    let other = "another0another0another0another0";
    let cases: [&[(&str, &[&str])]; 14] = [
        &[],
        &[("x-api-key", &[""])],
        &[("x-api-key", &["short"])],
        &[("x-api-key", &[&long])],
        &[("x-api-key", &[&injected])],
        &[("x-api-key", &[&spaced])],
        &[("x-api-key", &["schl\u{fc}sselschl\u{fc}sselschl\u{fc}ssel"])],
        &[("x-api-key", &[KEY, other])],
        &[("x-api-key", &[KEY]), ("X-Api-Key", &[other])],
        &[("x-api-key", &[other]), ("authorization", &[&bearer])],
        &[("authorization", &[KEY])],
        &[("authorization", &["Bearer"])],
        &[("authorization", &["Basic dXNlcjpwYXNzd29yZHBhc3N3b3Jk"])],
        &[(
            "authorization",
            &[
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/execute-api/aws4_request",
            ],
        )],
    ];
    for headers in cases {
        let error = lambda
            .try_invoke(&question(headers).to_string())
            .await
            .unwrap_err();
        // API Gateway answers 401 to this very word, and 500 to any other.
        assert_eq!(error["errorMessage"], "Unauthorized", "{headers:?}");
    }
}

#[tokio::test]
async fn what_a_caller_writes_into_a_path_gets_into_no_policy() {
    let lambda = Lambda::authorizer().await;
    let mut asked = question(&[("x-api-key", &[KEY])]);
    asked["methodArn"] =
        json!("arn:aws:execute-api:us-east-1:1:api/v1/GET/models/*/${aws:username}/../../x");
    let answer = lambda.invoke(&asked.to_string()).await;
    assert_eq!(
        answer["policyDocument"]["Statement"][0]["Resource"],
        "arn:aws:execute-api:us-east-1:1:api/v1/*"
    );
}
