//! What each provider calls an embedding: request bodies and replies of InvokeModel, as AWS's model parameter pages have them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::bedrock::{Fault, Outcome};
use shared::catalog::Embedding;
use utoipa::ToSchema;

use crate::input::Input;
use crate::vectors::{Encoding, Vector};

/// What the vectors are for. Some models make others for a search's documents than for its queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To be found.
    #[default]
    Document,
    /// To find with.
    Query,
    /// To be put into classes.
    Classification,
    /// To be put into groups.
    Clustering,
}

/// Which end of a text may go when it is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truncate {
    /// Neither: it is refused.
    #[default]
    None,
    /// The beginning.
    Start,
    /// The end.
    End,
}

/// A provider's way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    TitanG1,
    TitanV2,
    TitanMultimodal,
    CohereV3,
    CohereV4,
    Nova,
}

/// What the vectors of a request are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) dimensions: u32,
    /// The model takes dimensions at all.
    pub(crate) chosen: bool,
    pub(crate) normalize: Option<bool>,
    pub(crate) purpose: Purpose,
    pub(crate) truncate: Truncate,
    pub(crate) encoding: Encoding,
}

/// What a reply held.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) vectors: Vec<Vector>,
    pub(crate) input_tokens: Option<u64>,
    /// The model has cut a text.
    pub(crate) cut: bool,
}

impl Dialect {
    /// By the catalog's word for it.
    pub(crate) fn of(facts: &Embedding) -> Option<Self> {
        match facts.body.as_ref() {
            "titan_g1" => Some(Self::TitanG1),
            "titan_v2" => Some(Self::TitanV2),
            "titan_mm" => Some(Self::TitanMultimodal),
            "cohere_v3" => Some(Self::CohereV3),
            "cohere_v4" => Some(Self::CohereV4),
            "nova_embed_v1" => Some(Self::Nova),
            _ => None,
        }
    }

    /// Whether a text and an image can make one vector.
    pub(crate) fn pairs(self) -> bool {
        matches!(self, Self::TitanMultimodal | Self::CohereV4)
    }

    /// Whether it makes other vectors for another purpose.
    pub(crate) fn knows_purpose(self) -> bool {
        matches!(self, Self::CohereV3 | Self::CohereV4 | Self::Nova)
    }

    /// Whether its vectors have unit length unless it is told otherwise.
    pub(crate) fn is_unit(self) -> bool {
        self == Self::TitanV2
    }

    /// The request for some inputs: one, where the provider takes one.
    pub(crate) fn body(self, inputs: &[&Input], shape: &Shape) -> Result<Vec<u8>, Fault> {
        let body = match (self, inputs.first()) {
            (Self::CohereV3 | Self::CohereV4, _) => {
                serde_json::to_vec(&cohere(self, inputs, shape))
            }
            (_, None) => return Err(Fault::new(Outcome::Failed, "a batch is empty")),
            (Self::TitanG1, Some(input)) => serde_json::to_vec(&Titan {
                input_text: input.text.as_deref(),
                ..Titan::default()
            }),
            (Self::TitanV2, Some(input)) => serde_json::to_vec(&Titan {
                input_text: input.text.as_deref(),
                dimensions: Some(shape.dimensions),
                normalize: shape.normalize,
                embedding_types: (shape.encoding.element() != "float")
                    .then(|| [shape.encoding.element()]),
                ..Titan::default()
            }),
            (Self::TitanMultimodal, Some(input)) => serde_json::to_vec(&Titan {
                input_text: input.text.as_deref(),
                input_image: input.image.as_ref().map(|image| image.base64.as_ref()),
                embedding_config: Some(Length {
                    output_embedding_length: shape.dimensions,
                }),
                ..Titan::default()
            }),
            (Self::Nova, Some(input)) => serde_json::to_vec(&nova(input, shape)),
        };
        body.map_err(|error| Fault::new(Outcome::Failed, error.to_string()))
    }

    /// The vectors of a reply, which must be so many.
    pub(crate) fn read(self, body: &[u8], count: usize, shape: &Shape) -> Result<Read, Fault> {
        let reply: Reply<'_> = serde_json::from_slice(body).map_err(Fault::unreadable)?;
        if let Some(message) = reply.message {
            // Titan's multimodal model says so in a reply that looks like a good one.
            return Err(Fault::new(Outcome::Invalid, message));
        }
        let lists = match self {
            Self::TitanG1 | Self::TitanMultimodal => reply.embedding.into_iter().collect(),
            Self::TitanV2 if shape.encoding.element() == "float" => {
                reply.embedding.into_iter().collect()
            }
            Self::TitanV2 => reply
                .embeddings_by_type
                .and_then(|types| types.of(shape.encoding))
                .into_iter()
                .collect(),
            Self::CohereV3 | Self::CohereV4 => {
                let embeddings = reply
                    .embeddings
                    .ok_or_else(|| Fault::unreadable("there are no embeddings"))?;
                by_type(embeddings, shape.encoding).map_err(Fault::unreadable)?
            }
            Self::Nova => {
                let embeddings = reply
                    .embeddings
                    .ok_or_else(|| Fault::unreadable("there are no embeddings"))?;
                let all: Vec<NovaVector<'_>> =
                    serde_json::from_str(embeddings.get()).map_err(Fault::unreadable)?;
                let cut = all
                    .iter()
                    .any(|vector| vector.truncated_char_length.is_some());
                let lists: Vec<_> = all.into_iter().map(|vector| vector.embedding).collect();
                return read_lists(&lists, count, shape, reply.input_text_token_count, cut)
                    .map_err(Fault::unreadable);
            }
        };
        read_lists(&lists, count, shape, reply.input_text_token_count, false)
            .map_err(Fault::unreadable)
    }
}

fn read_lists(
    lists: &[&RawValue],
    count: usize,
    shape: &Shape,
    input_tokens: Option<u64>,
    cut: bool,
) -> Result<Read, String> {
    if lists.len() != count {
        return Err(format!("{} vectors came for {count} inputs", lists.len()));
    }
    let vectors = lists.iter().map(|list| Vector::read(list, shape.encoding));
    Ok(Read {
        vectors: vectors.collect::<Result<_, _>>()?,
        input_tokens,
        cut,
    })
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Titan<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalize: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_types: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_config: Option<Length>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Length {
    output_embedding_length: u32,
}

#[derive(Serialize)]
struct Cohere<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<Contents<'a>>>,
    input_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_types: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
}

#[derive(Serialize)]
struct Contents<'a> {
    content: Vec<Content<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

fn cohere<'a>(dialect: Dialect, inputs: &[&'a Input], shape: &Shape) -> Cohere<'a> {
    let input_type = match shape.purpose {
        Purpose::Document => "search_document",
        Purpose::Query => "search_query",
        Purpose::Classification => "classification",
        Purpose::Clustering => "clustering",
    };
    let is_v4 = dialect == Dialect::CohereV4;
    let truncate = match (shape.truncate, is_v4) {
        (Truncate::None, _) => "NONE",
        (Truncate::Start, false) => "START",
        (Truncate::Start, true) => "LEFT",
        (Truncate::End, false) => "END",
        (Truncate::End, true) => "RIGHT",
    };
    let plain = Cohere {
        texts: None,
        images: None,
        inputs: None,
        input_type,
        truncate: Some(truncate),
        embedding_types: (shape.encoding.element() != "float").then(|| [shape.encoding.element()]),
        output_dimension: shape.chosen.then_some(shape.dimensions),
    };
    let has_images = inputs.iter().any(|input| input.image.is_some());
    if !has_images {
        return Cohere {
            texts: Some(
                inputs
                    .iter()
                    .filter_map(|input| input.text.as_deref())
                    .collect(),
            ),
            ..plain
        };
    }
    if is_v4 {
        return Cohere {
            inputs: Some(inputs.iter().map(|input| contents(input)).collect()),
            ..plain
        };
    }
    let images = inputs
        .iter()
        .filter_map(|input| Some(input.image.as_ref()?.data_uri()));
    Cohere {
        images: Some(images.collect()),
        input_type: "image",
        truncate: None,
        ..plain
    }
}

fn contents(input: &Input) -> Contents<'_> {
    let text = input.text.as_deref().map(|text| Content::Text { text });
    let image = input.image.as_ref().map(|image| Content::ImageUrl {
        image_url: Url {
            url: image.data_uri(),
        },
    });
    Contents {
        content: text.into_iter().chain(image).collect(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Nova<'a> {
    schema_version: &'static str,
    task_type: &'static str,
    single_embedding_params: NovaInput<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaInput<'a> {
    embedding_purpose: &'static str,
    embedding_dimension: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<NovaText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<NovaImage<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaText<'a> {
    truncation_mode: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct NovaImage<'a> {
    format: &'static str,
    source: NovaSource<'a>,
}

#[derive(Serialize)]
struct NovaSource<'a> {
    bytes: &'a str,
}

fn nova<'a>(input: &'a Input, shape: &Shape) -> Nova<'a> {
    let truncation_mode = match shape.truncate {
        Truncate::None => "NONE",
        Truncate::Start => "START",
        Truncate::End => "END",
    };
    Nova {
        schema_version: "nova-multimodal-embed-v1",
        task_type: "SINGLE_EMBEDDING",
        single_embedding_params: NovaInput {
            embedding_purpose: match shape.purpose {
                Purpose::Document => "GENERIC_INDEX",
                Purpose::Query => "GENERIC_RETRIEVAL",
                Purpose::Classification => "CLASSIFICATION",
                Purpose::Clustering => "CLUSTERING",
            },
            embedding_dimension: shape.dimensions,
            text: input.text.as_deref().map(|value| NovaText {
                truncation_mode,
                value,
            }),
            image: input.image.as_ref().map(|image| NovaImage {
                format: image.format,
                source: NovaSource {
                    bytes: &image.base64,
                },
            }),
        },
    }
}

/// What any of them may reply.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Reply<'a> {
    #[serde(borrow, default)]
    embedding: Option<&'a RawValue>,
    #[serde(borrow, default)]
    embeddings: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "embeddingsByType")]
    embeddings_by_type: Option<Types<'a>>,
    #[serde(default, rename = "inputTextTokenCount")]
    input_text_token_count: Option<u64>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Types<'a> {
    #[serde(borrow, default)]
    float: Option<&'a RawValue>,
    #[serde(borrow, default)]
    int8: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uint8: Option<&'a RawValue>,
    #[serde(borrow, default)]
    binary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ubinary: Option<&'a RawValue>,
}

impl<'a> Types<'a> {
    fn of(self, encoding: Encoding) -> Option<&'a RawValue> {
        match encoding {
            Encoding::Float | Encoding::Base64 => self.float,
            Encoding::Int8 => self.int8,
            Encoding::Uint8 => self.uint8,
            Encoding::Binary => self.binary,
            Encoding::Ubinary => self.ubinary,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NovaVector<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
    #[serde(default)]
    truncated_char_length: Option<u64>,
}

/// Cohere's two shapes: a list of vectors, or one such list a type.
fn by_type(embeddings: &RawValue, encoding: Encoding) -> Result<Vec<&RawValue>, String> {
    let list = if embeddings.get().trim_start().starts_with('{') {
        let types: Types<'_> =
            serde_json::from_str(embeddings.get()).map_err(|error| error.to_string())?;
        types
            .of(encoding)
            .ok_or("there are no embeddings of the type that was asked for")?
    } else {
        embeddings
    };
    serde_json::from_str(list.get()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::input::Image;

    fn text(text: &str) -> Input {
        Input {
            text: Some(text.into()),
            image: None,
        }
    }

    fn picture() -> Image {
        Image {
            format: "png",
            base64: "iVBO".into(),
        }
    }

    const SHAPE: Shape = Shape {
        dimensions: 2,
        chosen: true,
        normalize: None,
        purpose: Purpose::Query,
        truncate: Truncate::End,
        encoding: Encoding::Float,
    };

    fn body(dialect: Dialect, inputs: &[&Input], shape: Shape) -> Value {
        serde_json::from_slice(&dialect.body(inputs, &shape).unwrap()).unwrap()
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn each_provider_is_asked_in_its_own_words() {
        let (a, b) = (text("a"), text("b"));
        let image = Input {
            text: None,
            image: Some(picture()),
        };
        let pair = Input {
            text: Some("a".into()),
            image: Some(picture()),
        };
        let uri = "data:image/png;base64,iVBO";
        for (dialect, inputs, shape, wanted) in [
            (
                Dialect::TitanG1,
                vec![&a],
                SHAPE,
                json!({ "inputText": "a" }),
            ),
            (
                Dialect::TitanV2,
                vec![&a],
                Shape {
                    normalize: Some(true),
                    dimensions: 512,
                    ..SHAPE
                },
                json!({ "inputText": "a", "dimensions": 512, "normalize": true }),
            ),
            (
                Dialect::TitanV2,
                vec![&a],
                Shape {
                    encoding: Encoding::Binary,
                    ..SHAPE
                },
                json!({ "inputText": "a", "dimensions": 2, "embeddingTypes": ["binary"] }),
            ),
            (
                Dialect::TitanMultimodal,
                vec![&pair],
                SHAPE,
                json!({ "inputText": "a", "inputImage": "iVBO", "embeddingConfig": { "outputEmbeddingLength": 2 } }),
            ),
            (
                Dialect::CohereV3,
                vec![&a, &b],
                Shape {
                    chosen: false,
                    purpose: Purpose::Document,
                    ..SHAPE
                },
                json!({ "texts": ["a", "b"], "input_type": "search_document", "truncate": "END" }),
            ),
            (
                Dialect::CohereV3,
                vec![&image],
                Shape {
                    chosen: false,
                    encoding: Encoding::Int8,
                    ..SHAPE
                },
                json!({ "images": [uri], "input_type": "image", "embedding_types": ["int8"] }),
            ),
            (
                Dialect::CohereV4,
                vec![&pair],
                Shape {
                    truncate: Truncate::Start,
                    ..SHAPE
                },
                json!({
                    "inputs": [{ "content": [{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": uri } }] }],
                    "input_type": "search_query", "truncate": "LEFT", "output_dimension": 2
                }),
            ),
            (
                Dialect::Nova,
                vec![&a],
                SHAPE,
                json!({
                    "schemaVersion": "nova-multimodal-embed-v1", "taskType": "SINGLE_EMBEDDING",
                    "singleEmbeddingParams": {
                        "embeddingPurpose": "GENERIC_RETRIEVAL", "embeddingDimension": 2,
                        "text": { "truncationMode": "END", "value": "a" }
                    }
                }),
            ),
            (
                Dialect::Nova,
                vec![&image],
                Shape {
                    purpose: Purpose::Clustering,
                    ..SHAPE
                },
                json!({
                    "schemaVersion": "nova-multimodal-embed-v1", "taskType": "SINGLE_EMBEDDING",
                    "singleEmbeddingParams": {
                        "embeddingPurpose": "CLUSTERING", "embeddingDimension": 2,
                        "image": { "format": "png", "source": { "bytes": "iVBO" } }
                    }
                }),
            ),
        ] {
            assert_eq!(body(dialect, &inputs, shape), wanted, "{dialect:?}");
        }
    }

    #[test]
    fn every_shape_of_reply_is_read() {
        let of = |encoding| Shape { encoding, ..SHAPE };
        for (dialect, shape, reply, count) in [
            (
                Dialect::TitanG1,
                SHAPE,
                json!({ "embedding": [1, 2], "inputTextTokenCount": 3 }),
                1,
            ),
            (
                Dialect::TitanV2,
                of(Encoding::Binary),
                json!({ "embeddingsByType": { "binary": [1, 0] }, "inputTextTokenCount": 3 }),
                1,
            ),
            (
                Dialect::TitanMultimodal,
                SHAPE,
                json!({ "embedding": [1, 2], "message": null }),
                1,
            ),
            (
                Dialect::CohereV3,
                SHAPE,
                json!({ "response_type": "embeddings_floats", "embeddings": [[1, 2], [3, 4]], "texts": ["A", "b"] }),
                2,
            ),
            (
                Dialect::CohereV4,
                SHAPE,
                json!({ "response_type": "embeddings_by_type", "embeddings": { "float": [[1, 2]] } }),
                1,
            ),
            (
                Dialect::CohereV4,
                of(Encoding::Int8),
                json!({ "embeddings": { "int8": [[-1, 2]] } }),
                1,
            ),
            (
                Dialect::Nova,
                SHAPE,
                json!({ "embeddings": [{ "embeddingType": "TEXT", "embedding": [1, 2], "truncatedCharLength": 7 }] }),
                1,
            ),
        ] {
            let read = dialect.read(reply.to_string().as_bytes(), count, &shape);
            let read = read.unwrap_or_else(|fault| panic!("{dialect:?} {reply}: {fault:?}"));
            assert_eq!(read.vectors.len(), count);
            assert_eq!(read.cut, dialect == Dialect::Nova);
        }
    }

    #[test]
    fn a_reply_that_hides_a_failure_is_one() {
        for (dialect, reply, outcome) in [
            (
                Dialect::TitanMultimodal,
                r#"{"embedding": [1, 2], "message": "The image is too large."}"#,
                Outcome::Invalid,
            ),
            (
                Dialect::TitanV2,
                r#"{"inputTextTokenCount": 3}"#,
                Outcome::Unreadable,
            ),
            (
                Dialect::TitanV2,
                r#"{"embedding": null}"#,
                Outcome::Unreadable,
            ),
            (
                Dialect::CohereV3,
                r#"{"embeddings": []}"#,
                Outcome::Unreadable,
            ),
            (
                Dialect::CohereV3,
                r#"{"embeddings": {"int8": [[1, 2]]}}"#,
                Outcome::Unreadable,
            ),
            (
                Dialect::CohereV3,
                r#"{"message": "invalid type"}"#,
                Outcome::Invalid,
            ),
            (
                Dialect::Nova,
                r#"{"embeddings": [{"embeddingType": "TEXT"}]}"#,
                Outcome::Unreadable,
            ),
            (Dialect::Nova, "<html>", Outcome::Unreadable),
        ] {
            let fault = dialect.read(reply.as_bytes(), 1, &SHAPE).unwrap_err();
            assert_eq!(fault.outcome, outcome, "{dialect:?} {reply}");
        }
    }
}
