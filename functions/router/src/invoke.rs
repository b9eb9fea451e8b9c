//! `POST /invoke`: route a prompt and ask the model.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use shared::catalog::Task;
use shared::error::Error;
use shared::http::{Call, Payload, json};
use shared::routing::Decision;
use shared::telemetry::{Record, whole_ms};

use crate::App;
use crate::answer::{Answer, Guardrail, Routing};
use crate::ask::Asked;
use crate::openapi::{Refusals, Unanswered, Undecided};
use crate::request::{InvokeRequest, Request};

/// Routes, asks, prices, answers.
#[utoipa::path(post, path = "/invoke", tag = "models", summary = "Route a prompt and ask the model",
    request_body(content = InvokeRequest, examples(
        ("question" = (summary = "A question", value = json!({ "prompt": "Why is the sky blue?" }))),
        ("cheapest" = (summary = "The cheapest model that will do, within a limit", value = json!({
            "prompt": "Classify this as positive or negative: 'Great product!'", "budget": "lower-cost", "maxCostUsd": 0.01 }))),
        ("picture" = (summary = "A question about a picture", value = json!({
            "messages": [{ "role": "user", "content": [
                { "text": "What is in this picture?" },
                { "image": { "format": "gif", "source": { "bytes": "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==" } } } ] }] }))),
        ("tools" = (summary = "A question with a tool", value = json!({
            "prompt": "What is the weather in Oslo?",
            "toolConfig": { "tools": [{ "toolSpec": { "name": "weather", "description": "The weather in a city.", "inputSchema": { "json": {
                "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } } }] } }))),
        ("json" = (summary = "JSON by a schema", value = json!({
            "prompt": "Who wrote Faust?",
            "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "name": "author", "schema":
                "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}, \"required\": [\"name\"], \"additionalProperties\": false}" } } } } }))),
        ("cache" = (summary = "A long prompt that will come again", value = json!({
            "system": "You answer questions about the handbook that follows ...", "prompt": "How many days off are there?",
            "promptCache": "1h", "model": "claude-sonnet" }))),
    )),
    responses((status = 200, description = "The model's answer", body = Answer), Refusals, Undecided, Unanswered))]
pub async fn invoke(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = app.record(&call, "/invoke");
    let answer = app.invoke(&call, body, &mut record).await;
    app.conclude(answer, &call, record)
}

impl App {
    async fn invoke(
        &self,
        call: &Call,
        body: Payload,
        record: &mut Record,
    ) -> Result<Response, Error> {
        let request = self.read(call, body, "/invoke")?;
        self.admit(&request)?;
        let decision = self.decide(&request, record)?;
        let mut asked = self.ask(call, &request, &decision, record).await?;
        let structured_output = self.hold_to_schema(call, &request, &mut asked).await;
        record.spend(&asked.usage, asked.cost.map(|cost| cost.total_usd));
        record.stop_reason = Some(asked.reply.stop_reason.clone());
        let guardrail = Guardrail::of(&request, &mut asked.reply, self.config.guardrail.is_some());
        let answer = Answer {
            id: &call.request_id,
            text: asked.text(),
            warnings: warnings(&request, &decision, &asked),
            routing: Routing::by(
                &decision,
                asked.candidate,
                &asked.attempts,
                asked.reply.routed_to(),
            ),
            output: asked.reply.output,
            stop_reason: asked.reply.stop_reason,
            usage: asked.usage,
            cost: asked.cost,
            latency_ms: whole_ms(call.started.elapsed()),
            metrics: asked.reply.metrics,
            structured_output,
            guardrail,
            additional_model_response_fields: asked.reply.additional_model_response_fields,
        };
        Ok(json(StatusCode::OK, &answer, &call.request_id))
    }

    /// The request with all that the router adds: the operator's guardrail, and who asks.
    pub(crate) fn read(&self, call: &Call, body: Payload, route: &str) -> Result<Request, Error> {
        let mut request = Request::parse(&body.0?)?;
        request.guard(self.config.guardrail.as_ref())?;
        request
            .conversation
            .options
            .identify(call.caller.as_deref(), route);
        Ok(request)
    }

    fn admit(&self, request: &Request) -> Result<(), Error> {
        if self.config.paused {
            return Err(Error::Paused);
        }
        if request.task == Some(Task::Embedding) {
            return Err(Error::invalid(
                "task",
                "embeddings are made by POST /embeddings, not by /invoke",
            ));
        }
        Ok(())
    }
}

fn warnings(request: &Request, decision: &Decision<'_>, asked: &Asked<'_>) -> Vec<String> {
    let mut warnings: Vec<_> = request
        .mended
        .iter()
        .chain(&decision.warnings)
        .chain(&asked.candidate.notice)
        .cloned()
        .collect();
    let failed = asked
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome != "answered");
    warnings.extend(
        failed.map(|attempt| format!("{} did not answer: {}", attempt.model_id, attempt.outcome)),
    );
    warnings.extend(asked.changes.iter().cloned());
    if asked.cost.is_none() && asked.candidate.model.is_some() {
        warnings.push(format!(
            "the price of {} is not known for all that was used",
            asked.candidate.id
        ));
    }
    let ceiling = asked.candidate.max_tokens;
    match asked.reply.stop_reason.as_str() {
        "max_tokens" => warnings.push(format!(
            "the answer was cut at maxTokens {ceiling}; thinking counts against it"
        )),
        "guardrail_intervened" => warnings.push(
            "the guardrail stepped in: the text is its message, not the model's answer".into(),
        ),
        _ => {}
    }
    warnings
}
