//! Words that tell how hard a request is and what it is for: the guide's keywords, and more of their kind.

use crate::catalog::Task;

/// A word or phrase in lower case, the hundredths it adds to the score, and the task it speaks for.
#[derive(Debug, PartialEq)]
pub(super) struct Cue(pub &'static str, pub i32, pub Option<Task>);

/// The cues that begin with a letter.
///
/// The guide's own: `classify`, `extract`, `summarize briefly`, `yes or no` make a prompt simple; `analyze`, `design`,
/// `architect`, `compare and contrast`, `debug` make it complex. A weight of zero says that something is asked for, so that
/// a short prompt is not thereby simple.
pub(super) fn cues(first_letter: u8) -> &'static [Cue] {
    use Task::{Classification, Coding, Creative, Extraction, Rag, Reasoning, Summarization};
    match first_letter {
        b'a' => &[
            Cue("analyze", 30, Some(Reasoning)),
            Cue("analyse", 30, Some(Reasoning)),
            Cue("architect", 30, None),
            Cue("advise", 0, None),
        ],
        b'b' => &[
            Cue("based on the following", 0, Some(Rag)),
            Cue("based on the context", 0, Some(Rag)),
            Cue("briefly", -10, None),
        ],
        b'c' => &[
            Cue("classify", -30, Some(Classification)),
            Cue("categorize", -30, Some(Classification)),
            Cue("categorise", -30, Some(Classification)),
            Cue("compare and contrast", 30, Some(Reasoning)),
            Cue("context:", 0, Some(Rag)),
            Cue("compare", 5, None),
            Cue("create", 0, None),
            Cue("critique", 15, None),
        ],
        b'd' => &[
            Cue("design", 30, Some(Reasoning)),
            Cue("debug", 30, Some(Coding)),
            Cue("derive", 25, Some(Reasoning)),
            Cue("define", -15, None),
            Cue("describe", 0, None),
            Cue("develop", 10, None),
            Cue("discuss", 5, None),
            Cue("draft", 0, None),
        ],
        b'e' => &[
            Cue("extract", -30, Some(Extraction)),
            Cue("essay", 5, Some(Creative)),
            Cue("evaluate", 15, None),
            Cue("explain", 0, None),
        ],
        b'f' => &[Cue("fix the bug", 20, Some(Coding)), Cue("fix", 5, None)],
        b'g' => &[Cue("generate", 0, None)],
        b'h' => &[
            Cue("how", 0, None),
            Cue("how many", -15, None),
            Cue("how old", -15, None),
        ],
        b'i' => &[
            Cue("implement", 15, Some(Coding)),
            Cue("identify the", -10, None),
            Cue("improve", 5, None),
            Cue("in one sentence", -15, None),
            Cue("in one word", -30, None),
            Cue("in depth", 15, None),
        ],
        b'j' => &[Cue("justify", 15, None)],
        b'l' => &[Cue("list all", -10, Some(Extraction))],
        b'm' => &[Cue("migrate", 15, None)],
        b'o' => &[
            Cue("optimize", 15, Some(Coding)),
            Cue("optimise", 15, Some(Coding)),
            Cue("outline", 0, None),
        ],
        b'p' => &[
            Cue("poem", 0, Some(Creative)),
            Cue("product description", 0, Some(Creative)),
            Cue("prove", 30, Some(Reasoning)),
            Cue("plan", 10, None),
            Cue("positive or negative", -15, None),
            Cue("propose", 10, None),
        ],
        b'r' => &[
            Cue("refactor", 20, Some(Coding)),
            Cue("recommend", 5, None),
            Cue("review", 5, None),
            Cue("rewrite", 0, None),
            Cue("root cause", 20, None),
        ],
        b's' => &[
            Cue("sentiment", -20, Some(Classification)),
            Cue("slogan", -5, Some(Creative)),
            Cue("story", 0, Some(Creative)),
            Cue("summarize", -15, Some(Summarization)),
            Cue("summarise", -15, Some(Summarization)),
            Cue("summarize briefly", -30, Some(Summarization)),
            Cue("summary of", -15, Some(Summarization)),
            Cue("solve", 10, None),
            Cue("spell", -20, None),
            Cue("step by step", 15, None),
            Cue("suggest", 0, None),
        ],
        b't' => &[
            Cue("tl;dr", -20, Some(Summarization)),
            Cue("trade-offs", 15, None),
            Cue("tradeoffs", 15, None),
            Cue("translate", -15, None),
            Cue("true or false", -30, None),
        ],
        b'w' => &[
            Cue("what is", -10, None),
            Cue("what time", -15, None),
            Cue("when was", -15, None),
            Cue("when did", -15, None),
            Cue("where is", -15, None),
            Cue("who is", -15, None),
            Cue("who was", -15, None),
            Cue("why", 5, None),
            Cue("write", 0, None),
        ],
        b'y' => &[Cue("yes or no", -30, None)],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cue_stands_under_its_letter_in_lower_case() {
        for letter in 0..=u8::MAX {
            for Cue(phrase, ..) in cues(letter) {
                assert_eq!(phrase.as_bytes().first(), Some(&letter), "{}", phrase);
                assert_eq!(*phrase, phrase.to_ascii_lowercase());
                assert!(!phrase.contains("  "));
            }
        }
    }
}
