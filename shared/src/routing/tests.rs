//! The decision as a whole.

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::catalog::{Catalog, Residency, Scope, Task, Tier};
use crate::cost::{self, ServiceTier, Usage};
use crate::error::Error;
use crate::usd::Usd;

const TODAY: Date = date(2026, 11, 24);

fn policy() -> Policy {
    Policy {
        region: "us-east-1".into(),
        retire_days: 30,
        ..Policy::default()
    }
}

fn auto(facts: &Facts<'_>, policy: &Policy) -> Result<Decision<'static>, Error> {
    decide(Catalog::built_in(), policy, facts, Wanted::Auto, TODAY)
}

fn named(name: &str, facts: &Facts<'_>, policy: &Policy) -> Result<Decision<'static>, Error> {
    decide(
        Catalog::built_in(),
        policy,
        facts,
        Wanted::Named {
            name,
            strict: false,
        },
        TODAY,
    )
}

fn reason(decision: &Decision<'_>, name: &str) -> String {
    let rejected = decision
        .rejected
        .iter()
        .find(|rejected| rejected.id.contains(name));
    rejected
        .map(|rejected| rejected.reason.clone())
        .unwrap_or_default()
}

fn refused(result: Result<Decision<'_>, Error>) -> Vec<String> {
    match result {
        Err(Error::NoCandidate { rejected }) => rejected
            .into_iter()
            .map(|rejected| rejected.reason)
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guides_decision_tree_is_followed() {
    let first = |task, budget, prompt| {
        let facts = Facts {
            prompt,
            task: Some(task),
            budget,
            input_tokens: 100,
            ..Facts::default()
        };
        auto(&facts, &policy())
            .unwrap()
            .first
            .model
            .unwrap()
            .provider
            .to_string()
    };
    // Complex reasoning and coding, and the best quality: Claude.
    assert_eq!(
        first(
            Task::Reasoning,
            Budget::Balanced,
            "Find the flaw in this argument"
        ),
        "Anthropic"
    );
    assert_eq!(
        first(Task::Coding, Budget::Balanced, "Implement a cache"),
        "Anthropic"
    );
    assert_eq!(
        first(Task::General, Budget::BestQuality, "Explain tides"),
        "Anthropic"
    );
    // Simple classification and extraction: the small Claude.
    assert_eq!(
        first(Task::Classification, Budget::Balanced, "spam or not?"),
        "Anthropic"
    );
    // General text at lower cost: an open or an Amazon model.
    assert!(
        ["Amazon", "OpenAI", "Meta"]
            .contains(&first(Task::General, Budget::LowerCost, "Explain tides").as_str())
    );
    // Embeddings: Titan or Cohere.
    assert_eq!(first(Task::Embedding, Budget::Balanced, "a text"), "Amazon");
    assert_eq!(
        first(Task::Embedding, Budget::BestQuality, "a text"),
        "Cohere"
    );
}

#[test]
fn the_answer_says_why_others_will_not_do() {
    let long = Facts {
        prompt: "Describe it",
        input_tokens: 250_000,
        images: true,
        tools: true,
        ..Facts::default()
    };
    let disabled = Policy {
        disabled: vec!["anthropic.claude-sonnet-5-5".into()],
        ..policy()
    };
    let decision = auto(&long, &disabled).unwrap();
    assert_eq!(reason(&decision, "sonnet-5-5"), "disabled by the operator");
    assert_eq!(reason(&decision, "glm-5"), "takes no images");
    assert_eq!(reason(&decision, "gpt-oss-120b"), "takes no images");
    let text = Facts {
        images: false,
        ..long
    };
    assert_eq!(
        reason(&auto(&text, &policy()).unwrap(), "zai.glm-5"),
        "context window 200000 < 251300 tokens"
    );
}

#[test]
fn models_near_their_end_are_left_alone_by_auto_only() {
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    let later = date(2027, 3, 15);
    let decision = decide(Catalog::built_in(), &policy(), &facts, Wanted::Auto, later).unwrap();
    assert_eq!(
        reason(&decision, "llama3-3-70b"),
        "reaches its end of life on 2027-03-30"
    );
    let wanted = Wanted::Named {
        name: "llama3-3-70b",
        strict: true,
    };
    let decision = decide(Catalog::built_in(), &policy(), &facts, wanted, later).unwrap();
    assert_eq!(decision.first.id, "us.meta.llama3-3-70b-instruct-v1:0");
    let notice = decision.first.notice.as_deref();
    assert_eq!(
        notice,
        Some("llama3-3-70b-instruct reaches its end of life on 2027-03-30, in 15 days")
    );
    let early = decide(Catalog::built_in(), &policy(), &facts, wanted, TODAY).unwrap();
    assert_eq!(early.first.notice, None);
}

#[test]
fn a_cost_limit_lowers_the_ceiling_or_refuses() {
    let facts = |usd, max_tokens| Facts {
        prompt: "Explain tides",
        max_cost: Usd::parse(usd).ok(),
        max_tokens,
        ..Facts::default()
    };
    let sonnet = |facts: &Facts<'_>| named("claude-sonnet-5-5", facts, &policy());
    assert_eq!(
        sonnet(&facts("1", None)).unwrap().first.max_tokens,
        2048 + 4096
    );
    assert_eq!(
        sonnet(&facts("0.022", None)).unwrap().first.max_tokens,
        2000
    );
    let refusal = refused(sonnet(&facts("0.011", None)));
    assert_eq!(
        refusal,
        ["a cost limit of 0.011 USD buys 1000 of the 1300 output tokens needed"]
    );
    let refusal = refused(sonnet(&facts("0.011", Some(1001))));
    assert_eq!(
        refusal,
        ["a cost limit of 0.011 USD buys 1000 of the 1001 output tokens needed"]
    );
}

#[test]
fn a_cost_limit_reckons_with_cache_writes() {
    let facts = |cache_points| Facts {
        prompt: "Explain tides",
        input_tokens: 100_000,
        max_tokens: Some(100),
        max_cost: Usd::parse("0.5").ok(),
        cache_points,
        ..Facts::default()
    };
    assert!(named("opus", &facts(false), &policy()).is_ok());
    assert!(named("opus", &facts(true), &policy()).is_err());
}

#[test]
fn a_limit_cannot_be_kept_where_the_price_is_unknown() {
    let tokyo = Policy {
        region: "ap-south-1".into(),
        ..policy()
    };
    let facts = Facts {
        prompt: "Explain tides",
        max_cost: Usd::parse("1").ok(),
        ..Facts::default()
    };
    let wanted = "in.anthropic.claude-sonnet-5";
    let refusal = refused(named(wanted, &facts, &tokyo));
    assert_eq!(
        refusal,
        ["the price of claude-sonnet-5 is unknown, so maxCostUsd 1 cannot be kept"]
    );
    let free = Facts {
        max_cost: None,
        ..facts
    };
    assert_eq!(named(wanted, &free, &tokyo).unwrap().first.estimate, None);
}

#[test]
fn max_tokens_keeps_within_every_limit() {
    let facts = |input_tokens, max_tokens| Facts {
        prompt: "Explain tides",
        input_tokens,
        max_tokens,
        ..Facts::default()
    };
    let ceiling = |name, facts: &Facts<'_>| named(name, facts, &policy()).unwrap().first.max_tokens;
    assert_eq!(ceiling("nova-lite", &facts(10, None)), 2048);
    assert_eq!(ceiling("nova-lite", &facts(10, Some(7))), 7);
    assert_eq!(ceiling("nova-lite", &facts(10, Some(50_000))), 10_000);
    assert_eq!(ceiling("llama3-8b", &facts(7000, None)), 1192);
    let capped = Policy {
        max_tokens: Some(500),
        ..policy()
    };
    assert_eq!(
        named("nova-lite", &facts(10, None), &capped)
            .unwrap()
            .first
            .max_tokens,
        500
    );
}

#[test]
fn a_scope_that_is_not_open_is_replaced_and_said() {
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    let decision = named("global.anthropic.claude-opus-5-5", &facts, &policy()).unwrap();
    assert_eq!(decision.first.id, "us.anthropic.claude-opus-5-5");
    let warning = "the scope global is not open from us-east-1: us.anthropic.claude-opus-5-5 answers, which stays within it";
    assert_eq!(decision.warnings, [warning]);
    let open = Policy {
        residency: Residency::Global,
        ..policy()
    };
    let decision = named("us.anthropic.claude-opus-5-5", &facts, &open).unwrap();
    assert_eq!(
        (decision.first.id.as_str(), decision.warnings.len()),
        ("us.anthropic.claude-opus-5-5", 0)
    );
}

#[test]
fn a_caller_who_names_a_place_is_not_served_from_another() {
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    let refusal = refused(named("eu.anthropic.claude-opus-5-5", &facts, &policy()));
    let reason = "the scope eu is not open from us-east-1; without the prefix, us.anthropic.claude-opus-5-5 would answer";
    assert_eq!(refusal, [reason]);
    let arn = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0";
    assert_eq!(
        refused(named(arn, &facts, &policy())),
        ["the ARN is of eu-west-1, and calls are made from us-east-1"]
    );
    let here = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0";
    assert_eq!(
        named(here, &facts, &policy()).unwrap().first.id,
        "amazon.nova-lite-v1:0"
    );
    // Oss runs in the Region itself, which is in the United States.
    assert_eq!(
        named("us.openai.gpt-oss-20b-1:0", &facts, &policy())
            .unwrap()
            .first
            .id,
        "openai.gpt-oss-20b-1:0"
    );
    let new = "arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-new";
    assert_eq!(refused(named(new, &facts, &policy())).len(), 1);
}

#[test]
fn what_a_model_refuses_is_routed_around() {
    let forced = Facts {
        prompt: "Design a bridge",
        tools: true,
        forced_tool: true,
        ..Facts::default()
    };
    let decision = auto(&forced, &policy()).unwrap();
    assert_eq!(
        reason(&decision, "claude-opus-5-5"),
        "cannot be made to use a tool"
    );
    assert_eq!(
        refused(named("opus", &forced, &policy())),
        ["cannot be made to use a tool"]
    );
    let prefill = Facts {
        prompt: "Explain tides",
        prefill: true,
        ..Facts::default()
    };
    assert_eq!(
        refused(named("claude-sonnet-4-6", &prefill, &policy())),
        ["does not continue an assistant turn"]
    );
    assert!(named("nova-lite", &prefill, &policy()).is_ok());
}

#[test]
fn residency_is_kept() {
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    let strict = Policy {
        residency: Residency::InRegion,
        ..policy()
    };
    let decision = auto(&facts, &strict).unwrap();
    assert!(
        decision
            .chain()
            .all(|candidate| candidate.scope == Some(Scope::InRegion))
    );
    assert_eq!(
        reason(&decision, "claude-sonnet-5-5"),
        "from us-east-1 only with DATA_RESIDENCY geo"
    );
    let nowhere = Policy {
        region: "mars-north-1".into(),
        ..policy()
    };
    assert!(
        refused(auto(&facts, &nowhere))
            .iter()
            .all(|reason| reason == "not available from mars-north-1")
    );
}

#[test]
fn arns_are_invoked_as_they_stand() {
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    let opaque = named(arn, &facts, &policy()).unwrap();
    assert_eq!(
        (opaque.first.id.as_str(), opaque.first.estimate),
        (arn, None)
    );
    assert!(opaque.first.model.is_none() && opaque.warnings.len() == 1);
    let arns = vec![(arn.to_owned(), "us.anthropic.claude-opus-5-5".to_owned())];
    let known = named(arn, &facts, &Policy { arns, ..policy() }).unwrap();
    assert_eq!(known.first.model.unwrap().name, "claude-opus-5-5");
    assert!(known.first.id == arn && known.first.estimate.is_some() && known.warnings.is_empty());
}

#[test]
fn what_no_text_model_does_is_refused() {
    let facts = Facts {
        prompt: "Explain tides",
        ..Facts::default()
    };
    assert_eq!(
        refused(named("titan-embed-v2", &facts, &policy())),
        ["does embedding, not text"]
    );
    let images = Facts {
        images: true,
        ..facts
    };
    assert_eq!(
        refused(named("llama3-8b", &images, &policy())),
        ["takes no images"]
    );
}

fn tier() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("Classify this"),
        Just("Explain tides"),
        Just("Design a bridge")
    ]
}

proptest! {
    #[test]
    fn a_cost_limit_holds_for_the_worst_case(
        prompt in tier(), input_tokens in 0u32..100_000, limit in 1i128..10i128.pow(12), max_tokens in proptest::option::of(1u32..20_000),
    ) {
        let limit = Usd::from_pico(limit);
        let facts = Facts { prompt, input_tokens, max_tokens, max_cost: Some(limit), ..Facts::default() };
        for candidate in auto(&facts, &policy()).iter().flat_map(Decision::chain) {
            let prices = candidate.prices.unwrap();
            let usage = Usage::of(input_tokens.into(), candidate.max_tokens.into());
            let worst = cost::cost(&usage, prices, ServiceTier::Default).unwrap().total_usd;
            prop_assert!(worst <= limit, "{} {worst} > {limit}", candidate.id);
            prop_assert!(candidate.max_tokens > 0);
        }
    }
}

#[test]
fn every_tier_task_and_budget_finds_a_living_candidate() {
    for tier in [Tier::Simple, Tier::Medium, Tier::Complex] {
        let prompt = ["Classify this", "Explain tides", "Design a bridge"][tier as usize];
        for task in [
            None,
            Some(Task::Coding),
            Some(Task::Creative),
            Some(Task::Rag),
        ] {
            let facts = Facts {
                prompt,
                task,
                ..Facts::default()
            };
            let decision = auto(&facts, &policy()).unwrap();
            assert!(decision.chain().count() >= 3, "{tier:?} {task:?}");
        }
    }
}
