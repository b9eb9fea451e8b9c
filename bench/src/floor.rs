//! The floor: one call over Converse by the typed SDK, and nothing else. No routing, no price, no log, no limits.

use aws_config::BehaviorVersion;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::types::{ContentBlock, ConversationRole, Message};
use lambda_http::{Body, Error, Request, Response, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::new(&config);
    run(service_fn(async |request| answer(&client, request).await)).await
}

async fn answer(client: &Client, request: Request) -> Result<Response<Body>, Error> {
    let body: Value = serde_json::from_slice(request.body())?;
    let prompt = body
        .get("prompt")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(prompt.to_owned()))
        .build()?;
    let call = client.converse().model_id("us.anthropic.claude-haiku-5-5");
    let output = call.messages(message).send().await?.output;
    let message = output.and_then(|output| output.as_message().ok().cloned());
    let blocks = message.map(|message| message.content).unwrap_or_default();
    let text: String = blocks
        .iter()
        .filter_map(|block| block.as_text().ok())
        .map(String::as_str)
        .collect();
    let answer = json!({ "text": text }).to_string();
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(answer.into())?)
}
