//! `POST /route`: the decision alone. No model is called and nothing is spent.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use shared::error::Error;
use shared::fit::fit;
use shared::http::{Call, Payload, json, problem};
use shared::routing::{Decision, decide};
use shared::telemetry::{self, Record};

use crate::App;
use crate::answer::Routing;
use crate::request::Request;

/// Decides, and answers with the decision.
pub async fn route(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = app.record(&call, "/route");
    let decided = app.route(&call, body, &mut record);
    app.conclude(decided, &call, record)
}

impl App {
    fn route(&self, call: &Call, body: Payload, record: &mut Record) -> Result<Response, Error> {
        let request = Request::parse(&body.0?)?;
        let decision = self.decide(&request, record)?;
        let first = &decision.first;
        let (_, changes) = fit(&request.conversation, first.model, first.max_tokens);
        let warnings = decision
            .warnings
            .iter()
            .chain(&first.notice)
            .cloned()
            .chain(changes)
            .collect();
        Ok(json(
            StatusCode::OK,
            &Routing::alone(&decision, warnings),
            &call.request_id,
        ))
    }

    /// Where a request goes today.
    pub(crate) fn decide<'a>(
        &'a self,
        request: &Request,
        record: &mut Record,
    ) -> Result<Decision<'a>, Error> {
        let began = Instant::now();
        let prompt = request.conversation.prompt();
        let facts = request.facts(&prompt, self.config.default_budget);
        let decision = decide(
            &self.config.catalog,
            &self.config.policy,
            &facts,
            request.wanted(),
            telemetry::today(),
        )?;
        record.tier = Some(decision.assessment.tier);
        record.task = Some(decision.assessment.task);
        record.decision_us = u64::try_from(began.elapsed().as_micros()).ok();
        Ok(decision)
    }

    pub(crate) fn record(&self, call: &Call, route: &'static str) -> Record {
        Record {
            request_id: call.request_id.clone(),
            caller: call.caller.clone(),
            route,
            ..Record::default()
        }
    }

    /// The answer or the problem, after its record is written.
    pub(crate) fn conclude(
        &self,
        answer: Result<Response, Error>,
        call: &Call,
        mut record: Record,
    ) -> Response {
        let kind = answer.as_ref().err().map(Error::kind);
        let response = answer.unwrap_or_else(|error| problem(&error, &call.request_id));
        record.conclude(response.status().as_u16(), kind, call.started.elapsed());
        if let Some(namespace) = &self.config.metrics {
            record.emit(namespace);
        }
        response
    }
}
