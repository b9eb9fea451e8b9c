//! The stand-in refuses what Bedrock refuses; the SDK's own client asks it directly.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::ProvideErrorMetadata;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, StopReason, SystemContentBlock,
};
use local::bedrock::Bedrock;
use local::stack::simulate;
use shared::catalog::Catalog;
use tokio::net::TcpListener;

async fn client() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    simulate(
        Arc::new(Bedrock::new(
            "us-east-1",
            Cow::Borrowed(Catalog::built_in()),
        )),
        listener,
    )
    .unwrap()
}

fn user(text: &str) -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(text.into()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_good_request_is_answered_with_usage() {
    let call = client()
        .await
        .converse()
        .model_id("us.anthropic.claude-haiku-5-5")
        .messages(user("hi there"));
    let reply = call.send().await.unwrap();
    assert_eq!(reply.stop_reason(), &StopReason::EndTurn);
    assert!(
        reply.usage().unwrap().output_tokens() > 0 && reply.metrics().unwrap().latency_ms() > 0
    );
}

#[tokio::test]
async fn what_bedrock_refuses_is_refused_in_its_words() {
    let client = client().await;
    let config = |temperature, max_tokens| {
        InferenceConfiguration::builder()
            .set_temperature(temperature)
            .set_max_tokens(max_tokens)
            .build()
    };
    let plain = || client.converse().messages(user("hi"));
    for (call, code, message) in [
        (
            plain().model_id("nobody.nothing"),
            "ValidationException",
            "model identifier is invalid",
        ),
        (
            plain().model_id("anthropic.claude-opus-5-5"),
            "ValidationException",
            "on-demand throughput isn\u{2019}t supported",
        ),
        (
            plain().model_id("eu.anthropic.claude-opus-5-5"),
            "ValidationException",
            "model identifier is invalid",
        ),
        (
            plain().model_id("anthropic.claude-3-haiku-20240307-v1:0"),
            "ResourceNotFoundException",
            "end of its life",
        ),
        (
            plain()
                .model_id("mistral.mistral-7b-instruct-v0:2")
                .system(SystemContentBlock::Text("x".into())),
            "ValidationException",
            "doesn't support system messages",
        ),
        (
            plain()
                .model_id("us.anthropic.claude-opus-5-5")
                .inference_config(config(Some(0.5), None)),
            "ValidationException",
            "`temperature` is deprecated",
        ),
        (
            plain()
                .model_id("amazon.nova-lite-v1:0")
                .inference_config(config(None, Some(10_001))),
            "ValidationException",
            "exceeds the model limit of 10000",
        ),
        (
            plain()
                .model_id("amazon.nova-lite-v1:0")
                .messages(user("again")),
            "ValidationException",
            "must alternate",
        ),
        (
            client
                .converse()
                .model_id("amazon.nova-lite-v1:0")
                .messages(user(" ")),
            "ValidationException",
            "messages.0.content.0 is blank",
        ),
    ] {
        let error = call.send().await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{error:?}");
        assert!(error.message().unwrap().contains(message), "{error:?}");
    }
}
