//! What the learned router makes of many prompts: the door for evaluation from outside.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared::catalog::{Catalog, Tier};
use shared::routing::learned::foretell;
use shared::routing::{Facts, Policy, Router, Wanted, classify, decide, estimate_tokens};
use shared::telemetry;

/// A file of prompts.
#[derive(Debug, clap::Args)]
pub struct Prompts {
    /// JSON lines, each with an id and a prompt.
    file: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    prompt: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scored {
    id: serde_json::Value,
    /// What a large model is expected to give more than a small one.
    score: f64,
    /// The learned router's; the rule's for a prompt unlike all that was learned from.
    tier: Tier,
    /// Of a small, a medium and a large model.
    expected_quality: [f64; 3],
    expected_output_tokens: u32,
}

/// Writes a line for each line.
///
/// # Errors
/// A sentence that names the file, and the line.
pub fn score(prompts: &Prompts) -> Result<(), String> {
    let name = prompts.file.display();
    let file = File::open(&prompts.file).map_err(|error| format!("{name}: {error}"))?;
    let policy = Policy {
        region: crate::stack::REGION.into(),
        router: Router::Learned,
        ..Policy::default()
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| format!("{name}: {error}"))?;
        let read = serde_json::from_str(&line);
        let Line { id, prompt } =
            read.map_err(|error| format!("{name}: line {}: {error}", number + 1))?;
        let scored = scored(id, &prompt, &policy);
        let written = serde_json::to_writer(&mut out, &scored).map_err(io::Error::from);
        written
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())
}

fn scored(id: serde_json::Value, prompt: &str, policy: &Policy) -> Scored {
    let facts = Facts {
        prompt,
        input_tokens: estimate_tokens(prompt),
        ..Facts::default()
    };
    let foretold = foretell(prompt);
    let rule = classify(&facts);
    let decision = decide(
        Catalog::built_in(),
        policy,
        &facts,
        Wanted::Auto,
        telemetry::today(),
    );
    let share = |millionths: i32| f64::from(millionths) / 1e6;
    Scored {
        id,
        score: share(foretold.gain),
        tier: decision.map_or(rule.tier, |decision| decision.assessment.tier),
        expected_quality: foretold.quality.map(share),
        expected_output_tokens: foretold.output_tokens,
    }
}
