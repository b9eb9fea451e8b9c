//! Where a model can be called from here, and under which id.

use serde::{Deserialize, Serialize};

use super::{Model, Scope};

/// How far a prompt may travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residency {
    /// It stays in the Region.
    InRegion,
    /// It stays in the geography of the profile that serves the Region.
    #[default]
    Geo,
    /// It may go to any commercial Region.
    Global,
}

/// An id that works, with the scope that prices it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The id to invoke: bare, or with a profile prefix.
    pub id: String,
    /// What it is priced by.
    pub scope: Scope,
}

impl Model {
    /// The ids that work from a Region within a residency, best first.
    ///
    /// The bare id comes first, then geographies from the narrowest; where data may go anywhere, `global` leads, because it
    /// is the cheapest and has the most capacity.
    pub fn placements(
        &self,
        region: &str,
        residency: Residency,
    ) -> impl Iterator<Item = Placement> {
        let scopes = self.scopes(region, residency);
        scopes.map(|scope| Placement {
            id: self.id_in(&scope),
            scope,
        })
    }

    /// The scopes of these ids, in their order.
    pub fn scopes(&self, region: &str, residency: Residency) -> impl Iterator<Item = Scope> {
        let is_here = self.regions.iter().any(|r| r == region);
        let through = move |is_global: bool, is_open: bool| {
            let profiles = self.profiles.iter().filter(move |profile| {
                is_open
                    && (profile.scope == Scope::Global) == is_global
                    && profile.from.iter().any(|r| r == region)
            });
            profiles.map(|profile| profile.scope)
        };
        through(true, residency == Residency::Global)
            .chain(is_here.then_some(Scope::InRegion))
            .chain(through(false, residency != Residency::InRegion))
    }

    /// The id in a scope: bare, or with the profile's prefix.
    #[must_use]
    pub fn id_in(&self, scope: &Scope) -> String {
        match scope {
            Scope::InRegion => self.id.to_string(),
            Scope::Geo(_) | Scope::Global => [scope.as_str(), ".", &self.id].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn ids(name: &str, region: &str, residency: Residency) -> Vec<String> {
        let model = Catalog::built_in().find(name).unwrap();
        model
            .placements(region, residency)
            .map(|placement| placement.id)
            .collect()
    }

    #[test]
    fn the_id_follows_region_and_residency() {
        let all = ids("claude-opus-5-5", "us-east-1", Residency::Global);
        assert_eq!(
            all,
            [
                "global.anthropic.claude-opus-5-5",
                "us.anthropic.claude-opus-5-5"
            ]
        );
        assert_eq!(
            ids("claude-opus-5-5", "us-east-1", Residency::Geo),
            ["us.anthropic.claude-opus-5-5"]
        );
        assert!(ids("claude-opus-5-5", "us-east-1", Residency::InRegion).is_empty());
        assert_eq!(
            ids("nova-lite", "us-east-1", Residency::InRegion),
            ["amazon.nova-lite-v1:0"]
        );
        assert_eq!(
            ids("nova-lite", "us-east-1", Residency::Geo),
            ["amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"]
        );
        assert!(ids("claude-3-opus", "us-east-1", Residency::Global).is_empty());
    }

    #[test]
    fn the_narrowest_geography_wins() {
        assert_eq!(
            ids("claude-haiku-5-5", "ap-northeast-1", Residency::Geo),
            ["jp.anthropic.claude-haiku-5-5"]
        );
        for model in Catalog::built_in().models.iter() {
            let geo = model.profiles.iter().filter(|p| p.scope != Scope::Global);
            assert!(
                geo.is_sorted_by_key(|profile| profile.to.len()),
                "{}",
                model.id
            );
        }
    }
}
