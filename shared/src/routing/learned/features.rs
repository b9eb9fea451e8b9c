//! What the learned router sees of a prompt: counts and shares, at one pass over its bytes and without allocation.
//!
//! Everything is a whole number, so that the same prompt gives the same features on every processor. Shares are per thousand. Words
//! are runs of letters; a letter is an ASCII letter or any byte of another script. The lists of words are in [`words`](super::words).

use super::words::{CLASSES, class_of};

macro_rules! features {
    ($($name:ident $meaning:literal)*) => {
        /// A feature.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Feature {
            $(#[doc = $meaning] $name,)*
        }

        /// What each feature is, in words.
        pub const MEANINGS: [&str; OWN] = [$($meaning),*];
        const OWN: usize = [$(Feature::$name),*].len();
    };
}

features! {
    Bytes "bytes"
    Words "words"
    Lines "lines"
    Paragraphs "paragraphs"
    Sentences "sentences"
    WordLength "mean word length, in tenths"
    LongWords "words of 8 letters or more"
    VeryLongWords "words of 12 letters or more"
    Variety "distinct words, per thousand"
    Digits "digits"
    Numbers "numbers"
    LongestNumber "digits of the longest number"
    Decimals "numbers with a point"
    Capitals "capital letters"
    Names "capitalised words within sentences"
    Shouted "words in capitals"
    Commas "commas"
    Questions "question marks"
    Exclamations "exclamation marks"
    Colons "colons"
    Semicolons "semicolons"
    Quotes "quotation marks"
    Apostrophes "apostrophes"
    Parentheses "parentheses"
    Brackets "square brackets"
    Braces "braces"
    Angles "angle brackets"
    Equals "equals signs"
    Operators "operators"
    Dollars "dollar signs"
    Backslashes "backslashes"
    Underscores "underscores"
    Backticks "backticks"
    Fences "code fences"
    Percents "percent signs"
    Pipes "pipes"
    Bullets "lines that begin with a bullet or a number"
    Options "lines that begin with an option"
    Indented "indented lines"
    LongestLine "bytes of the longest line"
    LineLength "mean bytes of a line"
    Foreign "bytes beyond ASCII, per thousand"
    Ideographs "characters of three bytes"
    EndsInQuestion "ends with a question mark"
    LastLine "words of the last line"
    FirstWord "kind of the first word"
    DigitShare "digits, per thousand bytes"
    MarkShare "marks, per thousand bytes"
    NumbersASentence "numbers a sentence, in tenths"
    WordsASentence "words a sentence"
}

/// How many features there are: those above, how many words of each class there are, and the share of each.
pub const COUNT: usize = OWN + 2 * CLASSES;

/// The features of a prompt.
pub(crate) type Values = [i32; COUNT];

/// Bits of a set of word hashes that tells how varied a prompt is.
const SEEN: usize = 4096;

/// What is read so far.
struct Reader {
    values: Values,
    /// The word that is being read: its hash, its letters, its capitals.
    word: u32,
    letters: u32,
    capitals: u32,
    all_letters: u64,
    seen: [u64; SEEN / 64],
    distinct: u32,
    /// The number that is being read.
    digits: u32,
    /// The line that is being read: bytes, words, and whether nothing but blanks has come.
    line: u32,
    line_words: u32,
    blank: bool,
    indent: u32,
    marks: u32,
    foreign: u32,
    /// A sentence has just ended, or none has begun.
    fresh: bool,
}

/// Reads a prompt.
pub(crate) fn read(prompt: &str) -> Values {
    let mut reader = Reader {
        values: [0; COUNT],
        word: FNV,
        letters: 0,
        capitals: 0,
        all_letters: 0,
        seen: [0; SEEN / 64],
        distinct: 0,
        digits: 0,
        line: 0,
        line_words: 0,
        blank: true,
        indent: 0,
        marks: 0,
        foreign: 0,
        fresh: true,
    };
    let bytes = prompt.trim().as_bytes();
    let mut last = b'\n';
    for (at, &byte) in bytes.iter().enumerate() {
        reader.add(byte, last, bytes.get(at + 1).copied().unwrap_or(b'\n'));
        last = byte;
    }
    reader.finish(bytes)
}

const FNV: u32 = 0x811C_9DC5;

pub(crate) const fn mix(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// A hash whose low bits are as good as its high ones.
const fn finished(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x7FEB_352D);
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x846C_A68B);
    hash ^ (hash >> 16)
}

impl Reader {
    #[expect(clippy::indexing_slicing, reason = "there is a value for each feature")]
    fn count(&mut self, feature: Feature, more: u32) {
        let value = &mut self.values[feature as usize];
        *value = value.saturating_add_unsigned(more);
    }

    #[expect(clippy::indexing_slicing, reason = "there is a value for each feature")]
    fn set(&mut self, feature: Feature, value: u64) {
        self.values[feature as usize] = i32::try_from(value).unwrap_or(i32::MAX);
    }

    #[expect(clippy::indexing_slicing, reason = "there is a value for each feature")]
    fn get(&self, feature: Feature) -> u64 {
        u64::from(self.values[feature as usize].unsigned_abs())
    }

    fn add(&mut self, byte: u8, last: u8, next: u8) {
        // Most of a prompt is this, and the rest of what follows has nothing to do for it.
        if byte.is_ascii_lowercase() && !self.blank && self.digits == 0 {
            self.word = mix(self.word, byte);
            self.letters += 1;
            self.line += 1;
            return;
        }
        let is_letter = byte.is_ascii_alphabetic() || byte >= 0x80;
        if is_letter {
            self.letter(byte);
        } else {
            self.end_word();
        }
        if byte.is_ascii_digit() {
            self.digits += 1;
            self.count(Feature::Digits, 1);
        } else {
            self.end_number(byte, next);
        }
        if byte == b'\n' {
            return self.end_line();
        }
        if self.blank {
            self.begin_line(byte, next);
        }
        self.line += 1;
        if byte.is_ascii_punctuation() {
            self.mark(byte, last, next);
        }
    }

    fn letter(&mut self, byte: u8) {
        self.word = mix(self.word, byte.to_ascii_lowercase());
        self.letters += 1;
        if byte.is_ascii_uppercase() {
            self.capitals += 1;
            self.count(Feature::Capitals, 1);
        } else if byte >= 0x80 {
            self.foreign += 1;
            self.count(Feature::Ideographs, u32::from((0xE3..0xF0).contains(&byte)));
        }
    }

    fn end_word(&mut self) {
        if self.letters == 0 {
            return;
        }
        let (letters, capitals) = (self.letters, self.capitals);
        let hash = finished(self.word);
        self.count(Feature::Words, 1);
        self.line_words += 1;
        self.all_letters += u64::from(letters);
        self.count(Feature::LongWords, u32::from(letters >= 8));
        self.count(Feature::VeryLongWords, u32::from(letters >= 12));
        self.count(
            Feature::Shouted,
            u32::from(letters > 1 && capitals == letters),
        );
        self.count(Feature::Names, u32::from(capitals > 0 && !self.fresh));
        self.note(hash);
        let class = class_of(self.word);
        if let Some(value) = class.and_then(|class| self.values.get_mut(OWN + class)) {
            *value = value.saturating_add(1);
        }
        if self.get(Feature::Words) == 1 {
            self.set(
                Feature::FirstWord,
                class.map_or(0, |class| class as u64 + 1),
            );
        }
        (self.word, self.letters, self.capitals, self.fresh) = (FNV, 0, 0, false);
    }

    /// Notes a word among those that were seen.
    fn note(&mut self, hash: u32) {
        let bit = hash as usize % SEEN;
        if let Some(bits) = self.seen.get_mut(bit / 64) {
            let one = 1 << (bit % 64);
            self.distinct += u32::from(*bits & one == 0);
            *bits |= one;
        }
    }

    fn end_number(&mut self, byte: u8, next: u8) {
        if self.digits > 0 {
            self.count(Feature::Numbers, 1);
            self.count(
                Feature::Decimals,
                u32::from(byte == b'.' && next.is_ascii_digit()),
            );
            let longest = self.get(Feature::LongestNumber).max(self.digits.into());
            self.set(Feature::LongestNumber, longest);
            self.digits = 0;
        }
    }

    fn begin_line(&mut self, byte: u8, next: u8) {
        if byte == b' ' || byte == b'\t' {
            self.indent += 1;
            return;
        }
        self.blank = false;
        self.count(Feature::Indented, u32::from(self.indent > 1));
        let is_option = byte.is_ascii_alphabetic() && matches!(next, b'.' | b')' | b':');
        self.count(
            Feature::Options,
            u32::from(is_option || (byte == b'(' && next.is_ascii_alphabetic())),
        );
        let is_bullet = matches!(byte, b'-' | b'*' | b'#')
            || (byte.is_ascii_digit() && matches!(next, b'.' | b')'));
        self.count(Feature::Bullets, u32::from(is_bullet));
    }

    fn end_line(&mut self) {
        self.count(Feature::Lines, 1);
        self.count(Feature::Paragraphs, u32::from(self.blank));
        let longest = self.get(Feature::LongestLine).max(self.line.into());
        self.set(Feature::LongestLine, longest);
        self.set(Feature::LastLine, self.line_words.into());
        (
            self.line,
            self.line_words,
            self.blank,
            self.indent,
            self.fresh,
        ) = (0, 0, true, 0, true);
    }

    fn mark(&mut self, byte: u8, last: u8, next: u8) {
        self.marks += 1;
        if matches!(byte, b'.' | b'!' | b'?') && next.is_ascii_whitespace() {
            self.count(Feature::Sentences, 1);
            self.fresh = true;
        }
        let feature = match byte {
            b',' => Feature::Commas,
            b'?' => Feature::Questions,
            b'!' => Feature::Exclamations,
            b':' => Feature::Colons,
            b';' => Feature::Semicolons,
            b'"' => Feature::Quotes,
            b'\'' => Feature::Apostrophes,
            b'(' => Feature::Parentheses,
            b'[' => Feature::Brackets,
            b'{' => Feature::Braces,
            b'<' | b'>' => Feature::Angles,
            b'=' => Feature::Equals,
            b'+' | b'-' | b'*' | b'/' | b'^' => Feature::Operators,
            b'$' => Feature::Dollars,
            b'\\' => Feature::Backslashes,
            b'_' => Feature::Underscores,
            b'`' if last == b'`' && next == b'`' => Feature::Fences,
            b'`' => Feature::Backticks,
            b'%' => Feature::Percents,
            b'|' => Feature::Pipes,
            _ => return,
        };
        self.count(feature, 1);
    }

    fn finish(mut self, bytes: &[u8]) -> Values {
        self.end_word();
        self.end_number(b'\n', b'\n');
        self.end_line();
        let length = bytes.len() as u64;
        let of_thousand = |part: u64, whole: u64| (part * 1000).checked_div(whole).unwrap_or(0);
        let (words, lines) = (self.get(Feature::Words), self.get(Feature::Lines));
        let sentences = self.get(Feature::Sentences).max(1);
        self.set(Feature::Bytes, length);
        self.set(
            Feature::WordLength,
            (self.all_letters * 10).checked_div(words).unwrap_or(0),
        );
        self.set(
            Feature::Variety,
            of_thousand(self.distinct.into(), words.min(SEEN as u64)),
        );
        self.set(Feature::LineLength, length.checked_div(lines).unwrap_or(0));
        self.set(Feature::Foreign, of_thousand(self.foreign.into(), length));
        self.set(
            Feature::EndsInQuestion,
            u64::from(bytes.last() == Some(&b'?')),
        );
        self.set(
            Feature::DigitShare,
            of_thousand(self.get(Feature::Digits), length),
        );
        self.set(Feature::MarkShare, of_thousand(self.marks.into(), length));
        self.set(
            Feature::NumbersASentence,
            self.get(Feature::Numbers) * 10 / sentences,
        );
        self.set(Feature::WordsASentence, words / sentences);
        for class in 0..CLASSES {
            let count = self
                .values
                .get(OWN + class)
                .map_or(0, |count| u64::from(count.unsigned_abs()));
            if let Some(share) = self.values.get_mut(OWN + CLASSES + class) {
                *share = i32::try_from(of_thousand(count, words)).unwrap_or(i32::MAX);
            }
        }
        self.values
    }
}
