//! What a prompt shows at one pass: its words, its letters, and the cues in it.

use super::cues::{Cue, cues};
use crate::catalog::Task;

/// What a byte can be: white space, a letter, part of a word, a mark that code is dense with, the first of a character beyond ASCII.
const SPACE: u8 = 1;
const LETTER: u8 = 2;
const WORD: u8 = 4;
const CODE: u8 = 8;
const FOREIGN: u8 = 16;

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0C => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER | WORD,
            b'0'..=b'9' | b'\'' | b'_' | 0x80..0xC0 => WORD,
            0xC0..=0xFF => WORD | FOREIGN,
            b'{' | b'}' | b'(' | b')' | b'[' | b']' | b';' | b'=' | b'<' | b'>' => CODE,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

#[expect(
    clippy::indexing_slicing,
    reason = "there is a class for each of the 256 bytes"
)]
fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// What the prompt shows.
pub(super) struct Signals {
    pub(super) words: usize,
    letters: usize,
    foreign: usize,
    code_marks: usize,
    fenced: bool,
    pub(super) cues: Vec<&'static Cue>,
}

impl Signals {
    pub(super) fn read(prompt: &str) -> Self {
        let mut signals = Self {
            words: 0,
            letters: 0,
            foreign: 0,
            code_marks: 0,
            fenced: prompt.contains("```"),
            cues: Vec::new(),
        };
        let bytes = prompt.as_bytes();
        let (mut words, mut letters, mut foreign, mut code_marks) = (0, 0, 0, 0);
        let mut before = SPACE;
        for (at, byte) in bytes.iter().enumerate() {
            let class = class(*byte);
            words += usize::from(before & !class & SPACE);
            letters += usize::from(class & LETTER);
            foreign += usize::from(class & FOREIGN);
            code_marks += usize::from(class & CODE);
            if class & !before & LETTER != 0 && before & WORD == 0 {
                signals.hear(bytes.get(at..).unwrap_or_default());
            }
            before = class;
        }
        Self {
            words,
            letters: letters / usize::from(LETTER),
            foreign: foreign / usize::from(FOREIGN),
            code_marks: code_marks / usize::from(CODE),
            ..signals
        }
    }

    /// Notes the longest cue that begins here, once.
    fn hear(&mut self, rest: &[u8]) {
        let heard = cues(rest)
            .iter()
            .filter(|Cue(phrase, ..)| begins_with(rest, phrase));
        let Some(cue) = heard.max_by_key(|Cue(phrase, ..)| phrase.len()) else {
            return;
        };
        if !self.cues.contains(&cue) {
            self.cues.push(cue);
        }
    }

    /// Something is asked for that a lookup does not answer, or the language is one whose cues are not known.
    pub(super) fn asks_for_thought(&self) -> bool {
        self.cues.iter().any(|Cue(_, weight, _)| *weight >= 0) || self.foreign > self.letters
    }

    /// Fenced, or dense with brackets and operators: more than one in 25 characters, and not just a few.
    pub(super) fn is_code(&self) -> bool {
        self.fenced || (self.code_marks >= 10 && self.code_marks * 25 > self.letters)
    }

    /// Code decides, then a given context, then the first cue that speaks for a task.
    pub(super) fn task(&self) -> Task {
        let told = |task| self.cues.iter().any(|Cue(.., of)| *of == Some(task));
        if self.is_code() {
            Task::Coding
        } else if told(Task::Rag) {
            Task::Rag
        } else {
            self.cues
                .iter()
                .find_map(|Cue(.., task)| *task)
                .unwrap_or(Task::General)
        }
    }
}

/// Whether text begins with a phrase as whole words, in any letter case, with any white space between the words.
fn begins_with(text: &[u8], phrase: &str) -> bool {
    let mut at = 0;
    for &wanted in phrase.as_bytes() {
        let space = |at: usize| text.get(at).is_some_and(|byte| class(*byte) & SPACE != 0);
        if wanted == b' ' && space(at) {
            while space(at) {
                at += 1;
            }
        } else if text.get(at).map(u8::to_ascii_lowercase) == Some(wanted) {
            at += 1;
        } else {
            return false;
        }
    }
    let goes_on = |byte: &u8| class(*byte) & WORD != 0 && *byte != b'\'';
    phrase.ends_with(':') || !text.get(at).is_some_and(goes_on)
}
