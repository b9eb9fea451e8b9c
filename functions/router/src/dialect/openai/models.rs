//! The models as OpenAI lists them: `GET /v1/models` and `GET /v1/models/{id}`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use shared::catalog::{Kind, Model, Named, clean};
use shared::error::Error;
use shared::http::openai::OpenAiProblem;
use shared::http::{Call, json};
use shared::telemetry;
use utoipa::ToSchema;

use crate::App;

/// What the router answers to beside the names of models.
const AUTO: [&str; 4] = [
    "auto",
    "auto:lower-cost",
    "auto:balanced",
    "auto:best-quality",
];

/// The models that can be named in `model`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelList<'a> {
    /// `list`.
    object: &'static str,
    data: Vec<ListedModel<'a>>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListedModel<'a> {
    id: &'a str,
    /// `model`.
    object: &'static str,
    /// 0: when a model came out is not known here.
    created: u64,
    owned_by: &'a str,
}

/// Lists `auto`, and the models of text and vectors that `routes.json` names, as far as they can be called from here. Others may be named all
/// the same.
#[utoipa::path(get, path = "/v1/models", tag = "openai", summary = "The models, as OpenAI lists them",
    responses((status = 200, description = "The models", body = ModelList)))]
pub async fn list(State(app): State<Arc<App>>, call: Call) -> Response {
    let catalog = &app.config.catalog;
    let routes = catalog.routes.iter();
    let routed: BTreeSet<_> = routes
        .flat_map(|route| route.candidates.iter().map(|ranked| ranked.model))
        .collect();
    let models = routed.into_iter().filter_map(|index| catalog.model(index));
    let living = models.filter(|model| app.serves(model));
    let auto = AUTO.map(|id| listed(id, "bedrock-model-router"));
    let data = auto
        .into_iter()
        .chain(living.map(|model| listed(&model.name, &model.provider)));
    let list = ModelList {
        object: "list",
        data: data.collect(),
    };
    json(StatusCode::OK, &list, &call.request_id)
}

/// One of them, by any of its names.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "openai", summary = "A model, as OpenAI shows it",
    params(("id" = String, Path, description = "`auto`, or any name of a model")),
    responses((status = 200, description = "The model", body = ListedModel),
        (status = "4XX", description = "There is no such model", body = OpenAiProblem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    call: Call,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    let name = path.map(|Path(name)| name).unwrap_or_default();
    let name = clean(&name);
    let shown = match app.config.catalog.named(name) {
        _ if AUTO.contains(&name) => Ok(listed(name, "bedrock-model-router")),
        Named::Model(reference) if app.serves(reference.model) => {
            Ok(listed(name, &reference.model.provider))
        }
        Named::Model(_) | Named::Opaque => Err(Error::no_model(name, &[])),
        Named::Unknown(nearest) => Err(Error::no_model(name, &nearest)),
    };
    match shown {
        Ok(model) => json(StatusCode::OK, &model, &call.request_id),
        Err(error) => OpenAiProblem::of(&error).respond(&error, false, &call.request_id),
    }
}

fn listed<'a>(id: &'a str, owned_by: &'a str) -> ListedModel<'a> {
    ListedModel {
        id,
        object: "model",
        created: 0,
        owned_by,
    }
}

impl App {
    /// Whether a model of text or vectors can be called from here today.
    fn serves(&self, model: &Model) -> bool {
        let speaks = match model.kind {
            Kind::Text => model.capabilities.converse == Some(true),
            Kind::Embedding => true,
            Kind::Image | Kind::ImageEdit | Kind::Rerank => false,
        };
        let policy = &self.config.policy;
        let lives = model.absence(telemetry::today()).is_none();
        speaks
            && lives
            && !policy.disabled.iter().any(|id| *id == model.id)
            && model
                .placements(&policy.region, policy.residency)
                .next()
                .is_some()
    }
}
