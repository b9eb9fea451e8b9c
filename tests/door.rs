//! The Converse door: the AWS SDK, unmodified, against the router in the place of Bedrock.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_bedrockruntime::error::ProvideErrorMetadata;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseStreamOutput, Message, StopReason, Tool,
    ToolConfiguration, ToolInputSchema, ToolResultBlock, ToolResultContentBlock, ToolSpecification,
};
use aws_smithy_types::Document;
use local::bedrock::Bedrock;
use local::bedrock::faults::{Breaks, Fault};
use local::stack::{config, functions, simulate};
use serde_json::{Value, json};
use shared::catalog::Catalog;
use tokio::net::TcpListener;

use crate::lambda::{Lambda, serve};

/// The stand-in, and an SDK client of the router in front of it.
async fn door(variables: &'static [(&str, &str)]) -> (Arc<Bedrock>, Client) {
    let bedrock = Arc::new(Bedrock::new(
        "us-east-1",
        Cow::Borrowed(Catalog::built_in()),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = simulate(Arc::clone(&bedrock), listener).unwrap();
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let port = serve(functions(config(lookup).unwrap(), behind)).await;
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .retry_config(aws_sdk_bedrockruntime::config::retry::RetryConfig::disabled())
        .endpoint_url(format!("http://127.0.0.1:{port}"));
    (bedrock, Client::from_conf(config.build()))
}

fn turn(role: ConversationRole, content: Vec<ContentBlock>) -> Message {
    Message::builder()
        .role(role)
        .set_content(Some(content))
        .build()
        .unwrap()
}

fn user(text: &str) -> Message {
    turn(
        ConversationRole::User,
        vec![ContentBlock::Text(text.into())],
    )
}

fn weather() -> ToolConfiguration {
    let text = |text: &str| Document::String(text.to_owned());
    let object = |fields: Vec<(&str, Document)>| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Document::Object(fields.collect())
    };
    let city = object(vec![("type", text("string"))]);
    let schema = object(vec![
        ("type", text("object")),
        ("properties", object(vec![("city", city)])),
    ]);
    let spec = ToolSpecification::builder()
        .name("weather")
        .input_schema(ToolInputSchema::Json(schema))
        .build()
        .unwrap();
    ToolConfiguration::builder()
        .tools(Tool::ToolSpec(spec))
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_sdk_converses_with_whom_the_router_picks() {
    let (bedrock, client) = door(&[]).await;
    let answer = client
        .converse()
        .model_id("auto:lower-cost")
        .messages(user("Classify: good or bad?"))
        .send()
        .await
        .unwrap();
    let text = answer.output().unwrap().as_message().unwrap().content()[0]
        .as_text()
        .unwrap();
    assert!(text.contains("simulation"));
    let invoked = answer
        .trace()
        .unwrap()
        .prompt_router()
        .unwrap()
        .invoked_model_id()
        .unwrap();
    assert_eq!(bedrock.sent()[0].model_id, invoked);
    assert_eq!(answer.stop_reason(), &StopReason::EndTurn);
    assert!(answer.usage().unwrap().total_tokens() > 0 && answer.metrics().is_some());
    // A name with a colon, and an ARN, arrive in the path as they are.
    for id in [
        "amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
    ] {
        let answer = client
            .converse()
            .model_id(id)
            .messages(user("x"))
            .send()
            .await
            .unwrap();
        let invoked = answer
            .trace()
            .unwrap()
            .prompt_router()
            .unwrap()
            .invoked_model_id()
            .unwrap()
            .to_owned();
        assert!(invoked.ends_with("amazon.nova-lite-v1:0"), "{invoked}");
    }
}

#[tokio::test]
#[allow(clippy::wildcard_enum_match_arm, reason = "the list is open")]
async fn a_tool_loop_goes_round_in_pieces() {
    let (_, client) = door(&[]).await;
    let asked = user("Use weather.");
    let mut stream = client
        .converse_stream()
        .model_id("claude-haiku")
        .messages(asked.clone())
        .tool_config(weather())
        .send()
        .await
        .unwrap()
        .stream;
    let (mut calls, mut input, mut stops, mut stopped, mut usage) =
        (Vec::new(), String::new(), 0, None, None);
    while let Some(event) = stream.recv().await.unwrap() {
        match event {
            ConverseStreamOutput::ContentBlockStart(start) => {
                calls.push(start.start.unwrap().as_tool_use().unwrap().clone())
            }
            ConverseStreamOutput::ContentBlockDelta(delta) => {
                if let Ok(call) = delta.delta.unwrap().as_tool_use() {
                    input.push_str(&call.input);
                }
            }
            ConverseStreamOutput::ContentBlockStop(_) => stops += 1,
            ConverseStreamOutput::MessageStop(stop) => stopped = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => usage = metadata.usage,
            _ => {}
        }
    }
    assert_eq!(
        (calls.len(), calls[0].name(), stopped),
        (1, "weather", Some(StopReason::ToolUse))
    );
    assert!(
        serde_json::from_str::<Value>(&input).unwrap().is_object()
            && stops > 0
            && usage.unwrap().output_tokens() > 0
    );
    let call = aws_sdk_bedrockruntime::types::ToolUseBlock::builder()
        .tool_use_id(calls[0].tool_use_id())
        .name("weather")
        .input(Document::Object([].into()))
        .build()
        .unwrap();
    let result = ToolResultBlock::builder()
        .tool_use_id(calls[0].tool_use_id())
        .content(ToolResultContentBlock::Text("clear".into()))
        .build()
        .unwrap();
    let answer = client
        .converse()
        .model_id("auto")
        .messages(asked)
        .messages(turn(
            ConversationRole::Assistant,
            vec![ContentBlock::ToolUse(call)],
        ))
        .messages(turn(
            ConversationRole::User,
            vec![ContentBlock::ToolResult(result)],
        ))
        .tool_config(weather())
        .send()
        .await
        .unwrap();
    assert!(answer.output().is_some());
}

#[tokio::test]
async fn errors_have_bedrocks_names() {
    let (bedrock, client) = door(&[]).await;
    let name = async |model: &str| {
        let error = client
            .converse()
            .model_id(model)
            .messages(user("x"))
            .send()
            .await
            .unwrap_err();
        (
            error.raw_response().unwrap().status().as_u16(),
            error.into_service_error().code().unwrap().to_owned(),
        )
    };
    assert_eq!(name("gpt-5").await, (400, "ValidationException".into()));
    let mut models = [
        "claude-opus",
        "claude-haiku",
        "nova-lite",
        "nova-pro",
        "glm-5",
        "deepseek.v3.2",
    ]
    .into_iter();
    for (error, told) in [
        ("ThrottlingException", (429, "ThrottlingException")),
        ("AccessDeniedException", (403, "AccessDeniedException")),
        ("ModelErrorException", (424, "ModelErrorException")),
        (
            "ServiceUnavailableException",
            (503, "ServiceUnavailableException"),
        ),
        ("ModelTimeoutException", (408, "ModelTimeoutException")),
        ("InternalServerException", (500, "InternalServerException")),
    ] {
        bedrock.faults.clear();
        bedrock.faults.add(Fault {
            error: Some(error.into()),
            ..Fault::default()
        });
        // An id that has failed rests for a while: each has its turn.
        let model = models.next().unwrap();
        assert_eq!(name(model).await, (told.0, told.1.to_owned()), "{error}");
    }
    bedrock.faults.clear();
    bedrock.faults.add(Fault {
        breaks: Some(Breaks::Cut),
        after: Some(3),
        ..Fault::default()
    });
    let mut stream = client
        .converse_stream()
        .model_id("qwen3-32b")
        .messages(user("x"))
        .send()
        .await
        .unwrap()
        .stream;
    let broken = loop {
        match stream.recv().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(
        broken
            .as_service_error()
            .is_some_and(|error| error.is_model_stream_error_exception()),
        "{broken:?}"
    );
    let (_, client) = door(&[("PAUSED", "true")]).await;
    let error = client
        .converse()
        .model_id("auto")
        .messages(user("x"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.into_service_error().code(),
        Some("ServiceUnavailableException")
    );
}

#[tokio::test]
async fn the_bootstrap_answers_at_the_door() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }], "additionalModelResponseFieldPaths": ["/a"] });
    let (status, said) = lambda.post("/model/auto/converse", &body.to_string()).await;
    assert_eq!(
        (status, &said["stopReason"]),
        (200, &json!("end_turn")),
        "{said}"
    );
    assert!(said["additionalModelResponseFields"].is_object());
    assert_eq!(lambda.metrics()[0]["route"], "/model/{modelId}/converse");
    let metadata = &lambda.sent()[0]["requestMetadata"];
    assert_eq!(metadata["router:route"], "/model/_modelId_/converse");
    for (path, body, status) in [
        ("/model/auto/invoke", "{}", 404),
        ("/model/auto", "{}", 404),
        ("/model/auto/converse", "{}", 400),
        (
            "/model/auto/converse",
            r#"{"model": "opus", "prompt": "x"}"#,
            400,
        ),
    ] {
        let (got, said) = lambda.post(path, body).await;
        assert_eq!(got, status, "{path} {body}: {said}");
        assert!(said["message"].is_string());
    }
}
