//! The decision when the caller names a model.

use super::decide::{Candidate, Decision, Outcome, Rejected, Search};
use crate::catalog::{Named, Reference, Residency, Scope, arn_region, clean};
use crate::error::Error;

/// The longest id that Bedrock takes.
const LONGEST_NAME: usize = 2048;

impl<'a> Search<'a, '_> {
    pub(super) fn named(self, name: &str, strict: bool) -> Result<Decision<'a>, Error> {
        let name = clean(name);
        if name.len() > LONGEST_NAME {
            return Err(Error::invalid(
                "model",
                format!("a model's name has at most {LONGEST_NAME} characters"),
            ));
        }
        let mut warnings = Vec::new();
        let known_as = self.policy.known_as(name);
        let is_configured = known_as != name;
        let named = self.catalog.named(known_as);
        let is_bare = !is_configured
            && matches!(&named, Named::Model(reference) if reference.scope.is_none())
            && !name.starts_with("arn:");
        let outcome = match (named, self.elsewhere(name)) {
            (Named::Unknown(nearest), _) => return Err(Error::unknown_model(name, &nearest)),
            (_, Some(reason)) => self.refuse(name, &reason),
            (Named::Model(reference), None) if is_configured => self.behind_arn(name, &reference),
            (Named::Model(reference), None) => self.known(&reference, strict, &mut warnings)?,
            (Named::Opaque, None) => self.opaque(name, &mut warnings),
        };
        match outcome {
            Ok(candidate) => {
                let (model, scope) = (candidate.model, candidate.scope);
                let mut chain = vec![candidate];
                // A scope or an ARN that the caller spells out is a promise.
                if let Some(model) = model.filter(|_| is_bare) {
                    chain.extend(self.elsewhere_too(model, scope));
                }
                self.conclude(chain, Vec::new(), warnings)
            }
            Err(rejected) => self.conclude(Vec::new(), vec![rejected], warnings),
        }
    }

    /// Why an ARN of another Region will not do.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let region = arn_region(name).filter(|region| *region != self.policy.region)?;
        Some(format!(
            "the ARN is of {region}, and calls are made from {}",
            self.policy.region
        ))
    }

    fn refuse(&self, id: &str, reason: &str) -> Outcome<'a> {
        Err(Rejected {
            id: id.to_owned(),
            estimate: None,
            reason: reason.to_owned(),
        })
    }

    /// A model of the catalog, or its successor.
    fn known(
        &self,
        reference: &Reference<'a>,
        strict: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome<'a>, Error> {
        let mut model = reference.model;
        if let Some(absence) = model.absence(self.today) {
            let successor = self.catalog.successor(model, self.today);
            let Some(living) = successor.filter(|_| !strict) else {
                return Err(Error::gone(absence, successor.map(|m| m.id.to_string())));
            };
            warnings.push(format!("{absence}; {} answers in its place", living.name));
            model = living;
        }
        let wanted = reference.scope.as_ref();
        let outcome = self.consider(model, wanted, false);
        if let (Ok(candidate), Some(wanted)) = (&outcome, wanted)
            && candidate.scope.as_ref() != Some(wanted)
        {
            let (wanted, region, id) = (wanted.as_str(), &self.policy.region, &candidate.id);
            warnings.push(format!(
                "the scope {wanted} is not open from {region}: {id} answers, which stays within it"
            ));
        }
        Ok(outcome)
    }

    /// An ARN that the configuration gives a model: invoked as it stands, priced and limited by the model.
    fn behind_arn(&self, arn: &str, reference: &Reference<'a>) -> Outcome<'a> {
        let scope = reference.scope.unwrap_or(Scope::InRegion);
        self.fit(reference.model, arn.to_owned(), scope, false)
    }

    /// An ARN that nothing is known of: it goes through, unless a limit must be kept that needs to know more.
    fn opaque(&self, arn: &str, warnings: &mut Vec<String>) -> Outcome<'a> {
        let is_global = arn.contains(":inference-profile/global.");
        if self.policy.disabled.iter().any(|name| name == arn) {
            return self.refuse(arn, "disabled by the operator");
        }
        if self.policy.residency == Residency::InRegion
            || (is_global && self.policy.residency == Residency::Geo)
        {
            return self.refuse(arn, "only AWS knows where it runs, so DATA_RESIDENCY cannot be kept; MODEL_ARNS can name its model");
        }
        if self.facts.max_cost.is_some() {
            return self.refuse(
                arn,
                "its price is unknown, so maxCostUsd cannot be kept; MODEL_ARNS can name its model",
            );
        }
        warnings.push("only AWS knows the model behind this ARN: it goes through as it is, and its cost is unknown".into());
        let usual = self
            .catalog
            .tier_tokens(self.assessment.tier)
            .map_or(1, |tokens| tokens.max_tokens);
        let most = self.policy.max_tokens.unwrap_or(u32::MAX);
        let max_tokens = self.facts.max_tokens.unwrap_or(usual).min(most);
        let id = arn.to_owned();
        Ok(Candidate {
            id,
            model: None,
            scope: None,
            prices: None,
            tier: self.facts.service_tier,
            max_tokens,
            estimate: None,
            roomy: true,
            quality: 0,
            notice: None,
        })
    }
}
