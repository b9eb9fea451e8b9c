//! Every model a caller could name, and the id that works for it here.

use std::borrow::Cow;

use jiff::civil::{Date, date};

pub use data::*;
pub use load::load;
pub use name::{Named, Reference, arn_region, clean, is_stored_prompt};
pub use place::{Placement, Residency};
pub use prices::{LongContext, Prefix, Prices, Scope, TokenPrices};

use crate::usd::{Rate, Usd};

mod data;
mod load;
mod name;
mod place;
mod prices;

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

impl Catalog {
    /// The catalog compiled into the program. It costs nothing to load.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The output tokens of a tier.
    #[must_use]
    pub fn tier_tokens(&self, tier: Tier) -> Option<&TierTokens> {
        self.tiers.get(tier as usize)
    }

    /// The candidates for a task and tier, in order of preference: those of the task's own route, else of the common one.
    #[must_use]
    pub fn candidates(&self, task: Task, tier: Tier) -> &[Ranked] {
        let serves =
            |route: &&Route, task| route.task == task && route.tier.is_none_or(|t| t == tier);
        let own = self.routes.iter().find(|route| serves(route, Some(task)));
        let route = own.or_else(|| self.routes.iter().find(|route| serves(route, None)));
        route.map_or(&[], |route| &route.candidates)
    }

    /// The model at an index of `names` or of a route.
    #[must_use]
    pub fn model(&self, index: u16) -> Option<&Model> {
        self.models.get(usize::from(index))
    }

    /// The living model that takes a dead one's place, after as many steps as it takes.
    #[must_use]
    pub fn successor(&self, model: &Model, today: Date) -> Option<&Model> {
        let mut next = model.successor.as_deref();
        for _ in 0..self.models.len() {
            let model = self.find(next?)?;
            if model.absence(today).is_none() {
                return Some(model);
            }
            next = model.successor.as_deref();
        }
        None
    }
}

impl TierTokens {
    /// `maxTokens` for a model when the caller sets none: with room to think, where it may.
    #[must_use]
    pub fn ceiling(&self, thinks: bool) -> u32 {
        self.max_tokens + if thinks { self.thinking_tokens } else { 0 }
    }

    /// The output tokens that a model is expected to use, thinking included.
    #[must_use]
    pub fn expected(&self, thinks: bool) -> u32 {
        self.expected_output_tokens
            + if thinks {
                self.expected_thinking_tokens
            } else {
                0
            }
    }
}

impl Model {
    /// Why the model cannot be called on a day, or `None` while it lives.
    #[must_use]
    pub fn absence(&self, today: Date) -> Option<String> {
        let name = &self.name;
        if let Some(elsewhere) = &self.lifecycle.elsewhere {
            return Some(format!(
                "{name} is served by {elsewhere} only, not by bedrock-runtime"
            ));
        }
        match self.lifecycle.end_of_life {
            Some(end) if end <= today => Some(format!("{name} reached its end of life on {end}")),
            _ if self.lifecycle.status == Status::EndOfLife => {
                Some(format!("{name} has reached its end of life"))
            }
            _ => None,
        }
    }

    /// Days until the model ends, if a day is set; negative once it has ended.
    #[must_use]
    pub fn days_left(&self, today: Date) -> Option<i32> {
        let end = self.lifecycle.end_of_life?;
        today.until(end).ok().map(|span| span.get_days())
    }

    /// What an id of the model costs when called from a Region, if that is known: the Region's own price for the bare id where
    /// there is one, else the scope's list price.
    #[must_use]
    pub fn prices_in(&self, scope: &Scope, region: &str) -> Option<&Prices> {
        let of_scope = || self.prices.iter().filter(|prices| prices.scope == *scope);
        let own = of_scope().find(|prices| prices.region.as_deref() == Some(region));
        own.or_else(|| of_scope().find(|prices| prices.region.is_none()))
    }

    /// Whether it takes a kind of content.
    #[must_use]
    pub fn takes(&self, modality: Modality) -> bool {
        self.input.contains(&modality)
    }

    /// Whether an answer needs room for thinking: it thinks by default, or may, for all that is known.
    #[must_use]
    pub fn may_think(&self) -> bool {
        let capabilities = &self.capabilities;
        capabilities.reasoning == Some(true) && capabilities.thinks_by_default != Some(false)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MODELS: &str = include_str!("../../models.json");
    const ROUTES: &str = include_str!("../../routes.json");

    #[test]
    fn the_static_table_is_the_files() {
        let loaded = load(MODELS, ROUTES).unwrap();
        assert_eq!(format!("{loaded:?}"), format!("{:?}", Catalog::built_in()));
    }

    #[test]
    fn every_fact_has_a_source() {
        for model in Catalog::built_in().models.iter() {
            let sources = &model.sources;
            assert!(!sources.availability.is_empty(), "{}", model.id);
            assert!(
                model.prices.is_empty() || sources.prices.is_some(),
                "{}",
                model.id
            );
            assert!(
                model.kind != Kind::Text || sources.capabilities.is_some(),
                "{}",
                model.id
            );
            assert!(
                sources.lifecycle.is_some() || model.lifecycle.status == Status::Legacy,
                "{}",
                model.id
            );
        }
    }

    /// Dead or dying models that nothing takes the place of: gated previews, and models that listen.
    const WITHOUT_SUCCESSOR: [&str; 4] = [
        "mistral.voxtral-mini-3b-2507",
        "mistral.voxtral-small-24b-2507",
        "openai.gpt-5.6-cyber",
        "openai.gpt-daybreak-blue-5.6-sol",
    ];

    #[test]
    fn every_dead_or_dying_model_has_a_living_successor() {
        let catalog = Catalog::built_in();
        let is_dying = |model: &&Model| {
            let life = &model.lifecycle;
            life.status != Status::Active || life.end_of_life.is_some() || life.elsewhere.is_some()
        };
        for model in catalog.models.iter().filter(is_dying) {
            let exempt = WITHOUT_SUCCESSOR.contains(&model.id.as_ref());
            assert_ne!(
                catalog.successor(model, date(2026, 11, 24)).is_some(),
                exempt,
                "{}",
                model.id
            );
        }
    }

    #[test]
    fn every_route_survives_the_outage_of_one_provider() {
        let catalog = Catalog::built_in();
        for route in catalog.routes.iter() {
            let models = route
                .candidates
                .iter()
                .filter_map(|c| catalog.model(c.model));
            let providers: BTreeSet<_> = models.map(|model| &model.provider).collect();
            assert!(providers.len() > 1, "{:?} {:?}", route.task, route.tier);
        }
    }

    #[test]
    fn a_region_may_have_its_own_price() {
        let llama = Catalog::built_in().find("llama3-8b").unwrap();
        let input = |region| {
            llama
                .prices_in(&Scope::InRegion, region)?
                .standard
                .as_ref()?
                .input
        };
        assert_eq!(input("us-east-1"), Some(Rate::from_pico(300_000)));
        assert_eq!(input("eu-west-2"), Some(Rate::from_pico(390_000)));
        assert!(llama.prices_in(&Scope::Global, "us-east-1").is_none());
    }

    #[test]
    fn a_day_decides_who_is_dead() {
        let jamba = Catalog::built_in()
            .find("ai21.jamba-1-5-mini-v1:0")
            .unwrap();
        assert_eq!(jamba.absence(date(2026, 11, 25)), None);
        let reason = jamba.absence(date(2026, 11, 26)).unwrap();
        assert_eq!(
            reason,
            "jamba-1-5-mini reached its end of life on 2026-11-26"
        );
    }

    #[test]
    fn files_that_do_not_fit_each_other_are_refused() {
        for (models, routes, reason) in [
            (MODELS, "{}", "routes: missing field"),
            (
                r#"{"about": 1, "gathered": 1, "models": []}"#,
                ROUTES,
                "is not the id of a model",
            ),
            (
                MODELS,
                &ROUTES.replace("\"quality\": {", "\"quality\": {}, \"x\": {"),
                "unknown field `x`",
            ),
            (
                MODELS,
                &ROUTES.replace("\"anthropic.claude-opus-5-5\": 95,", ""),
                "anthropic.claude-opus-5-5 has no quality",
            ),
            (
                MODELS,
                &ROUTES.replace("\"tier\": \"complex\"", "\"tier\": \"simple\""),
                "no route serves the tier Complex",
            ),
            (
                &MODELS.replace("\"opus\"", "\"sonnet\""),
                ROUTES,
                "the name sonnet stands for two models",
            ),
        ] {
            let error = load(models, routes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
