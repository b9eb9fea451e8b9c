//! Models that do not converse: which one makes the vectors, draws the image, orders the documents, and where it is called.
//!
//! Unlike a conversation, their requests say all by themselves: there is no tier and no task, only a kind. Some of these models live
//! in few Regions, so that the call may leave the own one, as far as the residency allows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::decide::{Policy, Rejected, Wanted};
use crate::catalog::{
    Catalog, Kind, Model, Named, Prices, Reference, Residency, Scope, Task, Tier, arn_region, clean,
};
use crate::error::Error;
use crate::usd::Usd;

/// A model of the wanted kind, and how it is called.
#[derive(Clone, Debug)]
pub struct Specialist<'a> {
    /// The model.
    pub model: &'a Model,
    /// The id to invoke.
    pub id: String,
    /// What it is priced by.
    pub scope: Scope,
    /// The Region to call it in.
    pub region: String,
    /// Its prices, where they are known.
    pub prices: Option<&'a Prices>,
}

/// The models that may serve a request, best first; there is one at least.
#[derive(Clone, Debug)]
pub struct Specialists<'a> {
    /// The best.
    pub first: Specialist<'a>,
    /// What to ask when it fails.
    pub others: Vec<Specialist<'a>>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

impl Specialist<'_> {
    /// Refuses what is estimated to cost more than the caller or the operator allows.
    ///
    /// # Errors
    /// [`Error::NoCandidate`] with the reason.
    pub fn afford(
        &self,
        estimate: Option<Usd>,
        max_cost: Option<Usd>,
        policy: &Policy,
    ) -> Result<(), Error> {
        let reason = match (estimate, max_cost, policy.max_cost) {
            (None, Some(limit), _) => format!(
                "the price of {} is unknown, so maxCostUsd {limit} cannot be kept",
                self.id
            ),
            (Some(estimate), Some(limit), _) if estimate > limit => {
                format!("about {estimate} USD, more than maxCostUsd {limit}")
            }
            (Some(estimate), _, Some(limit)) if estimate > limit => {
                format!("about {estimate} USD, more than the operator's MAX_COST_USD {limit}")
            }
            (None | Some(_), _, _) => return Ok(()),
        };
        let rejected = Rejected {
            estimate,
            ..refused(&self.id, reason)
        };
        Err(Error::NoCandidate {
            rejected: vec![rejected],
        })
    }
}

/// Finds the models of a kind that may serve here.
///
/// # Errors
/// [`Error::Invalid`] for a name that stands for nothing or for another kind, [`Error::Gone`] for a dead model and a strict caller,
/// [`Error::NoCandidate`] where none may be called.
pub fn specialists<'a>(
    catalog: &'a Catalog,
    policy: &Policy,
    kind: Kind,
    wanted: Wanted<'_>,
    today: Date,
) -> Result<Specialists<'a>, Error> {
    let search = Search {
        catalog,
        policy,
        kind,
        today,
    };
    let mut warnings = Vec::new();
    let found = match wanted {
        Wanted::Auto => search.auto(),
        Wanted::Named { name, strict } => search.named(clean(name), strict, &mut warnings)?,
    };
    let (places, rejected) = found;
    let mut places = places.into_iter();
    let first = places.next().ok_or(Error::NoCandidate { rejected })?;
    Ok(Specialists {
        first,
        others: places.collect(),
        warnings,
    })
}

struct Search<'a, 'p> {
    catalog: &'a Catalog,
    policy: &'p Policy,
    kind: Kind,
    today: Date,
}

type Found<'a> = (Vec<Specialist<'a>>, Vec<Rejected>);

impl<'a> Search<'a, '_> {
    /// Vectors by the route for them, because those of two models cannot be compared; else the nearest and cheapest model.
    fn auto(&self) -> Found<'a> {
        let models: Vec<&Model> = if self.kind == Kind::Embedding {
            let route = self.catalog.candidates(Task::Embedding, Tier::Simple);
            route
                .iter()
                .filter_map(|ranked| self.catalog.model(ranked.model))
                .collect()
        } else {
            let all = self.catalog.models.iter();
            all.filter(|model| model.kind == self.kind && model.absence(self.today).is_none())
                .collect()
        };
        let (mut places, mut rejected) = (Vec::new(), Vec::new());
        for model in models {
            match self.places(model).and_then(|places| self.lasting(places)) {
                Ok(mut found) => places.append(&mut found),
                Err(reason) => rejected.push(reason),
            }
        }
        if self.kind != Kind::Embedding {
            places.sort_by_key(|place| (place.region != self.policy.region, price(place)));
        }
        (places, rejected)
    }

    fn lasting(&self, places: Vec<Specialist<'a>>) -> Result<Vec<Specialist<'a>>, Rejected> {
        let days = places
            .first()
            .and_then(|place| place.model.days_left(self.today));
        match (days, places.first()) {
            (Some(days), Some(place)) if days <= self.policy.retire_days => {
                Err(refused(&place.id, format!("it ends in {days} days")))
            }
            _ => Ok(places),
        }
    }

    fn named(
        &self,
        name: &str,
        strict: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Found<'a>, Error> {
        let known_as = self.policy.known_as(name);
        let reference = match self.catalog.named(known_as) {
            Named::Model(reference) => reference,
            Named::Unknown(nearest) => return Err(Error::unknown_model(name, &nearest)),
            Named::Opaque => {
                let words =
                    "only AWS knows the model behind this ARN; the setting MODEL_ARNS can name it";
                return Err(Error::invalid("model", words));
            }
        };
        let model = self.living(reference.model, strict, warnings)?;
        if model.kind != self.kind {
            return Err(self.of_another_kind(model));
        }
        let mut found = match self.places(model) {
            Ok(places) => places,
            Err(rejected) => return Ok((Vec::new(), vec![rejected])),
        };
        if known_as != name {
            return Ok(self.behind_arn(name, model, &reference));
        }
        let scope = reference.scope;
        let region = arn_region(name);
        found.retain(|place| {
            scope.is_none_or(|scope| scope == place.scope)
                && region.is_none_or(|region| region == place.region)
        });
        if found.is_empty() {
            let words = format!(
                "from {} within the data residency there is no such place; without prefix or Region in its name, {} could be called",
                self.policy.region, model.name
            );
            return Ok((Vec::new(), vec![refused(name, words)]));
        }
        Ok((found, Vec::new()))
    }

    fn living(
        &self,
        model: &'a Model,
        strict: bool,
        warnings: &mut Vec<String>,
    ) -> Result<&'a Model, Error> {
        let Some(absence) = model.absence(self.today) else {
            let days = model.days_left(self.today).filter(|days| *days <= 90);
            warnings.extend(
                days.map(|days| format!("{} reaches its end of life in {days} days", model.name)),
            );
            return Ok(model);
        };
        let successor = self.catalog.successor(model, self.today);
        let Some(living) = successor.filter(|_| !strict) else {
            return Err(Error::gone(
                absence,
                successor.map(|model| model.id.to_string()),
            ));
        };
        warnings.push(format!("{absence}; {} answers in its place", living.name));
        Ok(living)
    }

    fn of_another_kind(&self, model: &Model) -> Error {
        let (does, wanted) = (does(model.kind), does(self.kind));
        let able = self.catalog.models.iter().filter(|model| {
            model.kind == self.kind
                && model.absence(self.today).is_none()
                && self.places(model).is_ok()
        });
        let names: Vec<_> = able.map(|model| model.name.as_ref()).collect();
        let words = format!(
            "{} {does}; of those that may be called from {}, {} {wanted}",
            model.name,
            self.policy.region,
            names.join(", ")
        );
        Error::invalid("model", words)
    }

    /// An ARN that the configuration gives a model: invoked as it stands, in its own Region.
    fn behind_arn(&self, arn: &str, model: &'a Model, reference: &Reference<'a>) -> Found<'a> {
        let region = arn_region(arn).unwrap_or(&self.policy.region);
        if !self.may_call(region) {
            return (
                Vec::new(),
                vec![refused(arn, format!("{region} may not be called"))],
            );
        }
        let scope = reference.scope.unwrap_or(Scope::InRegion);
        (
            vec![place(model, arn.to_owned(), scope, region)],
            Vec::new(),
        )
    }

    /// Every way to call a model, best first: here, through a profile, in another Region.
    fn places(&self, model: &'a Model) -> Result<Vec<Specialist<'a>>, Rejected> {
        let home = &self.policy.region;
        if self.policy.disabled.iter().any(|id| *id == model.id) {
            return Err(refused(&model.id, "disabled by the operator"));
        }
        let here = model.placements(home, self.policy.residency);
        let mut places: Vec<_> = here
            .map(|placement| place(model, placement.id, placement.scope, home))
            .collect();
        let mut others: Vec<_> = model
            .regions
            .iter()
            .filter(|region| *region != home && self.may_call(region))
            .collect();
        others.sort_by_key(|region| Reverse(part(region) == part(home)));
        places.extend(
            others
                .into_iter()
                .map(|region| place(model, model.id.to_string(), Scope::InRegion, region)),
        );
        if places.is_empty() {
            return Err(refused(&model.id, self.out_of_reach(model)));
        }
        Ok(places)
    }

    fn out_of_reach(&self, model: &Model) -> String {
        let home = &self.policy.region;
        let all = model.regions.iter().map(AsRef::as_ref);
        let from = model
            .profiles
            .iter()
            .flat_map(|profile| profile.from.iter().map(AsRef::as_ref));
        let mut regions: Vec<&str> = all.chain(from).collect();
        regions.sort_unstable();
        regions.dedup();
        match (regions.as_slice(), self.policy.confined) {
            ([], _) => "served in no Region".into(),
            (_, true) => format!(
                "served in {}, and BEDROCK_ENDPOINT reaches {home} only",
                regions.join(", ")
            ),
            (_, false) => format!(
                "served in {}, where DATA_RESIDENCY does not let a call from {home} go",
                regions.join(", ")
            ),
        }
    }

    fn may_call(&self, region: &str) -> bool {
        let home = &self.policy.region;
        let parted = |region: &str| region.starts_with("us-gov-") || region.starts_with("cn-");
        match self.policy.residency {
            _ if region == home => true,
            _ if self.policy.confined => false,
            Residency::InRegion => false,
            Residency::Geo => self.is_in_geography(region),
            Residency::Global => !(parted(region) || parted(home)),
        }
    }

    /// Whether a Region is in the own one's geography: that of the narrowest inference profiles which can be called from here, as
    /// for conversations (`jp`, not all of Asia).
    fn is_in_geography(&self, region: &str) -> bool {
        let mut geographies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let profiles = self
            .catalog
            .models
            .iter()
            .flat_map(|model| model.profiles.iter());
        for profile in profiles {
            let from_here = profile.from.iter().any(|from| *from == self.policy.region);
            if from_here && profile.scope != Scope::Global {
                let geography = geographies.entry(profile.scope.as_str()).or_default();
                geography.extend(profile.to.iter().map(AsRef::as_ref));
            }
        }
        let narrowest = geographies.values().min_by_key(|regions| regions.len());
        narrowest.is_some_and(|regions| regions.contains(region))
    }
}

/// The part of the world that a Region's name begins with; among those that may be called, the alike come first.
fn part(region: &str) -> &str {
    region.split('-').next().unwrap_or(region)
}

fn place<'a>(model: &'a Model, id: String, scope: Scope, region: &str) -> Specialist<'a> {
    Specialist {
        model,
        id,
        scope,
        region: region.to_owned(),
        prices: model.prices_in(&scope, region),
    }
}

/// For ordering: an unknown price comes last.
fn price(place: &Specialist<'_>) -> (bool, Option<Usd>) {
    let price = place
        .prices
        .and_then(|prices| prices.per_image.or(prices.per_query));
    (price.is_none(), price)
}

fn refused(id: &str, reason: impl Into<String>) -> Rejected {
    Rejected {
        id: id.to_owned(),
        estimate: None,
        reason: reason.into(),
    }
}

/// What models of a kind do, in the plural and singular alike as far as English goes.
fn does(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "answers with text (POST /invoke)",
        Kind::Embedding => "makes vectors (POST /embeddings)",
        Kind::Image => "makes images (POST /images)",
        Kind::ImageEdit => "changes images, for which there is no route",
        Kind::Rerank => "orders documents (POST /rerank)",
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn policy(region: &str, residency: Residency) -> Policy {
        Policy {
            region: region.into(),
            residency,
            retire_days: 30,
            ..Policy::default()
        }
    }

    fn find(
        policy: &Policy,
        kind: Kind,
        name: Option<&str>,
    ) -> Result<Specialists<'static>, Error> {
        let wanted = name.map_or(Wanted::Auto, |name| Wanted::Named {
            name,
            strict: false,
        });
        specialists(
            Catalog::built_in(),
            policy,
            kind,
            wanted,
            date(2026, 11, 24),
        )
    }

    fn places(policy: &Policy, kind: Kind, name: Option<&str>) -> Vec<String> {
        match find(policy, kind, name) {
            Ok(found) => [found.first]
                .into_iter()
                .chain(found.others)
                .map(|place| format!("{} {}", place.region, place.id))
                .collect(),
            Err(Error::NoCandidate { rejected }) => rejected
                .into_iter()
                .map(|rejected| rejected.reason)
                .collect(),
            Err(error) => vec![error.detail()],
        }
    }

    #[test]
    fn a_model_is_called_where_it_lives_as_far_as_data_may_go() {
        let geo = policy("us-east-1", Residency::Geo);
        let first = |policy: &Policy, kind, name| places(policy, kind, name).remove(0);
        assert_eq!(
            first(&geo, Kind::Image, Some("sd3.5-large")),
            "us-west-2 stability.sd3-5-large-v1:0"
        );
        assert_eq!(
            first(&geo, Kind::Rerank, Some("amazon-rerank")),
            "us-west-2 amazon.rerank-v1:0"
        );
        let stay = policy("us-east-1", Residency::InRegion);
        assert!(
            first(&stay, Kind::Image, Some("sd3.5-large"))
                .contains("served in us-west-2, where DATA_RESIDENCY")
        );
        // Japan's data stays in Japan, as for conversations.
        let tokyo = policy("ap-northeast-1", Residency::Geo);
        assert!(
            first(&tokyo, Kind::Embedding, Some("titan-multimodal")).contains("DATA_RESIDENCY")
        );
        let seoul = policy("ap-northeast-2", Residency::Geo);
        assert!(first(&seoul, Kind::Embedding, Some("titan-multimodal")).starts_with("ap-"));
        let europe = policy("eu-west-1", Residency::Geo);
        assert!(first(&europe, Kind::Image, None).contains("DATA_RESIDENCY"));
        let global = policy("eu-west-1", Residency::Global);
        assert!(first(&global, Kind::Image, None).starts_with("us-west-2 "));
        let confined = Policy {
            confined: true,
            ..geo
        };
        assert!(first(&confined, Kind::Image, None).contains("BEDROCK_ENDPOINT"));
        let government = policy("us-gov-west-1", Residency::Global);
        assert!(
            places(&government, Kind::Image, None)
                .iter()
                .all(|place| place.contains("served in"))
        );
    }

    #[test]
    fn the_nearest_and_cheapest_serves_who_names_none() {
        let geo = policy("us-east-1", Residency::Geo);
        let rerank = places(&geo, Kind::Rerank, None);
        assert_eq!(
            rerank.first().unwrap(),
            "us-east-1 cohere.rerank-v3-5:0",
            "{rerank:?}"
        );
        let west = policy("us-west-2", Residency::Geo);
        assert_eq!(
            places(&west, Kind::Rerank, None)[0],
            "us-west-2 amazon.rerank-v1:0"
        );
        assert_eq!(
            places(&west, Kind::Image, None)[0],
            "us-west-2 stability.stable-image-core-v1:1"
        );
        assert_eq!(
            places(&geo, Kind::Embedding, None)[0],
            "us-east-1 amazon.titan-embed-text-v2:0"
        );
    }

    #[test]
    fn names_are_taken_as_everywhere() {
        let geo = policy("us-east-1", Residency::Geo);
        let profile = places(&geo, Kind::Embedding, Some("us.cohere.embed-v4:0"));
        assert_eq!(profile, ["us-east-1 us.cohere.embed-v4:0"]);
        let dead = find(&geo, Kind::Image, Some("amazon.titan-image-generator-v1")).unwrap();
        assert_eq!(dead.first.model.name, "sd3-5-large");
        assert!(dead.warnings[0].contains("end of life"));
        let wrong = places(&geo, Kind::Embedding, Some("opus"));
        assert!(
            wrong[0].contains("answers with text") && wrong[0].contains("titan-embed-text-v2"),
            "{wrong:?}"
        );
        let arn = "arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0";
        assert_eq!(
            places(&geo, Kind::Image, Some(arn)),
            ["us-west-2 stability.sd3-5-large-v1:0"]
        );
        let own = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x";
        assert!(places(&geo, Kind::Embedding, Some(own))[0].contains("MODEL_ARNS"));
        let arns = vec![(own.to_owned(), "titan-embed".to_owned())];
        let configured = Policy { arns, ..geo };
        assert_eq!(
            places(&configured, Kind::Embedding, Some(own)),
            [format!("us-east-1 {own}")]
        );
    }
}
