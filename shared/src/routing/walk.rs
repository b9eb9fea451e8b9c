//! Every tier, task, budget, Region and residency finds a living model.

use jiff::civil::Date;

use super::*;
use crate::catalog::{Catalog, Residency, Task};
use crate::usd::Usd;

const REGIONS: [&str; 6] = [
    "us-east-1",
    "us-west-2",
    "eu-central-1",
    "eu-west-1",
    "ap-northeast-1",
    "ap-southeast-2",
];

fn catalog_date() -> Date {
    let json = include_str!("../../models.json");
    let models: serde_json::Value = serde_json::from_str(json).unwrap();
    let dates = models["gathered"].as_object().unwrap().values();
    dates
        .map(|date| date.as_str().unwrap().parse().unwrap())
        .max()
        .unwrap()
}

/// Every combination of Region and residency.
fn policies() -> impl Iterator<Item = Policy> {
    let residencies = [Residency::InRegion, Residency::Geo, Residency::Global];
    let places = REGIONS
        .into_iter()
        .flat_map(move |region| residencies.map(|residency| (region, residency)));
    places.map(|(region, residency)| Policy {
        region: region.into(),
        residency,
        retire_days: 30,
        ..Policy::default()
    })
}

/// Every combination of tier, task and budget, with a system prompt and without: not every model is known to take one.
fn requests() -> impl Iterator<Item = Facts<'static>> {
    use Task::{
        Classification, Coding, Creative, Embedding, Extraction, General, Rag, Reasoning,
        Summarization,
    };
    let tasks = [
        General,
        Classification,
        Extraction,
        Summarization,
        Reasoning,
        Coding,
        Creative,
        Rag,
        Embedding,
    ];
    let prompts = [
        "Classify this in one word",
        "Explain tides",
        "Design and prove it step by step",
    ];
    let asked = tasks
        .into_iter()
        .flat_map(move |task| prompts.map(|prompt| (task, prompt)));
    let ways = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality]
        .map(|budget| [(budget, false), (budget, true)]);
    asked.flat_map(move |(task, prompt)| {
        ways.into_iter()
            .flatten()
            .map(move |(budget, system)| Facts {
                prompt,
                system,
                budget,
                task: Some(task),
                input_tokens: 500,
                ..Facts::default()
            })
    })
}

#[test]
fn every_request_finds_a_living_model_everywhere() {
    let today = catalog_date();
    for policy in policies() {
        for facts in requests() {
            let decision = decide(Catalog::built_in(), &policy, &facts, Wanted::Auto, today);
            let decision =
                decision.unwrap_or_else(|error| panic!("{policy:?} {facts:?}: {error:?}"));
            let mut scopes = decision
                .chain()
                .map(|candidate| candidate.scope.as_ref().unwrap().as_str());
            assert!(policy.residency == Residency::Global || scopes.all(|scope| scope != "global"));
        }
    }
}

/// The first choice's cost by budget, the cheapest budget first.
fn costs(policy: &Policy, facts: &Facts<'_>, today: Date) -> [Option<Usd>; 3] {
    [Budget::LowerCost, Budget::Balanced, Budget::BestQuality].map(|budget| {
        let facts = Facts {
            budget,
            ..facts.clone()
        };
        let decision = decide(Catalog::built_in(), policy, &facts, Wanted::Auto, today);
        decision.ok().and_then(|decision| decision.first.estimate)
    })
}

#[test]
fn a_cheaper_budget_never_picks_a_dearer_model_of_any_two() {
    let (catalog, today) = (Catalog::built_in(), catalog_date());
    let prompts = ["Classify this", "Explain tides", "Design a bridge"];
    for route in catalog.routes.iter().filter(|route| route.tier.is_some()) {
        let ids: Vec<_> = route
            .candidates
            .iter()
            .map(|candidate| catalog.model(candidate.model).unwrap().id.to_string())
            .collect();
        let pairs = (0..ids.len()).flat_map(|first| (0..first).map(move |second| [first, second]));
        for (pair, policy) in pairs.flat_map(|pair| policies().map(move |policy| (pair, policy))) {
            let others = ids
                .iter()
                .enumerate()
                .filter(|(index, _)| !pair.contains(index));
            let policy = Policy {
                disabled: others.map(|(_, id)| id.clone()).collect(),
                ..policy
            };
            for input_tokens in [0, 2_000, 90_000, 110_000, 190_000] {
                let (prompt, task) = (
                    prompts[route.tier.unwrap() as usize],
                    Some(route.task.unwrap_or(Task::General)),
                );
                let facts = Facts {
                    prompt,
                    task,
                    input_tokens,
                    ..Facts::default()
                };
                let pair = pair.map(|index| &ids[index]);
                let costs = costs(&policy, &facts, today);
                assert!(
                    costs.is_sorted(),
                    "{pair:?} {} {:?} {input_tokens} {costs:?}",
                    policy.region,
                    policy.residency
                );
            }
        }
    }
}

#[test]
fn nothing_that_auto_may_choose_ends_within_sixty_days_of_the_catalogs_date() {
    let (catalog, today) = (Catalog::built_in(), catalog_date());
    for candidate in catalog
        .routes
        .iter()
        .flat_map(|route| route.candidates.iter())
    {
        let model = catalog.model(candidate.model).unwrap();
        assert!(
            model.days_left(today).is_none_or(|days| days > 60),
            "{}",
            model.id
        );
        assert_eq!(model.absence(today), None);
    }
}
