//! From the two JSON files to a [`Catalog`]: at build time for the built-in one, at start for a configured one.
//!
//! The build script compiles this file too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::data::{Catalog, Model, Ranked, Route, Task, Text, Tier, TierTokens};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelsFile {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    #[serde(rename = "gathered")]
    _gathered: IgnoredAny,
    models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesFile {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    tiers: Tiers,
    estimate: Vec<String>,
    compare: Vec<String>,
    quality: BTreeMap<String, u8>,
    routes: Vec<RouteEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tiers {
    simple: TierTokens,
    medium: TierTokens,
    complex: TierTokens,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    task: Option<Task>,
    tier: Option<Tier>,
    candidates: Vec<String>,
}

/// Reads both files and checks that they fit each other.
///
/// # Errors
/// When a file is not of its shape, a name is taken twice, a route or successor names an unknown model,
/// a candidate has no quality, or a tier has no route; the text says which.
pub fn load(models_json: &str, routes_json: &str) -> Result<Catalog, String> {
    let models: ModelsFile =
        serde_json::from_str(models_json).map_err(|e| format!("models: {e}"))?;
    let routes: RoutesFile =
        serde_json::from_str(routes_json).map_err(|e| format!("routes: {e}"))?;
    let names = names(&models.models)?;
    for successor in models
        .models
        .iter()
        .filter_map(|model| model.successor.as_deref())
    {
        index(&names, successor)?;
    }
    let all = |ids: &[String]| -> Result<Vec<u16>, String> {
        ids.iter().map(|id| index(&names, id)).collect()
    };
    let tiers = &routes.tiers;
    if !(tiers.simple.quality < tiers.medium.quality
        && tiers.medium.quality < tiers.complex.quality)
    {
        return Err("the quality of the tiers does not rise from simple to complex".into());
    }
    let (estimate, compare) = (all(&routes.estimate)?, all(&routes.compare)?);
    Ok(Catalog {
        estimate: estimate.into(),
        compare: compare.into(),
        models: models.models.into(),
        routes: table(&routes, &names)?.into(),
        names: names
            .into_iter()
            .map(|(name, model)| (Text::Owned(name), model))
            .collect(),
        tiers: vec![
            routes.tiers.simple,
            routes.tiers.medium,
            routes.tiers.complex,
        ]
        .into(),
    })
}

type Names = BTreeMap<String, u16>;

fn index(names: &Names, id: &str) -> Result<u16, String> {
    let known = names.get(id).copied();
    known.ok_or_else(|| format!("{id} is not the id of a model"))
}

/// The routes by index, each candidate with its quality.
fn table(file: &RoutesFile, names: &Names) -> Result<Vec<Route>, String> {
    let ranked = |id: &String| {
        let quality = file
            .quality
            .get(id)
            .ok_or_else(|| format!("{id} has no quality"))?;
        Ok(Ranked {
            model: index(names, id)?,
            quality: *quality,
        })
    };
    let route = |entry: &RouteEntry| {
        let candidates: Result<Vec<_>, String> = entry.candidates.iter().map(ranked).collect();
        Ok(Route {
            task: entry.task,
            tier: entry.tier,
            candidates: candidates?.into(),
        })
    };
    let table: Vec<_> = file
        .routes
        .iter()
        .map(route)
        .collect::<Result<_, String>>()?;
    for tier in [Tier::Simple, Tier::Medium, Tier::Complex] {
        if !table
            .iter()
            .any(|route| route.task.is_none() && route.tier.is_none_or(|t| t == tier))
        {
            return Err(format!("no route serves the tier {tier:?} for every task"));
        }
    }
    Ok(table)
}

/// Every name in lower case with its model's index; a name belongs to one model. An id is known without its provider, and
/// without its version too, unless another model goes by that name.
fn names(models: &[Model]) -> Result<Names, String> {
    let mut names = Names::new();
    let index = |index| u16::try_from(index).map_err(|_| "more than 65,536 models".to_owned());
    for (at, model) in models.iter().enumerate() {
        let own = [&model.id, &model.name]
            .into_iter()
            .chain(model.aliases.iter());
        for name in own {
            let at = index(at)?;
            if names
                .insert(name.to_lowercase(), at)
                .is_some_and(|other| other != at)
            {
                return Err(format!("the name {name} stands for two models"));
            }
        }
    }
    for (at, model) in models.iter().enumerate() {
        if let Some((_, short)) = model.id.split_once('.') {
            names.entry(short.to_lowercase()).or_insert(index(at)?);
            names
                .entry(without_version(short).to_lowercase())
                .or_insert(index(at)?);
        }
    }
    Ok(names)
}

/// An id without its `-v1:0`.
fn without_version(id: &str) -> &str {
    let is_version = |tail: &str| tail.starts_with(|c: char| c.is_ascii_digit());
    id.rsplit_once("-v")
        .filter(|(_, tail)| is_version(tail))
        .map_or(id, |(head, _)| head)
}
