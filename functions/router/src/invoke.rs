//! `POST /invoke`: route a prompt and ask the model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use shared::bedrock::{self, Attempt, Fault, Outcome};
use shared::catalog::Task;
use shared::cost::{Cost, cost};
use shared::error::Error;
use shared::fit::fit;
use shared::http::{Call, Payload, json};
use shared::routing::{Candidate, Decision};
use shared::telemetry::{Record, whole_ms};
use shared::wire::{ConverseBody, Reply};

use crate::App;
use crate::answer::{Answer, Routing};
use crate::request::Request;

/// Routes, asks, prices, answers.
pub async fn invoke(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = app.record(&call, "/invoke");
    let answer = app.invoke(&call, body, &mut record).await;
    app.conclude(answer, &call, record)
}

/// A model's answer, and how it was come by.
struct Asked<'a> {
    candidate: &'a Candidate<'a>,
    reply: Reply,
    attempts: Vec<Attempt>,
    changes: Vec<String>,
}

impl App {
    async fn invoke(
        &self,
        call: &Call,
        body: Payload,
        record: &mut Record,
    ) -> Result<Response, Error> {
        let request = Request::parse(&body.0?)?;
        self.admit(&request)?;
        let decision = self.decide(&request, record)?;
        let asked = self.ask(call, &request, &decision, record).await?;
        let cost = price(&asked);
        record.spend(&asked.reply.usage, cost.map(|cost| cost.total_usd));
        let answer = Answer {
            id: &call.request_id,
            text: asked.reply.text(),
            warnings: warnings(&decision, &asked, cost),
            output: asked.reply.output,
            stop_reason: asked.reply.stop_reason,
            usage: asked.reply.usage,
            cost,
            latency_ms: whole_ms(call.started.elapsed()),
            metrics: asked.reply.metrics,
            routing: Routing::by(&decision, asked.candidate, &asked.attempts),
        };
        Ok(json(StatusCode::OK, &answer, &call.request_id))
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

    /// Asks the candidates in turn until one answers.
    async fn ask<'a>(
        &self,
        call: &Call,
        request: &Request,
        decision: &'a Decision<'a>,
        record: &mut Record,
    ) -> Result<Asked<'a>, Error> {
        let mut attempts = Vec::new();
        let mut last = None;
        for candidate in decision.chain() {
            let time_left = call.time_left_within(request.timeout);
            if time_left.is_zero() {
                break;
            }
            let began = Instant::now();
            let (body, changes) = fit(&request.conversation, candidate.model, candidate.max_tokens);
            let reply = self.converse(&candidate.id, &body, time_left).await;
            let outcome = reply
                .as_ref()
                .map_or_else(|fault| fault.outcome.kind(), |_| "answered");
            let latency_ms = whole_ms(began.elapsed());
            attempts.push(Attempt {
                model_id: candidate.id.clone(),
                outcome,
                latency_ms,
            });
            record.model_id = Some(metric_name(candidate));
            record.fallbacks = attempts.len() - 1;
            match reply {
                Ok(reply) => {
                    return Ok(Asked {
                        candidate,
                        reply,
                        attempts,
                        changes,
                    });
                }
                Err(fault) if fault.outcome.is_worth_another_model() => {
                    last = worth_telling(last, fault)
                }
                Err(fault) => return Err(Error::Bedrock { fault, attempts }),
            }
        }
        let out_of_time = || Fault::new(Outcome::TimedOut, "there was no time left to ask");
        Err(Error::Bedrock {
            fault: last.unwrap_or_else(out_of_time),
            attempts,
        })
    }

    async fn converse(
        &self,
        id: &str,
        body: &ConverseBody<'_>,
        time_left: Duration,
    ) -> Result<Reply, Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Fault::new(Outcome::Failed, error.to_string()))?;
        let reply = bedrock::converse(&self.client, id, Bytes::from(body), time_left).await?;
        Reply::parse(&reply).map_err(|why| Fault::new(Outcome::Unreadable, why))
    }
}

/// Of two faults the one that the caller can do something about by waiting; else the later one.
fn worth_telling(earlier: Option<Fault>, later: Fault) -> Option<Fault> {
    earlier
        .filter(|earlier| earlier.outcome.passes() && !later.outcome.passes())
        .or(Some(later))
}

/// The metric dimension of a candidate: callers must not be able to make up new ones, each of which is billed.
fn metric_name(candidate: &Candidate<'_>) -> String {
    candidate
        .model
        .map_or_else(|| "unlisted".to_owned(), |_| candidate.id.clone())
}

/// The exact cost of an answer, by the id that gave it.
fn price(asked: &Asked<'_>) -> Option<Cost> {
    cost(
        &asked.reply.usage,
        asked.candidate.prices?,
        asked.reply.service_tier(),
    )
}

fn warnings(decision: &Decision<'_>, asked: &Asked<'_>, cost: Option<Cost>) -> Vec<String> {
    let mut warnings = decision.warnings.clone();
    warnings.extend(asked.candidate.notice.clone());
    let failed = asked
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome != "answered");
    warnings.extend(
        failed.map(|attempt| format!("{} did not answer: {}", attempt.model_id, attempt.outcome)),
    );
    warnings.extend(asked.changes.iter().cloned());
    if cost.is_none() && asked.candidate.model.is_some() {
        warnings.push(format!(
            "the price of {} is not known for all that was used",
            asked.candidate.id
        ));
    }
    if asked.reply.stop_reason == "max_tokens" {
        let ceiling = asked.candidate.max_tokens;
        warnings.push(format!(
            "the answer was cut at maxTokens {ceiling}; thinking counts against it"
        ));
    }
    warnings
}
