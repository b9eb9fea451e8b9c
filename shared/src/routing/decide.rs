//! From facts to a ranked chain of candidates.

use std::iter;

use jiff::civil::Date;

use super::classify::{Assessment, classify};
use super::facts::{Budget, Facts};
use super::filter;
use super::learned::calibration::Calibration;
use super::views::{Router, assess};
use crate::catalog::{Catalog, Model, Prices, Residency, Scope};
use crate::cost::ServiceTier;
use crate::error::Error;
use crate::usd::Usd;

/// What the operator allows, from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The Region that calls are made from.
    pub region: String,
    /// How far prompts may travel.
    pub residency: Residency,
    /// Models that must not be used, by bare id; or ARNs.
    pub disabled: Vec<String>,
    /// The highest `maxTokens` of any call.
    pub max_tokens: Option<u32>,
    /// The most any call may cost, as far as its price is known.
    pub max_cost: Option<Usd>,
    /// `auto` leaves models alone that end within so many days.
    pub retire_days: i32,
    /// ARNs that only AWS can resolve, each with the model's or profile's id behind it.
    pub arns: Vec<(String, String)>,
    /// No other Region can be called: the endpoint is one Region's.
    pub confined: bool,
    /// Which router decides how much model a request needs.
    pub router: Router,
    /// What the operator's own prompts add to the learned router.
    pub calibration: Option<Calibration>,
}

impl Policy {
    /// The catalog's name for what a caller wrote: that behind an ARN, where the operator has configured one.
    #[must_use]
    pub fn known_as<'a>(&'a self, name: &'a str) -> &'a str {
        self.arns
            .iter()
            .find(|(arn, _)| arn == name)
            .map_or(name, |(_, known)| known)
    }
}

/// The model a caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub enum Wanted<'a> {
    /// Whatever will do.
    #[default]
    Auto,
    /// A model by any of its names.
    Named {
        /// The name.
        name: &'a str,
        /// Refuse a dead model rather than serve its successor.
        strict: bool,
    },
}

impl<'a> Wanted<'a> {
    /// What a caller wrote: a name, `auto`, or nothing.
    #[must_use]
    pub fn of(model: Option<&'a str>, strict: bool) -> Self {
        match model {
            Some(name) if !name.trim().eq_ignore_ascii_case("auto") => Self::Named { name, strict },
            Some(_) | None => Self::Auto,
        }
    }
}

/// Where a request goes, and why.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// How much model it needs.
    pub assessment: Assessment,
    /// The budget that ranked the candidates.
    pub budget: Budget,
    /// The candidate that is asked first.
    pub first: Candidate<'a>,
    /// Those asked after it, in order, should it not answer.
    pub others: Vec<Candidate<'a>>,
    /// Those that will not do, with why.
    pub rejected: Vec<Rejected>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

impl<'a> Decision<'a> {
    /// The candidates in the order they are asked.
    pub fn chain(&self) -> impl Iterator<Item = &Candidate<'a>> {
        iter::once(&self.first).chain(&self.others)
    }
}

/// A model that will do, as it will be asked.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The id to invoke.
    pub id: String,
    /// The model; `None` behind an ARN that is not configured.
    pub model: Option<&'a Model>,
    /// What the id is priced by.
    pub scope: Option<Scope>,
    /// Its prices, if they are known.
    pub prices: Option<&'a Prices>,
    /// The service tier of the call: the one that is asked for, where it is sold.
    pub tier: ServiceTier,
    /// `maxTokens` for the call.
    pub max_tokens: u32,
    /// What it is expected to cost, if prices are known.
    pub estimate: Option<Usd>,
    /// The context has room even if the input is a fifth longer than estimated.
    pub roomy: bool,
    /// Its place in the quality column; 0 where it has none.
    pub quality: u8,
    /// That it ends soon.
    pub notice: Option<String>,
}

/// A caller is told of the end of a model so many days before.
const NOTICE_DAYS: i32 = 90;

/// A model that will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The id that would have been invoked, or the bare id.
    pub id: String,
    /// What it was expected to cost, if prices are known.
    pub estimate: Option<Usd>,
    /// Why it will not do.
    pub reason: String,
}

/// One model's fitness for a request.
pub(super) type Outcome<'a> = Result<Candidate<'a>, Rejected>;

/// Decides where a request goes on a given day.
///
/// # Errors
/// [`Error::Invalid`] for a name that nothing is known of, [`Error::Gone`] for a dead model when the caller is strict or
/// nothing succeeds it, [`Error::NoCandidate`] when no model will do.
pub fn decide<'a>(
    catalog: &'a Catalog,
    policy: &Policy,
    facts: &Facts<'_>,
    wanted: Wanted<'_>,
    today: Date,
) -> Result<Decision<'a>, Error> {
    let search = Search {
        catalog,
        policy,
        facts,
        today,
        assessment: match wanted {
            Wanted::Auto => assess(catalog, policy, facts, today),
            Wanted::Named { .. } => classify(facts),
        },
    };
    match wanted {
        Wanted::Auto => search.auto(),
        Wanted::Named { name, strict } => search.named(name, strict),
    }
}

/// Everything that choosing looks at.
pub(super) struct Search<'a, 'f> {
    pub(super) catalog: &'a Catalog,
    pub(super) policy: &'f Policy,
    pub(super) facts: &'f Facts<'f>,
    pub(super) today: Date,
    pub(super) assessment: Assessment,
}

impl<'a> Search<'a, '_> {
    fn auto(self) -> Result<Decision<'a>, Error> {
        let mut chain = Vec::new();
        let mut rejected = Vec::new();
        for ranked in self
            .catalog
            .candidates(self.assessment.task, self.assessment.tier)
        {
            let Some(model) = self.catalog.model(ranked.model) else {
                continue;
            };
            let mut everywhere = self.everywhere(model, true);
            match everywhere.next() {
                Some(Err(reason)) => rejected.push(reason),
                None => rejected.push(self.nowhere(model)),
                Some(Ok(candidate)) => {
                    let others = everywhere.filter_map(Result::ok);
                    let all = iter::once(candidate).chain(others);
                    chain.extend(all.map(|candidate| Candidate {
                        quality: ranked.quality,
                        ..candidate
                    }));
                }
            }
        }
        rank(&mut chain, self.facts.budget);
        self.conclude(chain, rejected, Vec::new())
    }

    pub(super) fn conclude(
        self,
        chain: Vec<Candidate<'a>>,
        rejected: Vec<Rejected>,
        warnings: Vec<String>,
    ) -> Result<Decision<'a>, Error> {
        let mut chain = chain.into_iter();
        let Some(first) = chain.next() else {
            return Err(Error::NoCandidate { rejected });
        };
        Ok(Decision {
            assessment: self.assessment,
            budget: self.facts.budget,
            first,
            others: chain.collect(),
            rejected,
            warnings,
        })
    }

    /// The best id of a model that works here within a scope, if the model will do.
    pub(super) fn consider(
        &self,
        model: &'a Model,
        wanted: Option<&Scope>,
        auto: bool,
    ) -> Outcome<'a> {
        let region = &self.policy.region;
        let scopes = || model.scopes(region, self.policy.residency);
        let within = |scope: &Scope| wanted.is_none_or(|wanted| self.is_within(scope, wanted));
        let exact = wanted.and_then(|wanted| scopes().find(|scope| scope == wanted));
        if let Some(scope) = exact.or_else(|| scopes().find(within)) {
            return self.fit(model, model.id_in(&scope), scope, auto);
        }
        let (Some(wanted), Some(other)) = (wanted, scopes().next()) else {
            return Err(self.nowhere(model));
        };
        let (wanted, other) = (wanted.as_str(), model.id_in(&other));
        Err(Rejected {
            id: model.id.to_string(),
            estimate: None,
            reason: format!(
                "the scope {wanted} is not open from {region}; without the prefix, {other} would answer"
            ),
        })
    }

    /// A model by each of its ids that work here, the best one first; each has a quota of its own.
    fn everywhere(&self, model: &'a Model, auto: bool) -> impl Iterator<Item = Outcome<'a>> {
        let scopes = model.scopes(&self.policy.region, self.policy.residency);
        scopes.map(move |scope| self.fit(model, model.id_in(&scope), scope, auto))
    }

    /// The other ids of a model of which the first is asked already.
    pub(super) fn elsewhere_too(
        &self,
        model: &'a Model,
        first: Option<Scope>,
    ) -> impl Iterator<Item = Candidate<'a>> {
        let all = self.everywhere(model, false).filter_map(Result::ok);
        all.filter(move |candidate| candidate.scope != first)
    }

    /// No id of a model works here.
    fn nowhere(&self, model: &Model) -> Rejected {
        Rejected {
            id: model.id.to_string(),
            estimate: None,
            reason: self.absent(model),
        }
    }

    /// Whether what runs in one scope stays within another, as seen from here: a caller who names a geography is not served
    /// from a different one.
    fn is_within(&self, scope: &Scope, wanted: &Scope) -> bool {
        let here_is_in = |wanted: &Scope| {
            let mut profiles = self
                .catalog
                .models
                .iter()
                .flat_map(|model| model.profiles.iter());
            profiles.any(|profile| {
                profile.scope == *wanted && profile.to.iter().any(|to| *to == self.policy.region)
            })
        };
        match (scope, wanted) {
            (_, Scope::Global) => true,
            (Scope::InRegion, Scope::Geo(_)) => here_is_in(wanted),
            (scope, wanted) => scope == wanted,
        }
    }

    /// Why no id of a model works here.
    fn absent(&self, model: &Model) -> String {
        if let Some(absence) = model.absence(self.today) {
            return absence;
        }
        let region = &self.policy.region;
        let wider = [Residency::Geo, Residency::Global]
            .into_iter()
            .find(|r| model.scopes(region, *r).next().is_some());
        match wider {
            Some(Residency::Geo) => format!("from {region} only with DATA_RESIDENCY geo"),
            Some(Residency::Global) => format!("from {region} only with DATA_RESIDENCY global"),
            Some(Residency::InRegion) | None => format!("not available from {region}"),
        }
    }

    fn notice(&self, model: &Model) -> Option<String> {
        let days = model
            .days_left(self.today)
            .filter(|days| *days <= NOTICE_DAYS)?;
        let end = model.lifecycle.end_of_life?;
        Some(format!(
            "{} reaches its end of life on {end}, in {days} days",
            model.name
        ))
    }

    /// Whether a model will do under an id that works.
    pub(super) fn fit(
        &self,
        model: &'a Model,
        id: String,
        scope: Scope,
        auto: bool,
    ) -> Outcome<'a> {
        let prices = model.prices_in(&scope, &self.policy.region);
        let tier = filter::tier(self.facts, prices);
        let estimate = prices.and_then(|prices| filter::estimate(self, model, prices, tier));
        let judged = filter::unfit(self, model, &id, auto)
            .or_else(|| filter::tierless(self.facts, tier).filter(|_| auto))
            .map_or_else(|| filter::ceiling(self, model, prices, tier), Err);
        match judged {
            Ok(max_tokens) => Ok(Candidate {
                id,
                model: Some(model),
                scope: Some(scope),
                prices,
                tier,
                max_tokens,
                estimate,
                roomy: filter::is_roomy(self, model),
                quality: 0,
                notice: self.notice(model),
            }),
            Err(reason) => Err(Rejected {
                id,
                estimate,
                reason,
            }),
        }
    }
}

/// Orders candidates by budget; equal ones keep the order of preference. An unknown cost comes last, and so do those whose
/// context the request may not fit into after all.
fn rank(chain: &mut [Candidate<'_>], budget: Budget) {
    match budget {
        Budget::LowerCost => chain.sort_by_key(|c| (c.estimate.is_none(), c.estimate)),
        Budget::Balanced => {}
        Budget::BestQuality => chain.sort_by_key(|c| std::cmp::Reverse(c.quality)),
    }
    chain.sort_by_key(|c| !c.roomy);
}
