//! Two views of a request: the rule's and the learned router's. One decides, as the operator says; the other is told beside it, so that
//! the difference can be seen before anybody switches.

use std::iter;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::classify::{Assessment, classify};
use super::decide::Policy;
use super::facts::Facts;
use super::learned::{self, Foretold};
use crate::catalog::{Catalog, Model, Task, Tier};
use crate::cost::{ServiceTier, Usage, cost};
use crate::usd::Usd;

/// Which router decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Router {
    /// The rule: keywords, length, tools, the caller's task.
    #[default]
    Rules,
    /// The learned one, where it has seen anything alike.
    Learned,
}

/// What both make of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views {
    /// The rule's tier.
    pub rules: Tier,
    /// The learned router's.
    pub learned: Tier,
    /// What it foretells.
    pub foretold: Foretold,
    /// What words, tools and the caller's task add to the quality of a large model, in millionths.
    pub evidence: i32,
    /// What the first choice of each tier would cost with the tokens that are foretold.
    pub costs: [Usd; 3],
    /// Where the models of each tier stand in the quality column.
    pub classes: [u8; 3],
}

/// A point of the rule, in millionths of quality.
const POINT: i32 = 6_000;

const TIERS: [Tier; 3] = [Tier::Simple, Tier::Medium, Tier::Complex];

impl Views {
    /// What the learned router's choice would save against the rule's; below zero where it is dearer.
    #[must_use]
    pub fn saving(&self) -> Usd {
        let [small, medium, large] = self.costs;
        let of = |tier| match tier {
            Tier::Simple => small,
            Tier::Medium => medium,
            Tier::Complex => large,
        };
        of(self.rules) - of(self.learned)
    }

    /// The quality, in millionths, to be expected of a model by its place in the quality column: on straight lines through what is
    /// foretold of the three classes, from nothing at 0 on, and above the highest class no more than that.
    #[must_use]
    pub fn expected_quality(&self, place: u8) -> i32 {
        let points = iter::once((0, 0)).chain(self.classes.into_iter().zip(self.foretold.quality));
        let mut below = (0, 0);
        for point in points {
            let (from, to) = (i32::from(below.0), i32::from(point.0));
            if place <= point.0 {
                let part = (point.1 - below.1) * (i32::from(place) - from);
                return below.1 + part.checked_div(to - from).unwrap_or(0);
            }
            below = point;
        }
        below.1
    }
}

/// How much model a request needs, by the router that decides.
pub(super) fn assess(
    catalog: &Catalog,
    policy: &Policy,
    facts: &Facts<'_>,
    today: Date,
) -> Assessment {
    let rule = classify(facts);
    let views = views(catalog, policy, facts, &rule, today);
    match views {
        Some(views) if policy.router == Router::Learned => by_the_learned(rule, views),
        views => Assessment { views, ..rule },
    }
}

/// Both views; `None` for a prompt unlike all that was learned from, or where a price is not known: then the rule stands alone.
fn views(
    catalog: &Catalog,
    policy: &Policy,
    facts: &Facts<'_>,
    rule: &Assessment,
    today: Date,
) -> Option<Views> {
    let calibration = policy.calibration.as_ref();
    let foretold = learned::foretell_by(calibration, facts.prompt, facts.earlier)?;
    let costs =
        TIERS.map(|tier| expected_cost(catalog, policy, facts, rule.task, tier, &foretold, today));
    let [Some(small), Some(medium), Some(large)] = costs else {
        return None;
    };
    let costs = [small, medium, large];
    let dearest = small.max(medium).max(large).pico().max(1);
    let share = |cost: Usd| u16::try_from(cost.pico() * 1000 / dearest).unwrap_or(1000);
    let evidence = rule.evidence * POINT;
    Some(Views {
        rules: rule.tier,
        learned: learned::choose(
            &foretold,
            costs.map(share),
            learned::pressure(calibration, facts.budget),
            evidence,
        ),
        foretold,
        evidence,
        costs,
        classes: TIERS.map(|tier| catalog.tier_tokens(tier).map_or(0, |tier| tier.quality)),
    })
}

/// What the first choice of a tier would cost here, with the tokens that are foretold.
fn expected_cost(
    catalog: &Catalog,
    policy: &Policy,
    facts: &Facts<'_>,
    task: Task,
    tier: Tier,
    foretold: &Foretold,
    today: Date,
) -> Option<Usd> {
    let lives = |model: &&Model| model.absence(today).is_none();
    let mut models = catalog
        .candidates(task, tier)
        .iter()
        .filter_map(|ranked| catalog.model(ranked.model))
        .filter(lives);
    let prices = models.find_map(|model| {
        let scope = model.scopes(&policy.region, policy.residency).next()?;
        model.prices_in(&scope, &policy.region)
    })?;
    let usage = Usage::of(facts.input_tokens.into(), foretold.output_tokens.into());
    Some(cost(&usage, prices, ServiceTier::Default)?.total_usd)
}

/// The learned router's tier, with a score in the band of the tier.
fn by_the_learned(rule: Assessment, views: Views) -> Assessment {
    let leaning = 50 + (views.foretold.gain + views.evidence) / 5_000;
    let (least, most) = match views.learned {
        Tier::Simple => (0, 39),
        Tier::Medium => (40, 64),
        Tier::Complex => (65, 100),
    };
    let [small, medium, large] = views
        .foretold
        .quality
        .map(|quality| f64::from(quality) / 1e6);
    let expected = format!(
        "learned: quality {small:.2} of a small model, {medium:.2} of a medium one, {large:.2} of a large one"
    );
    Assessment {
        tier: views.learned,
        score: u8::try_from(leaning.clamp(least, most)).unwrap_or(50),
        reasons: iter::once(expected).chain(rule.reasons).collect(),
        views: Some(views),
        ..rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_place_says_what_to_expect_of_it() {
        let views = Views {
            rules: Tier::Simple,
            learned: Tier::Simple,
            foretold: Foretold {
                quality: [400_000, 700_000, 800_000],
                ..learned::foretell("What is the capital of France?")
            },
            evidence: 0,
            costs: [Usd::default(); 3],
            classes: [80, 90, 95],
        };
        for (place, quality) in [
            (0, 0),
            (40, 200_000),
            (80, 400_000),
            (85, 550_000),
            (90, 700_000),
            (92, 740_000),
            (95, 800_000),
            (98, 800_000),
        ] {
            assert_eq!(views.expected_quality(place), quality, "{place}");
        }
    }
}
