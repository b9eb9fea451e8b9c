//! Words that tell how hard a request is and what it is for: the guide's keywords, and more of their kind.

use crate::catalog::Task::{
    self, Classification, Coding, Creative, Extraction, Rag, Reasoning, Summarization,
};

/// A word or phrase in lower case, the hundredths it adds to the score, and the task it speaks for.
#[derive(Debug, PartialEq)]
pub(super) struct Cue(pub &'static str, pub i32, pub Option<Task>);

/// Every cue, sorted.
///
/// The guide's own: `classify`, `extract`, `summarize briefly`, `yes or no` make a prompt simple; `analyze`, `design`,
/// `architect`, `compare and contrast`, `debug` make it complex. A weight of zero says that something is asked for, so that
/// a short prompt is not thereby simple.
const CUES: &[Cue] = &[
    Cue("advise", 0, None),
    Cue("analyse", 30, Some(Reasoning)),
    Cue("analyze", 30, Some(Reasoning)),
    Cue("architect", 30, None),
    Cue("based on the context", 0, Some(Rag)),
    Cue("based on the following", 0, Some(Rag)),
    Cue("briefly", -10, None),
    Cue("categorise", -30, Some(Classification)),
    Cue("categorize", -30, Some(Classification)),
    Cue("classify", -30, Some(Classification)),
    Cue("compare", 5, None),
    Cue("compare and contrast", 30, Some(Reasoning)),
    Cue("context:", 0, Some(Rag)),
    Cue("create", 0, None),
    Cue("critique", 15, None),
    Cue("debug", 30, Some(Coding)),
    Cue("define", -15, None),
    Cue("derive", 25, Some(Reasoning)),
    Cue("describe", 0, None),
    Cue("design", 30, Some(Reasoning)),
    Cue("develop", 10, None),
    Cue("discuss", 5, None),
    Cue("draft", 0, None),
    Cue("essay", 5, Some(Creative)),
    Cue("evaluate", 15, None),
    Cue("explain", 0, None),
    Cue("extract", -30, Some(Extraction)),
    Cue("fix", 5, None),
    Cue("fix the bug", 20, Some(Coding)),
    Cue("generate", 0, None),
    Cue("how", 0, None),
    Cue("how many", -15, None),
    Cue("how old", -15, None),
    Cue("identify the", -10, None),
    Cue("implement", 15, Some(Coding)),
    Cue("improve", 5, None),
    Cue("in depth", 15, None),
    Cue("in one sentence", -15, None),
    Cue("in one word", -30, None),
    Cue("justify", 15, None),
    Cue("list all", -10, Some(Extraction)),
    Cue("migrate", 15, None),
    Cue("optimise", 15, Some(Coding)),
    Cue("optimize", 15, Some(Coding)),
    Cue("outline", 0, None),
    Cue("plan", 10, None),
    Cue("poem", 0, Some(Creative)),
    Cue("positive or negative", -15, None),
    Cue("product description", 0, Some(Creative)),
    Cue("propose", 10, None),
    Cue("prove", 30, Some(Reasoning)),
    Cue("recommend", 5, None),
    Cue("refactor", 20, Some(Coding)),
    Cue("review", 5, None),
    Cue("rewrite", 0, None),
    Cue("root cause", 20, None),
    Cue("sentiment", -20, Some(Classification)),
    Cue("slogan", -5, Some(Creative)),
    Cue("solve", 10, None),
    Cue("spell", -20, None),
    Cue("step by step", 15, None),
    Cue("story", 0, Some(Creative)),
    Cue("suggest", 0, None),
    Cue("summarise", -15, Some(Summarization)),
    Cue("summarize", -15, Some(Summarization)),
    Cue("summarize briefly", -30, Some(Summarization)),
    Cue("summary of", -15, Some(Summarization)),
    Cue("tl;dr", -20, Some(Summarization)),
    Cue("trade-offs", 15, None),
    Cue("tradeoffs", 15, None),
    Cue("translate", -15, None),
    Cue("true or false", -30, None),
    Cue("what is", -10, None),
    Cue("what time", -15, None),
    Cue("when did", -15, None),
    Cue("when was", -15, None),
    Cue("where is", -15, None),
    Cue("who is", -15, None),
    Cue("who was", -15, None),
    Cue("why", 5, None),
    Cue("write", 0, None),
    Cue("yes or no", -30, None),
];

const LETTERS: usize = 26;

/// Where in [`CUES`] the cues of each pair of first letters begin, from `aa` to `zz`, and where the last of them ends.
const STARTS: [usize; LETTERS * LETTERS + 1] = starts();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn starts() -> [usize; LETTERS * LETTERS + 1] {
    let mut starts = [0; LETTERS * LETTERS + 1];
    let (mut at, mut cue) = (0, 0);
    while at < starts.len() {
        starts[at] = cue;
        while cue < CUES.len()
            && matches!(begin(CUES[cue].0.as_bytes()), Some(begin) if begin == at)
        {
            cue += 1;
        }
        at += 1;
    }
    starts
}

/// The place in [`STARTS`] of a text's first two letters.
const fn begin(text: &[u8]) -> Option<usize> {
    match text {
        [first, second, ..] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
            let (first, second) = (
                first.to_ascii_lowercase() - b'a',
                second.to_ascii_lowercase() - b'a',
            );
            Some(first as usize * LETTERS + second as usize)
        }
        _ => None,
    }
}

/// The cues that begin with the first two letters of a text, in either case.
pub(super) fn cues(text: &[u8]) -> &'static [Cue] {
    let range = begin(text).and_then(|at| Some(*STARTS.get(at)?..*STARTS.get(at + 1)?));
    range.and_then(|range| CUES.get(range)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cue_is_found_under_its_letters() {
        for Cue(phrase, ..) in CUES {
            let loud = phrase.to_ascii_uppercase();
            assert!(
                [*phrase, &loud]
                    .iter()
                    .all(|text| cues(text.as_bytes()).iter().any(|cue| cue.0 == *phrase))
            );
            assert_eq!(*phrase, phrase.to_ascii_lowercase());
        }
        assert!(CUES.is_sorted_by_key(|cue| cue.0));
        assert!(
            ["", "a", "!a", "a!", "zz", "\u{e9}a"]
                .iter()
                .all(|text| cues(text.as_bytes()).is_empty())
        );
    }
}
