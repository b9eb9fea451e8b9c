//! Every tier, task, budget, Region and residency finds a living model.

use jiff::civil::Date;

use super::*;
use crate::catalog::{Catalog, Residency, Task};

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

fn walk(mut visit: impl FnMut(&Policy, &Facts<'_>)) {
    let budgets = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality];
    let tasks = [
        Task::General,
        Task::Classification,
        Task::Extraction,
        Task::Summarization,
        Task::Reasoning,
    ];
    let tasks = tasks
        .into_iter()
        .chain([Task::Coding, Task::Creative, Task::Rag, Task::Embedding]);
    for task in tasks {
        for prompt in [
            "Classify this in one word",
            "Explain tides",
            "Design and prove it step by step",
        ] {
            for budget in budgets {
                for region in REGIONS {
                    for residency in [Residency::InRegion, Residency::Geo, Residency::Global] {
                        let policy = Policy {
                            region: region.into(),
                            residency,
                            retire_days: 30,
                            ..Policy::default()
                        };
                        visit(
                            &policy,
                            &Facts {
                                prompt,
                                task: Some(task),
                                budget,
                                input_tokens: 500,
                                ..Facts::default()
                            },
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_request_finds_a_living_model_everywhere() {
    let today = catalog_date();
    let (mut found, mut gaps) = (0, Vec::new());
    walk(|policy, facts| {
        let decision = decide(Catalog::built_in(), policy, facts, Wanted::Auto, today);
        match decision {
            Ok(decision) => {
                found += 1;
                let scopes = decision
                    .chain()
                    .map(|candidate| candidate.scope.as_ref().unwrap().as_str());
                let global = scopes.filter(|scope| *scope == "global").count();
                assert!(global == 0 || policy.residency == Residency::Global);
            }
            Err(_) => gaps.push((policy.region.clone(), policy.residency, facts.task.unwrap())),
        }
    });
    assert!(gaps.is_empty(), "{gaps:?}");
    assert!(found > 1_000);
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
