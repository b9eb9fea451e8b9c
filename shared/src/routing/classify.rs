//! The rule that says how much model a prompt needs: the guide's keywords and lengths, mended.
//!
//! Mended means: keywords match words, not parts of words; they are weighed against each other, not tried in turn; and a
//! short prompt is simple only when nothing is asked for that takes thought.

use super::cues::Cue;
use super::facts::Facts;
use super::signals::Signals;
use super::views::Views;
use crate::catalog::{Task, Tier};

/// How much model a request needs, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The tier.
    pub tier: Tier,
    /// 0 (trivial) to 100 (hard); below 40 is simple, from 65 on complex.
    pub score: u8,
    /// The caller's task, else the one inferred.
    pub task: Task,
    /// What moved the score, in the order of weighing.
    pub reasons: Vec<String>,
    /// The points of words, tools and the caller's task alone.
    pub evidence: i32,
    /// What the rule and the learned router make of it, where both have a view.
    pub views: Option<Views>,
}

/// The guide's bounds: fewer words may be simple, more are complex unless something says otherwise.
const SHORT_WORDS: usize = 20;
const LONG_WORDS: usize = 200;

const MEDIUM: i32 = 50;
const SIMPLE_BELOW: i32 = 40;
const COMPLEX_FROM: i32 = 65;

/// Assesses a request from its facts alone. One pass over the prompt, linear in its length.
#[must_use]
pub fn classify(facts: &Facts<'_>) -> Assessment {
    let signals = Signals::read(facts.prompt);
    let task = facts.task.unwrap_or_else(|| signals.task());
    let mut score = Score {
        points: MEDIUM,
        reasons: Vec::new(),
    };
    for Cue(phrase, weight, _) in &signals.cues {
        score.add(*weight, || format!("keyword: {phrase}"));
    }
    if let Some(task) = facts.task {
        score.add(task_weight(task), || {
            format!("task: {task:?}").to_lowercase()
        });
    }
    if facts.tools {
        score.add(10, || "tools".into());
    }
    let evidence = score.points - MEDIUM;
    if signals.words > LONG_WORDS {
        score.add(15, || format!("long: {} words", signals.words));
    }
    if signals.words < SHORT_WORDS && !signals.asks_for_thought() {
        score.add(-15, || format!("short: {} words", signals.words));
    }
    if signals.is_code() {
        score.add(10, || "code in the prompt".into());
    }
    Assessment {
        evidence,
        ..score.assess(task)
    }
}

struct Score {
    points: i32,
    reasons: Vec<String>,
}

impl Score {
    fn add(&mut self, weight: i32, reason: impl FnOnce() -> String) {
        if weight != 0 {
            self.points += weight;
            self.reasons.push(reason());
        }
    }

    fn assess(mut self, task: Task) -> Assessment {
        let points = self.points.clamp(0, 100);
        let tier = match points {
            ..SIMPLE_BELOW => Tier::Simple,
            SIMPLE_BELOW..COMPLEX_FROM => Tier::Medium,
            _ => Tier::Complex,
        };
        if self.reasons.is_empty() {
            self.reasons
                .push("nothing points to an easy or a hard task".into());
        }
        Assessment {
            tier,
            score: u8::try_from(points).unwrap_or(100),
            task,
            reasons: self.reasons,
            evidence: 0,
            views: None,
        }
    }
}

/// What a task named by the caller adds: the guide sends classification and extraction to its smallest model, reasoning and
/// coding to its larger ones.
const fn task_weight(task: Task) -> i32 {
    match task {
        Task::Classification | Task::Extraction => -25,
        Task::Summarization => -15,
        Task::Reasoning => 20,
        Task::Coding => 10,
        Task::General | Task::Creative | Task::Rag | Task::Embedding => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assess(prompt: &str) -> Assessment {
        classify(&Facts {
            prompt,
            ..Facts::default()
        })
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn the_guides_prompts_go_where_it_says() {
        let code = "Analyze this Python function and suggest improvements:\n\ndef process_data(data):\n    result = []\n    for i in range(len(data)):\n        if data[i] != None:\n            result.append(data[i] * 2)\n    return result";
        for (prompt, tier, task) in [
            (
                "Classify this as positive or negative: 'Great product!'",
                Tier::Simple,
                Task::Classification,
            ),
            (
                "Explain the pros and cons of using serverless architecture for a web application.",
                Tier::Medium,
                Task::General,
            ),
            (
                "Design a complete CI/CD pipeline architecture for a microservices application...",
                Tier::Complex,
                Task::Reasoning,
            ),
            (code, Tier::Complex, Task::Coding),
            (
                "Classify this support ticket: \"My account is locked and I need to reset my password\"",
                Tier::Simple,
                Task::Classification,
            ),
            (
                "Design a microservices architecture for an e-commerce platform with high availability requirements.",
                Tier::Complex,
                Task::Reasoning,
            ),
            (
                "Write a product description for a wireless noise-canceling headphone.",
                Tier::Medium,
                Task::Creative,
            ),
            (
                "Explain the differences between SQL and NoSQL databases. When should I use each one?",
                Tier::Medium,
                Task::General,
            ),
            (
                "Summarize the key benefits of containerization in 3 bullet points.",
                Tier::Simple,
                Task::Summarization,
            ),
            (
                "Based on the following context, answer the question.\n\nContext: OneUptime is open source.\n\nQuestion: What is it?",
                Tier::Medium,
                Task::Rag,
            ),
            (
                "Write a concise explanation of how load balancers distribute traffic across servers.",
                Tier::Medium,
                Task::General,
            ),
        ] {
            let assessment = assess(prompt);
            assert_eq!(
                (assessment.tier, assessment.task),
                (tier, task),
                "{prompt}\n{assessment:?}"
            );
        }
    }

    #[test]
    fn keywords_are_words_and_not_parts_of_words() {
        for prompt in [
            "The designer of serverless architecture",
            "redesign",
            "designé",
            "co_design",
            "undesign'd",
        ] {
            assert!(
                !assess(prompt)
                    .reasons
                    .iter()
                    .any(|reason| reason.contains("keyword")),
                "{prompt}"
            );
        }
        for prompt in [
            "DESIGN!",
            "re: design",
            "(design)",
            "Compare\n  and\tCONTRAST: a, b",
        ] {
            assert_eq!(assess(prompt).tier, Tier::Complex, "{prompt}");
        }
    }

    #[test]
    fn a_short_prompt_is_not_thereby_simple() {
        assert_eq!(assess("What is the capital of France?").tier, Tier::Simple);
        assert_eq!(assess("Hello!").tier, Tier::Simple);
        assert_eq!(assess("Why is the sky blue?").tier, Tier::Medium);
        assert_eq!(
            assess("Prove that there are infinitely many primes.").tier,
            Tier::Complex
        );
        assert_eq!(assess("设计一个高可用的电商平台").tier, Tier::Medium);
    }

    #[test]
    fn a_long_prompt_is_complex_unless_told_otherwise() {
        let long = "word ".repeat(201);
        assert_eq!(assess(&long).tier, Tier::Complex);
        assert_eq!(assess(&format!("Classify: {long}")).tier, Tier::Simple);
    }

    #[test]
    fn the_callers_task_counts() {
        let with = |task| {
            classify(&Facts {
                prompt: "Describe the attached text",
                task: Some(task),
                ..Facts::default()
            })
        };
        assert_eq!(with(Task::Classification).tier, Tier::Simple);
        assert_eq!(with(Task::Coding).tier, Tier::Medium);
        assert_eq!(with(Task::Reasoning).tier, Tier::Complex);
        assert_eq!(with(Task::Reasoning).reasons, ["task: reasoning"]);
    }

    proptest! {
        #[test]
        fn any_prompt_is_assessed(prompt in "\\PC{0,400}") {
            let assessment = assess(&prompt);
            prop_assert!(assessment.score <= 100 && !assessment.reasons.is_empty());
        }
    }
}
