//! `POST /route`: the decision alone. No model is called and nothing is spent.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use shared::error::Error;
use shared::fit::fit;
use shared::http::described::{Refusals, Undecided};
use shared::http::{Call, Payload, json};
use shared::routing::{Decision, decide};
use shared::telemetry::{self, Record};

use crate::App;
use crate::answer::Routing;
use crate::request::{InvokeRequest, Request};

/// Decides, and answers with the decision.
#[utoipa::path(post, path = "/route", tag = "models", summary = "The decision alone; no model is called",
    request_body(content = InvokeRequest, examples(
        ("design" = (summary = "A hard question", value = json!({
            "prompt": "Design a distributed system architecture for a high-frequency trading platform", "budget": "best-quality" }))),
    )),
    responses((status = 200, description = "The decision", body = Routing), Refusals, Undecided))]
pub async fn route(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = call.record("/route");
    let decided = app.route(&call, body, &mut record);
    call.conclude(decided, record, app.config.metrics.as_deref())
}

impl App {
    fn route(&self, call: &Call, body: Payload, record: &mut Record) -> Result<Response, Error> {
        let request = self.own(call, Request::parse(&body.0?)?, "/route")?;
        let decision = self.decide(&request, record)?;
        let prompt = request.conversation.prompt();
        let first = &decision.first;
        let fitted = fit(
            &request.conversation,
            first,
            request.caching,
            &self.learned.of(&first.id),
        );
        let known = request
            .mended
            .iter()
            .chain(&decision.warnings)
            .chain(&first.notice);
        let warnings = known.cloned().chain(fitted.changes).collect();
        Ok(json(
            StatusCode::OK,
            &Routing::alone(&decision, warnings, &prompt),
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
        if let Some(views) = &decision.assessment.views {
            record.rules_tier = Some(views.rules);
            record.learned_tier = Some(views.learned);
            record.learned_saving = Some(views.saving());
        }
        record.decision_us = u64::try_from(began.elapsed().as_micros()).ok();
        Ok(decision)
    }
}
