//! What is to be embedded: texts, images, or both together, checked against the model's limits before anything is sent.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::catalog::{Embedding, Model};
use shared::error::Error;
use shared::wire::ImageFormat;

use crate::dialect::Truncate;

/// Inputs in one request at most.
const MOST: usize = 10_000;

/// One thing to embed: a text, an image, or a text and an image that make one vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Input {
    pub(crate) text: Option<Box<str>>,
    pub(crate) image: Option<Image>,
}

/// An image, in base64.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) format: &'static str,
    pub(crate) base64: Box<str>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Image({} in {} characters)",
            self.format,
            self.base64.len()
        )
    }
}

/// The inputs of a request, each once, and for every place in the request the input that stands there.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) unique: Vec<Input>,
    pub(crate) slots: Vec<usize>,
    /// Inputs whose text was cut to the model's limit.
    pub(crate) cut: Vec<usize>,
}

/// Texts and images as the caller gave them, and the caller's name for the texts.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) texts: Vec<String>,
    pub(crate) images: Vec<String>,
    pub(crate) field: &'static str,
}

impl Given {
    /// Checks all of it for a model and leaves out what is there twice.
    pub(crate) fn inputs(
        self,
        model: &Model,
        facts: &Embedding,
        truncate: Truncate,
    ) -> Result<Inputs, Error> {
        let (texts, images) = (self.texts.len(), self.images.len());
        let count = texts.max(images);
        if count == 0 {
            return Err(Error::invalid(self.field, "there is nothing to embed"));
        }
        if count > MOST {
            let words =
                format!("{count} inputs are more than {MOST}; send them in several requests");
            return Err(Error::invalid(self.field, words));
        }
        if texts > 0 && images > 0 && texts != images {
            let words = format!(
                "{texts} texts and {images} images make no pairs: there must be as many of one as of the other"
            );
            return Err(Error::invalid("images", words));
        }
        if images > 0 && facts.image_formats.is_empty() {
            return Err(Error::invalid(
                "images",
                format!("{} takes texts only", model.name),
            ));
        }
        let mut cut = Vec::new();
        let texts = self.texts.into_iter().enumerate().map(|(at, text)| {
            let path = || format!("{}[{at}]", self.field);
            let (text, was_cut) = fit(text, facts, truncate, path)?;
            if was_cut {
                cut.push(at);
            }
            Ok(text)
        });
        let texts: Vec<Box<str>> = texts.collect::<Result<_, Error>>()?;
        let images = self.images.into_iter().enumerate();
        let images = images.map(|(at, image)| Image::read(&image, facts, &format!("images[{at}]")));
        let images: Vec<Image> = images.collect::<Result<_, Error>>()?;
        let mut texts = texts.into_iter().map(Some);
        let mut images = images.into_iter().map(Some);
        let all = (0..count).map(|_| Input {
            text: texts.next().flatten(),
            image: images.next().flatten(),
        });
        let (unique, slots) = once(all);
        let cut = cut
            .into_iter()
            .filter_map(|at| slots.get(at).copied())
            .collect();
        Ok(Inputs { unique, slots, cut })
    }
}

/// Each input once, in order of appearance, and where each one went.
fn once(all: impl Iterator<Item = Input>) -> (Vec<Input>, Vec<usize>) {
    let mut places: HashMap<Input, usize> = HashMap::new();
    let slots: Vec<usize> = all
        .map(|input| {
            let next = places.len();
            *places.entry(input).or_insert(next)
        })
        .collect();
    let mut unique: Vec<_> = places.into_iter().collect();
    unique.sort_unstable_by_key(|(_, place)| *place);
    (unique.into_iter().map(|(input, _)| input).collect(), slots)
}

/// A text within the model's limit of characters, and whether it had to be cut for that.
fn fit(
    text: String,
    facts: &Embedding,
    truncate: Truncate,
    path: impl Fn() -> String,
) -> Result<(Box<str>, bool), Error> {
    if text.is_empty() {
        return Err(Error::invalid(path(), "there is nothing in it to embed"));
    }
    let most = facts
        .max_input_characters
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX);
    let length = if text.len() <= most {
        0
    } else {
        text.chars().count()
    };
    if length <= most {
        return Ok((text.into(), false));
    }
    match shorten(&text, most, truncate) {
        Some(short) => Ok((short.into(), true)),
        None => {
            let words = format!(
                "{length} characters are more than the model's {most}; set truncate to end or start, or split the text"
            );
            Err(Error::invalid(path(), words))
        }
    }
}

/// The first or last so many characters, where cutting is allowed.
pub(crate) fn shorten(text: &str, most: usize, truncate: Truncate) -> Option<&str> {
    match truncate {
        Truncate::None => None,
        Truncate::End => {
            let end = text
                .char_indices()
                .nth(most)
                .map_or(text.len(), |(at, _)| at);
            text.get(..end)
        }
        Truncate::Start => {
            let back = text.char_indices().rev().nth(most.saturating_sub(1));
            text.get(back.map_or(0, |(at, _)| at)..)
        }
    }
}

impl Image {
    /// Reads base64, bare or in a data URI, and checks what it holds.
    fn read(text: &str, facts: &Embedding, path: &str) -> Result<Self, Error> {
        let bare = match text.strip_prefix("data:") {
            Some(rest) => rest.split_once("base64,").map_or("", |(_, base64)| base64),
            None => text,
        };
        let bytes = STANDARD.decode(bare.trim());
        let bytes =
            bytes.map_err(|error| Error::invalid(path, format!("this is not base64: {error}")))?;
        let takes = facts.image_formats.join(", ");
        let format = ImageFormat::of(&bytes).map(ImageFormat::as_str);
        let format =
            format.filter(|format| facts.image_formats.iter().any(|known| known == format));
        let Some(format) = format else {
            return Err(Error::invalid(
                path,
                format!("this is no image that the model takes: {takes}"),
            ));
        };
        let megabytes = facts.max_image_mb.unwrap_or(u32::MAX);
        if bytes.len() as u64 > u64::from(megabytes) * 1024 * 1024 {
            let words = format!(
                "{} bytes are more than the model's {megabytes} MB",
                bytes.len()
            );
            return Err(Error::invalid(path, words));
        }
        let most = facts
            .max_image_pixels
            .and_then(|most| usize::try_from(most).ok());
        let most = most.unwrap_or(usize::MAX);
        match imagesize::blob_size(&bytes) {
            Ok(size) if size.width.max(size.height) > most => {
                let words = format!(
                    "{} by {} pixels are more than the model's {most} by {most}",
                    size.width, size.height
                );
                Err(Error::invalid(path, words))
            }
            Ok(_) | Err(_) => Ok(Self {
                format,
                base64: bare.trim().into(),
            }),
        }
    }

    /// As the image of an HTML page would name it.
    pub(crate) fn data_uri(&self) -> String {
        format!("data:image/{};base64,{}", self.format, self.base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_goes_out_once() {
        let text = |text: &str| Input {
            text: Some(text.into()),
            image: None,
        };
        let (unique, slots) = once(["b", "a", "b", "c", "a"].into_iter().map(text));
        assert_eq!(unique, ["b", "a", "c"].map(text));
        assert_eq!(slots, [0, 1, 0, 2, 1]);
    }

    #[test]
    fn a_text_is_cut_at_the_end_that_the_caller_names() {
        assert_eq!(shorten("größer", 3, Truncate::End), Some("grö"));
        assert_eq!(shorten("größer", 3, Truncate::Start), Some("ßer"));
        assert_eq!(shorten("größer", 9, Truncate::Start), Some("größer"));
        assert_eq!(shorten("größer", 3, Truncate::None), None);
    }

    #[test]
    fn an_image_is_held_to_the_models_megabytes() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
        for (model, megabytes) in [("titan-multimodal", 25), ("cohere-embed", 5)] {
            let model = shared::catalog::Catalog::built_in().find(model).unwrap();
            let facts = model.embedding.as_ref().unwrap();
            png.resize(megabytes * 1024 * 1024, 0);
            assert!(Image::read(&STANDARD.encode(&png), facts, "x").is_ok());
            png.push(0);
            let error = Image::read(&STANDARD.encode(&png), facts, "x").unwrap_err();
            assert!(
                error.detail().contains(&format!("{megabytes} MB")),
                "{}",
                error.detail()
            );
        }
    }
}
