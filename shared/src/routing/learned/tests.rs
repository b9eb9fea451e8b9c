use proptest::prelude::*;

use super::*;

#[test]
fn the_trees_are_sound_and_small() {
    assert!(trees().is_sound(COUNT));
    assert!(TRAINED.len() < 300_000, "{} bytes", TRAINED.len());
    for cut in [0, 5, 100, TRAINED.len() - PRESSURES - 1] {
        assert!(!Model(&TRAINED[PRESSURES..PRESSURES + cut]).is_sound(COUNT));
    }
    let pressures = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality]
        .map(|budget| pressure(None, budget));
    assert!(
        pressures.is_sorted_by(|a, b| a > b) && pressures[2] > 0,
        "{pressures:?}"
    );
}

#[test]
fn powers_of_e_are_right() {
    for (power, value) in [
        (0, 1),
        (1_000_000, 3),
        (5_000_000, 148),
        (7_600_902, 2000),
        (-1, 1),
        (i32::MAX, 1_202_604),
    ] {
        let got = exponential(power);
        assert!(
            got.abs_diff(value) * 500 <= value,
            "e^{power}: {got}, not {value}"
        );
    }
}

#[test]
fn features_are_what_they_say() {
    let values =
        features::read("What is 3.5 + 4?\n\n- Why?\n  (A) Because NATO says so, \"twice\"");
    let named: Vec<_> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| **value != 0)
        .map(|(at, value)| format!("{}: {value}", meaning(at)))
        .collect();
    insta::assert_debug_snapshot!(named);
}

#[test]
fn foretelling_allocates_nothing() {
    let long = "Why is the sum of 3 and 4 not \u{221a}49?\n".repeat(2000);
    let allocated = allocation_counter::measure(|| {
        assert!(foretell_by(None, &long, Some("What is 3 + 4?")).is_some());
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn the_turn_before_is_context() {
    let (easy, hard) = (
        "What is the capital of France?",
        "What is the least integer n such that $n^2 + 3n + 5$ is divisible by 121, and why are there no others below it?",
    );
    let alone = |prompt| foretell_by(None, prompt, None);
    let after = |prompt, earlier| foretell_by(None, prompt, Some(earlier));
    let (last, before) = (alone(easy).unwrap(), alone(hard).unwrap());
    assert_ne!(last.gain, before.gain);
    let both = after(easy, hard).unwrap();
    assert_eq!(both.gain - last.gain, (before.gain - last.gain) / 4);
    assert_eq!(both.context, both.gain - last.gain);
    assert_eq!(both.output_tokens, last.output_tokens);
    // A word or two say nothing without what they follow.
    assert_eq!(alone("And why?"), None);
    let follow_up = after("And why?", hard).unwrap();
    assert_eq!(
        (follow_up.gain, follow_up.quality),
        (before.gain, before.quality)
    );
    // What is left to the rule stays so, and an earlier turn like nothing that was learned from says nothing.
    let poem = "Write a poem about rivers and rain.";
    assert_eq!(after(poem, easy), None);
    assert_eq!(after("And why?", poem), None);
    assert_eq!(after(easy, poem), Some(last));
}

/// The same on every processor: whole numbers, and their sums.
#[test]
fn scores_stay_what_they_are() {
    let prompts = [
        "",
        "Hello!",
        "Classify this as positive or negative: 'Great product!'",
        "What is the capital of France?",
        "Prove that there are infinitely many primes.",
        "Design a distributed system architecture for a high-frequency trading platform",
        "def f(x):\n    return [y * 2 for y in x if y]\nassert f([1, 0]) == ??",
        "设计一个高可用的电商平台",
        "Напиши сказку о лисе.",
    ];
    let foretold: Vec<_> = prompts
        .iter()
        .map(|prompt| {
            let values = features::read(prompt);
            (prompt, is_alike(&values), of(&values, None))
        })
        .collect();
    insta::assert_debug_snapshot!(foretold);
}

#[test]
fn logarithms_are_straight_between_powers_of_two() {
    for (value, log) in [
        (0, 0),
        (1, 256),
        (2, 384),
        (3, 512),
        (7, 768),
        (i32::MAX, 7936),
        (-5, 0),
    ] {
        assert_eq!(calibration::log2(value), log, "{value}");
    }
}

#[test]
fn a_calibration_corrects_the_gain_and_the_pressures() {
    let text = "What is the capital of France?";
    let plain = foretell(text);
    let corrected = |own: &Calibration| foretell_by(Some(own), text, None).unwrap().gain;
    let mut own = Calibration {
        about: "test".into(),
        offset: 100_000,
        slope: 0,
        weights: vec![0; COUNT],
        pressures: [3, 2, 1],
    };
    assert_eq!(corrected(&own), plain.gain + 100_000);
    own.weights[Feature::Words as usize] = 1_000_000;
    // Six words are 2.75 doublings, as straight lines have it.
    assert_eq!(corrected(&own), plain.gain + 100_000 + 2_750);
    own.slope = -1_000_000;
    assert_eq!(corrected(&own), 100_000 + 2_750);
    assert_eq!(
        (
            pressure(Some(&own), Budget::LowerCost),
            pressure(Some(&own), Budget::BestQuality)
        ),
        (3, 1)
    );
    let json = serde_json::to_string(&own).unwrap();
    assert_eq!(Calibration::parse(&json), Ok(own.clone()));
    own.weights.pop();
    assert!(
        Calibration::parse(&serde_json::to_string(&own).unwrap())
            .unwrap_err()
            .contains("calibrate")
    );
}

proptest! {
    #[test]
    fn any_prompt_has_a_score(prompt in "\\PC{0,400}") {
        let foretold = of(&features::read(&prompt), None);
        prop_assert!(foretold.quality.iter().all(|quality| (0..=1_000_000).contains(quality)) && foretold.output_tokens >= 1);
        prop_assert!(foretold.quality.is_sorted() || foretold.gain < 0);
        // Blanks around it say nothing.
        prop_assert_eq!(&of(&features::read(&format!(" \n{prompt} \n\t")), None), &foretold);
        let moved: i32 = pushes(&prompt, COUNT).iter().map(|push| push.by).sum();
        // What moved the score adds up to it, from where every prompt begins.
        prop_assert_eq!(foretold.gain - moved, of(&features::read("x"), None).gain - pushes("x", COUNT).iter().map(|push| push.by).sum::<i32>());
    }

    #[test]
    fn a_cheaper_budget_never_picks_a_dearer_tier(prompt in "\\PC{0,200}", small in 0_u16..500, medium in 500_u16..1000, evidence in -200_000..200_000) {
        let foretold = of(&features::read(&prompt), None);
        let tiers = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality].map(|budget| choose(&foretold, [small, medium, 1000], pressure(None, budget), evidence));
        prop_assert!(tiers.map(|tier| tier as u8).is_sorted(), "{:?}", tiers);
    }
}
