use proptest::prelude::*;

use super::*;

#[test]
fn the_trees_are_sound_and_small() {
    assert!(trees().is_sound(COUNT));
    assert!(TRAINED.len() < 300_000, "{} bytes", TRAINED.len());
    for cut in [0, 5, 100, TRAINED.len() - PRESSURES - 1] {
        assert!(!Model(&TRAINED[PRESSURES..PRESSURES + cut]).is_sound(COUNT));
    }
    let pressures = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality].map(pressure);
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
        .map(|prompt| (prompt, of(&features::read(prompt))))
        .collect();
    insta::assert_debug_snapshot!(foretold);
}

proptest! {
    #[test]
    fn any_prompt_has_a_score(prompt in "\\PC{0,400}") {
        let foretold = of(&features::read(&prompt));
        prop_assert!(foretold.quality.iter().all(|quality| (0..=1_000_000).contains(quality)) && foretold.output_tokens >= 1);
        prop_assert!(foretold.quality.is_sorted() || foretold.gain < 0);
        // Blanks around it say nothing.
        prop_assert_eq!(&of(&features::read(&format!(" \n{prompt} \n\t"))), &foretold);
        let moved: i32 = pushes(&prompt, COUNT).iter().map(|push| push.by).sum();
        // What moved the score adds up to it, from where every prompt begins.
        prop_assert_eq!(foretold.gain - moved, of(&features::read("x")).gain - pushes("x", COUNT).iter().map(|push| push.by).sum::<i32>());
    }

    #[test]
    fn a_cheaper_budget_never_picks_a_dearer_tier(prompt in "\\PC{0,200}", small in 0_u16..500, medium in 500_u16..1000, evidence in -200_000..200_000) {
        let foretold = of(&features::read(&prompt));
        let tiers = [Budget::LowerCost, Budget::Balanced, Budget::BestQuality].map(|budget| choose(&foretold, [small, medium, 1000], budget, evidence));
        prop_assert!(tiers.map(|tier| tier as u8).is_sorted(), "{:?}", tiers);
    }
}
