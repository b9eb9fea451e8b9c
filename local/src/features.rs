//! What the learned router sees of many prompts, for its training.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::routing::learned::seen;

/// Prompts, and where their features go.
#[derive(Debug, clap::Args)]
pub struct Prompts {
    /// A file of JSON lines, each with a prompt.
    file: PathBuf,
    /// The file that is written: the features of each prompt in 32 bits each, little-endian.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    prompt: String,
}

/// Writes the features of each prompt, and returns how many there were.
///
/// # Errors
/// A sentence that names the file, and the line.
pub fn features(prompts: &Prompts) -> Result<String, String> {
    let said = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let file = File::open(&prompts.file).map_err(said(&prompts.file))?;
    let out = File::create(&prompts.out).map_err(said(&prompts.out))?;
    let mut out = BufWriter::new(out);
    let mut count = 0;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(said(&prompts.file))?;
        let Line { prompt } = serde_json::from_str(&line)
            .map_err(|error| format!("{}: line {}: {error}", prompts.file.display(), number + 1))?;
        for value in seen(&prompt) {
            out.write_all(&value.to_le_bytes())
                .map_err(said(&prompts.out))?;
        }
        count += 1;
    }
    out.flush().map_err(said(&prompts.out))?;
    Ok(format!("{count} prompts"))
}
