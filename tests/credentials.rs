//! Where a function's credentials come from: the environment, or, with SnapStart, an address that the environment names.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;

use crate::lambda::{Lambda, serve};

/// What signs the router's calls with these variables: the key and the token that reach Bedrock.
async fn signed_with(variables: &[(&str, &str)]) -> (String, String) {
    let seen = Arc::<Mutex<Option<(String, String)>>>::default();
    let note = Arc::clone(&seen);
    let bedrock = Router::new().fallback(move |headers: HeaderMap| async move {
        let text = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let authorization = text("authorization");
        let (_, key) = authorization.split_once("Credential=").unwrap();
        let key = key.split('/').next().unwrap().to_owned();
        *note.lock().unwrap() = Some((key, text("x-amz-security-token").to_owned()));
        StatusCode::FORBIDDEN
    });
    let endpoint = format!("http://127.0.0.1:{}", serve(bedrock).await);
    let variables: Vec<_> = [("BEDROCK_ENDPOINT", endpoint.as_str())]
        .iter()
        .chain(variables)
        .copied()
        .collect();
    let lambda = Lambda::router(&variables).await;
    lambda.post("/invoke", r#"{"prompt":"Hello!"}"#).await;
    seen.lock().unwrap().take().expect("Bedrock was asked")
}

#[tokio::test]
async fn the_environment_comes_first() {
    let session = [("AWS_SESSION_TOKEN", "session")];
    let expected = ("AKIDEXAMPLE".to_owned(), "session".to_owned());
    assert_eq!(signed_with(&session).await, expected);
}

#[tokio::test]
async fn snapstart_names_an_address() {
    let credentials = Router::new().route(
        "/credentials",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers["authorization"], "secret of the sandbox");
            r#"{"AccessKeyId":"AKIDCONTAINER","SecretAccessKey":"s","Token":"restored","Expiration":"2099-01-01T00:00:00Z"}"#
        }),
    );
    let address = format!("http://127.0.0.1:{}/credentials", serve(credentials).await);
    let variables = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret of the sandbox"),
    ];
    let expected = ("AKIDCONTAINER".to_owned(), "restored".to_owned());
    assert_eq!(signed_with(&variables).await, expected);
}

#[tokio::test]
async fn without_any_the_answer_says_so() {
    let lambda = Lambda::router(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).await;
    let (status, problem) = lambda.post("/invoke", r#"{"prompt":"Hello!"}"#).await;
    assert_eq!(status, 502, "{problem}");
    assert!(
        lambda.output().contains("credentials"),
        "{}",
        lambda.output()
    );
}
