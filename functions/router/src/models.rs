//! `GET /models` and `GET /models/{id}`: the catalog, as it looks from here.

use std::sync::Arc;

use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use axum::response::Response;
use http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::catalog::{
    Kind, Lifecycle, Limits, Modality, Model, Named, Placement, Task, Text, Tier, TokenPrices,
    clean,
};
use shared::error::Error;
use shared::http::described::Refusals;
use shared::http::{Call, json};
use shared::telemetry;
use utoipa::{IntoParams, ToSchema};

use crate::App;

/// Filters; all that are given must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Who made it, in any letter case.
    provider: Option<String>,
    /// `text`, `embedding`, `image`, `imageEdit` or `rerank`.
    kind: Option<Kind>,
    /// Those that `routes.json` lists for a tier.
    tier: Option<Tier>,
    /// Those that can be called, or those that cannot any more.
    alive: Option<bool>,
    /// Those that can be called from a Region; without it, from the function's own.
    region: Option<String>,
}

/// The models that pass the filters.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models<'a> {
    models: Vec<Entry<'a>>,
}

/// A model in the list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry<'a> {
    id: &'a str,
    name: &'a str,
    provider: &'a str,
    kind: Kind,
    strengths: &'a str,
    #[schema(value_type = Vec<String>)]
    use_for: &'a [Text],
    input: &'a [Modality],
    output: &'a [Modality],
    limits: &'a Limits,
    #[serde(flatten)]
    here: Here<'a>,
    lifecycle: Life<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
}

/// How a model is called from a Region.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Here<'a> {
    /// The id that would be invoked; null where none can be.
    invoked_as: Option<String>,
    /// Token prices of that id at the standard tier, in USD per million; null where unknown.
    usd_per_million_tokens: Option<&'a TokenPrices>,
    /// Where `auto` may choose it.
    routes: Vec<Place>,
}

/// A place in `routes.json`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    quality: u8,
}

/// Whether a model lives today, and for how long.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Life<'a> {
    alive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<i32>,
    #[serde(flatten)]
    lifecycle: &'a Lifecycle,
}

/// One model with all that is known of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sheet<'a> {
    #[serde(flatten)]
    here: Here<'a>,
    alive: bool,
    days_left: Option<i32>,
    #[serde(flatten)]
    model: &'a Model,
}

/// The list, as far as it passes the filters.
#[utoipa::path(get, path = "/models", tag = "catalog", summary = "Every model, as it looks from here",
    params(Filter),
    responses((status = 200, description = "The models", body = Models), Refusals))]
pub async fn list(
    State(app): State<Arc<App>>,
    call: Call,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let record = call.record("/models");
    let answer = filter
        .map_err(|error| Error::invalid("query", error.body_text()))
        .map(|Query(filter)| {
            let models = app.models(&filter);
            json(StatusCode::OK, &Models { models }, &call.request_id)
        });
    call.conclude(answer, record, app.config.metrics.as_deref())
}

/// One model, by any of its names.
#[utoipa::path(get, path = "/models/{id}", tag = "catalog", summary = "One model with all that is known of it",
    params(("id" = String, Path, description = "Any name of a model", example = "claude-opus")),
    responses((status = 200, description = "The model", body = Sheet), Refusals))]
pub async fn one(
    State(app): State<Arc<App>>,
    call: Call,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let record = call.record("/models/{id}");
    let name = name.map_err(|error| Error::NotFound {
        detail: error.body_text(),
    });
    let sheet = name.and_then(|Path(name)| app.sheet(&name));
    let answer = sheet.map(|sheet| json(StatusCode::OK, &sheet, &call.request_id));
    call.conclude(answer, record, app.config.metrics.as_deref())
}

impl App {
    fn models(&self, filter: &Filter) -> Vec<Entry<'_>> {
        let today = telemetry::today();
        let region = filter
            .region
            .as_deref()
            .unwrap_or(&self.config.policy.region);
        let entries = self
            .config
            .catalog
            .models
            .iter()
            .map(|model| self.entry(model, region, today));
        entries.filter(|entry| passes(entry, filter)).collect()
    }

    fn entry<'a>(&'a self, model: &'a Model, region: &str, today: Date) -> Entry<'a> {
        Entry {
            id: &model.id,
            name: &model.name,
            provider: &model.provider,
            kind: model.kind,
            strengths: &model.strengths,
            use_for: &model.use_for,
            input: &model.input,
            output: &model.output,
            limits: &model.limits,
            here: self.here(model, region, today),
            lifecycle: life(model, today),
            successor: model.successor.as_deref(),
        }
    }

    fn sheet(&self, name: &str) -> Result<Sheet<'_>, Error> {
        let (name, today) = (clean(name), telemetry::today());
        let policy = &self.config.policy;
        let model = match self.config.catalog.named(policy.known_as(name)) {
            Named::Model(reference) => reference.model,
            Named::Opaque => return Err(Error::no_model(name, &[])),
            Named::Unknown(nearest) => return Err(Error::no_model(name, &nearest)),
        };
        let Life {
            alive, days_left, ..
        } = life(model, today);
        Ok(Sheet {
            here: self.here(model, &policy.region, today),
            alive,
            days_left,
            model,
        })
    }

    fn here<'a>(&'a self, model: &'a Model, region: &str, today: Date) -> Here<'a> {
        let lives = model.absence(today).is_none();
        let placement = model
            .placements(region, self.config.policy.residency)
            .find(|_| lives);
        let prices = placement
            .as_ref()
            .and_then(|Placement { scope, .. }| model.prices_in(scope, region));
        Here {
            invoked_as: placement.map(|placement| placement.id),
            usd_per_million_tokens: prices.and_then(|prices| prices.standard.as_ref()),
            routes: self.places(model),
        }
    }

    fn places(&self, model: &Model) -> Vec<Place> {
        let catalog = &self.config.catalog;
        let is_it = |index| {
            catalog
                .model(index)
                .is_some_and(|known| known.id == model.id)
        };
        let routes = catalog.routes.iter().flat_map(|route| {
            route
                .candidates
                .iter()
                .map(move |candidate| (route, candidate))
        });
        let found = routes.filter(|(_, candidate)| is_it(candidate.model));
        found
            .map(|(route, candidate)| Place {
                task: route.task,
                tier: route.tier,
                quality: candidate.quality,
            })
            .collect()
    }
}

fn life(model: &Model, today: Date) -> Life<'_> {
    let alive = model.absence(today).is_none();
    Life {
        alive,
        days_left: model.days_left(today).filter(|_| alive),
        lifecycle: &model.lifecycle,
    }
}

fn passes(entry: &Entry<'_>, filter: &Filter) -> bool {
    let fits = |wanted: &Option<String>, known: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(known))
    };
    fits(&filter.provider, entry.provider)
        && filter.kind.is_none_or(|kind| kind == entry.kind)
        && filter.tier.is_none_or(|tier| {
            entry
                .here
                .routes
                .iter()
                .any(|place| place.tier == Some(tier))
        })
        && filter
            .alive
            .is_none_or(|alive| alive == entry.lifecycle.alive)
        && (filter.region.is_none() || entry.here.invoked_as.is_some())
}
