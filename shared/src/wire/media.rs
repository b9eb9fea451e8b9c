//! Images, documents, video and sound: bytes in base64, checked against Bedrock's limits before anything is sent.
//!
//! The limits are those of the Converse API's own reference (Message and DocumentBlock, botocore 1.44).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imagesize::ImageType;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::union;
use crate::error::Error;
use crate::routing::estimate_tokens;

/// The most bytes of an image: 3.75 MB.
const IMAGE_BYTES: usize = 3_932_160;
/// The most pixels of an image in either direction.
const IMAGE_PIXELS: usize = 8000;
/// The most bytes of a document: 4.5 MB.
const DOCUMENT_BYTES: usize = 4_718_592;

/// Bytes, as base64 text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = Byte, example = "aGVsbG8=")]
pub struct Base64(Box<str>);

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} characters)", self.0.len())
    }
}

impl Base64 {
    /// Of a text that ought to be base64; whether it is, is found out when what it stands in is checked.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length of the text.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes, of which there are some and not too many.
    fn decode(&self, most: usize, path: &str) -> Result<Vec<u8>, Error> {
        let path = format!("{path}.source.bytes");
        let bytes = STANDARD.decode(self.0.as_bytes());
        let bytes =
            bytes.map_err(|error| Error::invalid(&path, format!("this is not base64: {error}")))?;
        match bytes.len() {
            0 => Err(Error::invalid(path, "there are no bytes")),
            all if all > most => Err(Error::invalid(
                path,
                format!("{all} bytes are more than Bedrock's limit of {most}"),
            )),
            _ => Ok(bytes),
        }
    }
}

/// An object in S3. It is refused: the function must not read buckets for others.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Location {
    /// `s3://bucket/key`.
    uri: String,
    /// The account that owns the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket_owner: Option<String>,
}

impl S3Location {
    fn refuse<T>(path: &str) -> Result<T, Error> {
        let why =
            "s3Location is not taken: the function must not read buckets for others; send bytes";
        Err(Error::invalid(format!("{path}.source"), why))
    }
}

/// An image. It may stand in user turns and in tool results.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageBlock {
    /// What the bytes are.
    pub format: ImageFormat,
    /// Where they are.
    #[serde(deserialize_with = "union::one")]
    pub source: BytesSource,
}

/// What the bytes of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ImageFormat {
    Png,
    Jpeg,
    Gif,
    Webp,
}

/// Where the bytes of an image, a video or a sound are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BytesSource {
    /// Here.
    Bytes(Base64),
    /// In a bucket; refused.
    S3Location(S3Location),
}

impl ImageFormat {
    /// Bedrock's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// What bytes say of themselves, if they are an image that Bedrock takes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match imagesize::image_type(bytes).ok()? {
            ImageType::Png => Some(Self::Png),
            ImageType::Jpeg => Some(Self::Jpeg),
            ImageType::Gif => Some(Self::Gif),
            ImageType::Webp => Some(Self::Webp),
            #[allow(unreachable_patterns, reason = "the list is open")]
            _ => None,
        }
    }
}

impl ImageBlock {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        let BytesSource::Bytes(base64) = &self.source else {
            return S3Location::refuse(path);
        };
        let bytes = base64.decode(IMAGE_BYTES, path)?;
        match ImageFormat::of(&bytes) {
            Some(format) if format == self.format => {}
            Some(format) => {
                let words =
                    format!("the bytes are {format:?}, not {:?}", self.format).to_lowercase();
                return Err(Error::invalid(format!("{path}.format"), words));
            }
            None => {
                let words = "the bytes are no image that Bedrock takes: png, jpeg, gif or webp";
                return Err(Error::invalid(format!("{path}.source.bytes"), words));
            }
        }
        // Bytes that end before their size is known are Bedrock's to judge.
        match imagesize::blob_size(&bytes) {
            Ok(size) if size.width.max(size.height) > IMAGE_PIXELS => {
                let words = format!(
                    "{} by {} pixels are more than Bedrock's limit of {IMAGE_PIXELS}",
                    size.width, size.height
                );
                Err(Error::invalid(format!("{path}.source.bytes"), words))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// A document. It may stand in user turns, beside a text, and in tool results.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentBlock {
    /// What the bytes are; `txt` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<DocumentFormat>,
    /// A neutral name, which the model reads: letters, digits, single spaces, hyphens, parentheses, square brackets.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Where it is.
    #[serde(deserialize_with = "union::one")]
    pub source: DocumentSource,
    /// How to read it, for citations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether the answer is to cite it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<CitationsConfig>,
}

/// What the bytes of a document are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum DocumentFormat {
    Pdf,
    Csv,
    Doc,
    Docx,
    Xls,
    Xlsx,
    Html,
    Txt,
    Md,
}

/// Where a document is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DocumentSource {
    /// Here, as bytes.
    Bytes(Base64),
    /// In a bucket; refused.
    S3Location(S3Location),
    /// Here, as text.
    Text(String),
    /// Here, in pieces that can be cited.
    #[serde(deserialize_with = "union::list")]
    Content(Vec<TextPiece>),
}

/// A piece of a document or of a search result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TextPiece {
    /// Text.
    Text(String),
}

/// Whether the answer is to cite.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitationsConfig {
    /// It is.
    pub enabled: bool,
}

impl DocumentBlock {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        check_document_name(&self.name)
            .map_err(|why| Error::invalid(format!("{path}.name"), why))?;
        match &self.source {
            DocumentSource::Bytes(base64) => base64.decode(DOCUMENT_BYTES, path).map(drop),
            DocumentSource::S3Location(_) => S3Location::refuse(path),
            DocumentSource::Text(text) if text.trim().is_empty() => Err(Error::invalid(
                format!("{path}.source.text"),
                "the document is blank",
            )),
            DocumentSource::Content(pieces) if pieces.is_empty() => Err(Error::invalid(
                format!("{path}.source.content"),
                "the document is empty",
            )),
            DocumentSource::Text(_) | DocumentSource::Content(_) => Ok(()),
        }
    }

    pub(super) fn is_cited(&self) -> bool {
        self.citations.is_some_and(|citations| citations.enabled)
    }

    /// Text counts as text; of other files about a tenth of the base64's length, which is what PDFs of prose come to.
    pub(crate) fn estimated_tokens(&self) -> u32 {
        let is_text = |format| {
            matches!(
                format,
                DocumentFormat::Csv
                    | DocumentFormat::Html
                    | DocumentFormat::Txt
                    | DocumentFormat::Md
            )
        };
        let divided =
            |base64: &Base64, by: usize| u32::try_from(base64.len() / by).unwrap_or(u32::MAX);
        let content = match &self.source {
            DocumentSource::Bytes(base64) if self.format.is_none_or(is_text) => divided(base64, 4),
            DocumentSource::Bytes(base64) => divided(base64, 10),
            DocumentSource::S3Location(_) => 0,
            DocumentSource::Text(text) => estimate_tokens(text),
            DocumentSource::Content(pieces) => pieces
                .iter()
                .map(TextPiece::estimated_tokens)
                .fold(0, u32::saturating_add),
        };
        let context = estimate_tokens(self.context.as_deref().unwrap_or_default());
        content
            .saturating_add(context)
            .saturating_add(estimate_tokens(&self.name))
    }
}

fn check_document_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "-()[]".contains(c);
    if !(1..=200).contains(&name.chars().count()) {
        Err("a document's name has 1 to 200 characters".into())
    } else if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        Err(format!(
            "a document's name has letters, digits, spaces, hyphens, parentheses and square brackets, not {c:?}"
        ))
    } else if name
        .chars()
        .zip(name.chars().skip(1))
        .any(|(a, b)| a.is_whitespace() && b.is_whitespace())
    {
        Err("a document's name has no more than one space in a row".into())
    } else {
        Ok(())
    }
}

impl TextPiece {
    pub(crate) fn estimated_tokens(&self) -> u32 {
        let Self::Text(text) = self;
        estimate_tokens(text)
    }
}

/// A video. It may stand in user turns.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoBlock {
    /// What the bytes are.
    pub format: VideoFormat,
    /// Where they are.
    #[serde(deserialize_with = "union::one")]
    pub source: BytesSource,
}

/// What the bytes of a video are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum VideoFormat {
    Mkv,
    Mov,
    Mp4,
    Webm,
    Flv,
    Mpeg,
    Mpg,
    Wmv,
    ThreeGp,
}

/// A sound. It may stand in user turns.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioBlock {
    /// What the bytes are.
    pub format: AudioFormat,
    /// Where they are.
    #[serde(deserialize_with = "union::one")]
    pub source: BytesSource,
}

/// What the bytes of a sound are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum AudioFormat {
    Mp3,
    Opus,
    Wav,
    Aac,
    Flac,
    Mp4,
    Ogg,
    Mkv,
    Mka,
    #[serde(rename = "x-aac")]
    XAac,
    M4a,
    Mpeg,
    Mpga,
    Pcm,
    Webm,
}

impl BytesSource {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        match self {
            Self::Bytes(base64) => base64.decode(usize::MAX, path).map(drop),
            Self::S3Location(_) => S3Location::refuse(path),
        }
    }

    /// About a tenth of the base64's length.
    pub(crate) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Bytes(base64) => u32::try_from(base64.len() / 10).unwrap_or(u32::MAX),
            Self::S3Location(_) => 0,
        }
    }
}

/// A search result, which the answer may cite.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchResultBlock {
    /// A URL or another name for where it is from. It is never fetched.
    pub source: String,
    /// A title.
    pub title: String,
    /// The text, in pieces that can be cited.
    #[serde(deserialize_with = "union::list")]
    pub content: Vec<TextPiece>,
    /// Whether the answer is to cite it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<CitationsConfig>,
}

/// What a guardrail is to look at; without such blocks it looks at every message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum GuardContentBlock {
    /// Text.
    Text(GuardText),
    /// An image, png or jpeg.
    Image(ImageBlock),
}

/// Text that a guardrail is to look at.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardText {
    /// The text.
    pub text: String,
    /// What it is: `grounding_source`, `query` or `guard_content`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qualifiers: Vec<GuardQualifier>,
}

/// What a text is to a guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum GuardQualifier {
    GroundingSource,
    Query,
    GuardContent,
}

impl GuardContentBlock {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        match self {
            Self::Text(text) if text.text.trim().is_empty() => Err(Error::invalid(
                format!("{path}.text.text"),
                "the text is blank",
            )),
            Self::Text(_) => Ok(()),
            Self::Image(image) if !matches!(image.format, ImageFormat::Png | ImageFormat::Jpeg) => {
                Err(Error::invalid(
                    format!("{path}.image.format"),
                    "a guardrail looks at png and jpeg only",
                ))
            }
            Self::Image(image) => image.check(&format!("{path}.image")),
        }
    }

    pub(crate) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(&text.text),
            Self::Image(_) => IMAGE_TOKENS,
        }
    }
}

/// What an image counts as: Claude's figure for a full-size one.
pub(super) const IMAGE_TOKENS: u32 = 1600;

/// JSON that travels as it came.
pub type Json = Box<RawValue>;
