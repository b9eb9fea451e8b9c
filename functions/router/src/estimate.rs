//! `POST /estimate`: what tokens would cost on several models, the cheapest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::catalog::{Model, Named, Prices, Residency, Scope, TierTokens, clean};
use shared::cost::{self, Cost, ServiceTier, Usage};
use shared::error::Error;
use shared::http::described::Refusals;
use shared::http::{Call, Payload, json, parse};
use shared::routing::{Facts, classify, estimate_tokens};
use shared::telemetry;
use shared::usd::Usd;
use utoipa::ToSchema;

use crate::App;

/// The guide's volume: a million tokens in and half a million out.
const INPUT_TOKENS: u64 = 1_000_000;
const OUTPUT_TOKENS: u64 = 500_000;

/// Tokens in one estimate at most: more than all models together make in a year.
const MOST_TOKENS: u64 = 1_000_000_000_000_000;

/// Models in one estimate at most.
const MOST_MODELS: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EstimateRequest {
    /// A volume of input; a million tokens if absent.
    #[schema(maximum = 1000000000000000i64)]
    input_tokens: Option<u64>,
    /// A volume of output; half a million tokens if absent, or what the prompt's tier is expected to answer.
    #[schema(maximum = 1000000000000000i64)]
    output_tokens: Option<u64>,
    /// One request, in place of `inputTokens`.
    prompt: Option<String>,
    /// Models by any of their names.
    #[schema(max_items = 200)]
    models: Option<Vec<String>>,
    /// Where they are called: `in-region`, `global`, or a profile prefix such as `us`.
    #[schema(value_type = Option<String>, example = "global")]
    scope: Option<Scope>,
}

/// What is to be priced.
enum Amount<'a> {
    /// A volume of tokens in requests of unknown size: base prices.
    Volume(Usage),
    /// One request: with the surcharge of a long context, and what its tier is expected to answer unless the caller says.
    Request {
        input: u64,
        output: Option<u64>,
        expected: &'a TierTokens,
    },
}

impl Amount<'_> {
    fn usage(&self, model: &Model) -> Usage {
        match self {
            Self::Volume(usage) => usage.clone(),
            Self::Request {
                input,
                output,
                expected,
            } => Usage::of(
                *input,
                output.unwrap_or(expected.expected(model.may_think()).into()),
            ),
        }
    }

    fn cost(&self, usage: &Usage, prices: &Prices) -> Option<Cost> {
        match self {
            Self::Volume(_) => {
                let base = Prices {
                    long_context: None,
                    ..prices.clone()
                };
                cost::cost(usage, &base, ServiceTier::Default)
            }
            Self::Request { .. } => cost::cost(usage, prices, ServiceTier::Default),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Estimates {
    estimates: Vec<Estimate>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Estimate {
    model_id: String,
    model: String,
    scope: String,
    input_tokens: u64,
    output_tokens: u64,
    input_usd: Option<Usd>,
    output_usd: Option<Usd>,
    total_usd: Option<Usd>,
    warnings: Vec<String>,
}

/// Prices, and answers with the cheapest first; unknown prices come last. Nothing is called.
#[utoipa::path(post, path = "/estimate", tag = "catalog", summary = "What tokens or a prompt would cost, the cheapest first",
    request_body(content = EstimateRequest, examples(
        ("volume" = (summary = "A volume on two models", value = json!({
            "models": ["opus", "gpt-6-sol"], "inputTokens": 2000000, "outputTokens": 100000 }))),
        ("guide" = (summary = "A million tokens in and half a million out on the usual models", value = json!({}))),
    )),
    responses((status = 200, description = "The estimates", body = Estimates), Refusals))]
pub async fn estimate(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let record = call.record("/estimate");
    let answer = body.0.and_then(|body| app.estimates(&body));
    let answer = answer.map(|estimates| json(StatusCode::OK, &estimates, &call.request_id));
    call.conclude(answer, record, app.config.metrics.as_deref())
}

impl App {
    fn estimates(&self, body: &[u8]) -> Result<Estimates, Error> {
        let body: EstimateRequest = parse(body)?;
        for (field, tokens) in [
            ("inputTokens", body.input_tokens),
            ("outputTokens", body.output_tokens),
        ] {
            if tokens.is_some_and(|tokens| tokens > MOST_TOKENS) {
                return Err(Error::invalid(
                    field,
                    format!("there may be at most {MOST_TOKENS} tokens"),
                ));
            }
        }
        let amount = self.amount(&body)?;
        if let Some(scope) = body
            .scope
            .filter(|scope| !self.config.catalog.has_scope(scope))
        {
            return Err(Error::invalid(
                "scope",
                format!("no model is sold in the scope {}", scope.as_str()),
            ));
        }
        let catalog = &self.config.catalog;
        let named = body.models.as_deref().unwrap_or_default();
        if named.len() > MOST_MODELS {
            return Err(Error::invalid(
                "models",
                format!("there may be at most {MOST_MODELS} models"),
            ));
        }
        let mut estimates = Vec::new();
        for (index, name) in named.iter().enumerate() {
            let (model, scope) = self.model(name, index)?;
            estimates.push(self.quote(model, body.scope.as_ref().or(scope.as_ref()), &amount));
        }
        if body.models.is_none() {
            let usual = catalog
                .estimate
                .iter()
                .filter_map(|index| catalog.model(*index));
            estimates.extend(usual.map(|model| self.quote(model, body.scope.as_ref(), &amount)));
        }
        estimates.sort_by_key(|estimate| (estimate.total_usd.is_none(), estimate.total_usd));
        Ok(Estimates { estimates })
    }

    fn amount(&self, body: &EstimateRequest) -> Result<Amount<'_>, Error> {
        let Some(prompt) = &body.prompt else {
            let usage = Usage::of(
                body.input_tokens.unwrap_or(INPUT_TOKENS),
                body.output_tokens.unwrap_or(OUTPUT_TOKENS),
            );
            return Ok(Amount::Volume(usage));
        };
        if body.input_tokens.is_some() {
            return Err(Error::invalid(
                "inputTokens",
                "give either a prompt or inputTokens, not both",
            ));
        }
        let tier = classify(&Facts {
            prompt,
            ..Facts::default()
        })
        .tier;
        let expected = self.config.catalog.tier_tokens(tier);
        let expected =
            expected.ok_or_else(|| Error::Internal("a tier has no token budget".into()))?;
        Ok(Amount::Request {
            input: estimate_tokens(prompt).into(),
            output: body.output_tokens,
            expected,
        })
    }

    fn model(&self, name: &str, index: usize) -> Result<(&Model, Option<Scope>), Error> {
        let name = clean(name);
        match self.config.catalog.named(self.config.policy.known_as(name)) {
            Named::Model(reference) => Ok((reference.model, reference.scope)),
            Named::Opaque => Err(Error::invalid(
                format!("models[{index}]"),
                "only AWS knows the model behind this ARN",
            )),
            Named::Unknown(nearest) => {
                let detail = Error::unknown_model(name, &nearest).detail();
                Err(Error::invalid(format!("models[{index}]"), detail))
            }
        }
    }

    /// By the scope that is asked for, else by the id that would be invoked, else (for a model that is gone) by its last list
    /// price.
    fn quote(&self, model: &Model, wanted: Option<&Scope>, amount: &Amount<'_>) -> Estimate {
        let policy = &self.config.policy;
        let absence = model.absence(telemetry::today());
        let mut placements = model.placements(&policy.region, policy.residency);
        let here = placements.next().map(|placement| placement.scope);
        let scope = wanted.copied().or(here).unwrap_or(Scope::InRegion);
        let last = || {
            absence
                .is_some()
                .then(|| model.prices_in(&Scope::InRegion, &policy.region))
                .flatten()
        };
        let prices = model.prices_in(&scope, &policy.region).or_else(last);
        let usage = amount.usage(model);
        let cost = prices.and_then(|prices| amount.cost(&usage, prices));
        let mut warnings = self.remarks(model, &scope, absence, &usage, amount);
        warnings.extend(cost.is_none().then(|| unpriced(prices)));
        Estimate {
            model_id: model.id_in(prices.map_or(&scope, |prices| &prices.scope)),
            model: model.name.to_string(),
            scope: prices
                .map_or(&scope, |prices| &prices.scope)
                .as_str()
                .to_owned(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            input_usd: cost.map(|cost| cost.input_usd),
            output_usd: cost.map(|cost| cost.output_usd),
            total_usd: cost.map(|cost| cost.total_usd),
            warnings,
        }
    }

    /// Why the model, priced so, would not answer here: gone, not open, or too short a context.
    fn remarks(
        &self,
        model: &Model,
        scope: &Scope,
        absence: Option<String>,
        usage: &Usage,
        amount: &Amount<'_>,
    ) -> Vec<String> {
        let region = &self.config.policy.region;
        let is_open = |residency| {
            model
                .placements(region, residency)
                .any(|placement| placement.scope == *scope)
        };
        let closed = match (
            absence,
            is_open(self.config.policy.residency),
            is_open(Residency::Global),
        ) {
            (Some(absence), ..) => Some(absence),
            (None, true, _) => None,
            (None, false, true) => Some(format!(
                "DATA_RESIDENCY does not allow the scope {}",
                scope.as_str()
            )),
            (None, false, false) => Some(format!(
                "{} cannot be called from {region} in the scope {}",
                model.name,
                scope.as_str()
            )),
        };
        let context = model.limits.context_tokens.map_or(u64::MAX, u64::from);
        let too_long = matches!(amount, Amount::Request { .. }) && usage.total_tokens > context;
        let too_long = too_long.then(|| {
            format!(
                "{} tokens are more than its context of {context}",
                usage.total_tokens
            )
        });
        closed.into_iter().chain(too_long).collect()
    }
}

fn unpriced(prices: Option<&Prices>) -> String {
    let per =
        |name: &str, price: Option<Usd>| price.map(|price| format!("{name} costs {price} USD"));
    let unit = prices.and_then(|prices| {
        per("an image", prices.per_image).or_else(|| per("a query", prices.per_query))
    });
    unit.unwrap_or_else(|| "the price of its tokens is not known".into())
}
