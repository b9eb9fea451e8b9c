//! `POST /invoke`: route a prompt and ask the model, for an answer in one piece or in many.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use shared::catalog::Task;
use shared::cost::{ServiceTier, affordable_output};
use shared::error::Error;
use shared::http::described::{Refusals, Unanswered, Undecided};
use shared::http::{Call, Payload};
use shared::routing::Decision;
use shared::telemetry::{Record, whole_ms};

use crate::App;
use crate::answer::{Answer, Done, Guardrail, Routing};
use crate::ask::{Asked, Turn};
use crate::dialect::native::Native;
use crate::dialect::{Dialect, ServerSentEvent};
use crate::request::{InvokeRequest, Request};
use crate::tell::{self, Sink};

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
    responses((status = 200, description = "The model's answer; with `stream`, pieces of it as server-sent events", content(
        (Answer = "application/json"), (ServerSentEvent = "text/event-stream"))), Refusals, Undecided, Unanswered))]
pub async fn invoke(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let request = body.0.and_then(|body| Request::parse(&body));
    let request = request.map(|request| Request {
        stream: request.stream || call.takes_events,
        ..request
    });
    serve(app, call, request, Box::new(Native), "/invoke").await
}

/// What every dialect has in common: the request is made ours, routed, asked, and answered in one piece or in many.
pub(crate) async fn serve(
    app: Arc<App>,
    call: Call,
    request: Result<Request, Error>,
    dialect: Box<dyn Dialect>,
    route: &'static str,
) -> Response {
    let mut record = call.record(route);
    let request = request
        .and_then(|request| app.own(&call, request, route))
        .and_then(|request| app.admit(request));
    let answer = match request {
        Ok(request) if request.stream => {
            let id = call.request_id.clone();
            let tell = |sink| async move { app.tell(&call, &request, &sink, record).await };
            return tell::answer(&id, dialect, tell).await;
        }
        Ok(request) => {
            let finish = |answer: Answer<'_>| dialect.whole(&answer);
            app.invoke(&call, &request, &Sink::default(), &mut record, finish)
                .await
        }
        Err(error) => Err(error),
    };
    let kind = answer.as_ref().err().map(Error::kind);
    let response = answer.unwrap_or_else(|error| dialect.problem(&error, &call.request_id));
    let metrics = app.config.metrics.as_deref();
    call.write(&mut record, response.status(), kind, metrics);
    response
}

impl App {
    /// The answer in pieces. Its record is written before the last piece goes out: the sandbox may freeze right after.
    async fn tell(&self, call: &Call, request: &Request, sink: &Sink, mut record: Record) {
        let done = self
            .invoke(call, request, sink, &mut record, |answer| {
                sink.last(&answer)
            })
            .await;
        let (status, kind) = match &done {
            Ok(_) => (StatusCode::OK, None),
            Err(error) => (error.status(), Some(error.kind())),
        };
        call.write(&mut record, status, kind, self.config.metrics.as_deref());
        match done {
            Ok(done) => sink.done(done).await,
            Err(error) => sink.fail(error).await,
        }
    }

    /// Decides, asks, prices, and hands the answer to what makes of it what goes out.
    pub(crate) async fn invoke<T>(
        &self,
        call: &Call,
        request: &Request,
        sink: &Sink,
        record: &mut Record,
        finish: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, Error> {
        let decision = self.decide(request, record)?;
        let turn = Turn {
            call,
            request,
            sink,
            decision: &decision,
        };
        let mut asked = self.ask(turn, record).await?;
        self.make_room(turn, &mut asked, record).await?;
        let structured_output = self.hold_to_schema(turn, &mut asked).await;
        record.spend(&asked.usage, asked.cost.map(|cost| cost.total_usd));
        record.stop_reason = Some(asked.reply.stop_reason.clone());
        let guardrail = Guardrail::of(request, &mut asked.reply, self.config.guardrail.is_some());
        let warnings = warnings(request, &decision, &asked);
        let service_tier = Some(asked.reply.service_tier());
        let service_tier = service_tier.filter(|tier| *tier != ServiceTier::Default);
        let routed_to = asked.reply.routed_to().map(str::to_owned);
        Ok(finish(Answer {
            text: asked.text(),
            output: asked.reply.output,
            done: Done {
                id: &call.request_id,
                stop_reason: asked.reply.stop_reason,
                usage: asked.usage,
                usage_estimated: asked.estimated,
                cost: asked.cost,
                latency_ms: whole_ms(call.started.elapsed()),
                time_to_first_token_ms: asked.first_piece.map(whole_ms),
                metrics: asked.reply.metrics,
                service_tier,
                structured_output,
                guardrail,
                additional_model_response_fields: asked.reply.additional_model_response_fields,
                warnings,
            },
            routing: Routing::by(
                &decision,
                &asked.candidate,
                &asked.attempts,
                routed_to.as_deref(),
            ),
        }))
    }

    /// Where thinking has used up all of `maxTokens`, asks once more with twice the room, if the caller set no limit and the
    /// others allow it.
    async fn make_room(
        &self,
        turn: Turn<'_>,
        asked: &mut Asked<'_>,
        record: &mut Record,
    ) -> Result<(), Error> {
        let is_used_up = asked.reply.stop_reason == "max_tokens" && asked.reply.is_empty();
        if !is_used_up
            || turn
                .request
                .conversation
                .options
                .inference_config
                .max_tokens
                .is_some()
        {
            return Ok(());
        }
        let before = asked.candidate.max_tokens;
        let limit = asked
            .candidate
            .model
            .and_then(|model| model.limits.output_tokens)
            .unwrap_or(u32::MAX);
        let most = limit.min(self.config.policy.max_tokens.unwrap_or(u32::MAX));
        let room = before.saturating_mul(2).min(most);
        if room <= before || !self.can_afford(turn.request, asked, room) {
            return Ok(());
        }
        asked.candidate.max_tokens = room;
        match self
            .ask_again(turn, &turn.request.conversation, asked)
            .await
        {
            Ok(Some(reply)) => {
                asked.reply = reply;
                asked.changes.push(format!(
                    "thinking had used up maxTokens {before}; asked once more with {room}"
                ));
            }
            Ok(None) => asked.candidate.max_tokens = before,
            Err((fault, cut)) => {
                record.spend(&cut.usage, cut.cost.map(|cost| cost.total_usd));
                let attempts = asked.attempts.clone();
                return Err(Error::Bedrock {
                    fault,
                    attempts,
                    cut: Some(Box::new(cut)),
                });
            }
        }
        Ok(())
    }

    /// Whether what is left of the cost limits pays for the same call again, with so many output tokens.
    pub(crate) fn can_afford(&self, request: &Request, asked: &Asked<'_>, max_tokens: u32) -> bool {
        let Some(limit) = request
            .max_cost
            .into_iter()
            .chain(self.config.policy.max_cost)
            .min()
        else {
            return true;
        };
        // What has an unknown price may have cost anything.
        let Some(spent) = asked.cost else {
            return false;
        };
        let left = limit - spent.total_usd;
        // What the first answer, and a complaint about it, add to the input.
        let input = asked.usage.total_tokens.saturating_add(100);
        let most = asked
            .candidate
            .prices
            .and_then(|prices| affordable_output(left, input, true, prices, asked.candidate.tier));
        most.map_or(request.max_cost.is_none(), |most| {
            most >= u64::from(max_tokens)
        })
    }

    /// The request with all that the router adds: the operator's guardrail, and who asks.
    pub(crate) fn own(
        &self,
        call: &Call,
        mut request: Request,
        route: &str,
    ) -> Result<Request, Error> {
        request.guard(self.config.guardrail.as_ref())?;
        request
            .conversation
            .options
            .identify(call.caller.as_deref(), route);
        Ok(request)
    }

    pub(crate) fn admit(&self, request: Request) -> Result<Request, Error> {
        if self.config.paused {
            return Err(Error::Paused);
        }
        if request.task == Some(Task::Embedding) {
            return Err(Error::invalid(
                "task",
                "no model that makes vectors answers a prompt; send the texts to POST /embeddings",
            ));
        }
        Ok(request)
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
        failed.map(|attempt| match attempt.model_id == asked.candidate.id {
            true => format!(
                "{} refused the request as it was ({}); it was mended and sent once more",
                attempt.model_id, attempt.outcome
            ),
            false => format!("{} did not answer: {}", attempt.model_id, attempt.outcome),
        }),
    );
    warnings.extend(asked.changes.iter().cloned());
    if asked.cost.is_none() && asked.candidate.model.is_some() {
        warnings.push(format!(
            "the price of {} is not known for all that was used",
            asked.candidate.id
        ));
    }
    let ceiling = asked.max_tokens.unwrap_or(asked.candidate.max_tokens);
    match asked.reply.stop_reason.as_str() {
        "deadline" => warnings.push("time ran out: this is what had come by then".into()),
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
