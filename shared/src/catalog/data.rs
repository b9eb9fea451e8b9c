//! The shape of `models.json` and `routes.json`, as static tables and as files read at run time alike.
//!
//! The build script compiles this file too, so it names nothing but [`super::prices`].

use std::borrow::Cow;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::prices::{Prices, Scope};

/// Text that is static in the built-in catalog and owned when read from a file.
pub type Text = Cow<'static, str>;

/// A list that is static in the built-in catalog and owned when read from a file.
pub type List<T> = Cow<'static, [T]>;

/// All models, the names they go by, and the routes that choose among them.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Every model, living or dead.
    pub models: List<Model>,
    /// Every name of every model in lower case, sorted, with its index in `models`.
    pub names: List<(Text, u16)>,
    /// Token budgets of the tiers, in the order of [`Tier`].
    pub tiers: List<TierTokens>,
    /// Candidates by task and tier.
    pub routes: List<Route>,
    /// Indexes of the models that an estimate is made for when none are named.
    pub estimate: List<u16>,
    /// Indexes of the models that are compared when none are named.
    pub compare: List<u16>,
}

/// One Bedrock model and what is known of it. A missing fact is unknown, not false.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Bedrock's own id, without profile prefix: `anthropic.claude-opus-5-5`.
    #[schema(value_type = String)]
    pub id: Text,
    /// The short name that answers show: `claude-opus-5-5`.
    #[schema(value_type = String)]
    pub name: Text,
    /// Who made it.
    #[schema(value_type = String)]
    pub provider: Text,
    /// The line it belongs to.
    #[schema(value_type = String)]
    pub family: Text,
    /// What it does.
    pub kind: Kind,
    /// What it is good at, in a sentence.
    #[schema(value_type = String)]
    pub strengths: Text,
    /// What to use it for.
    #[schema(value_type = Vec<String>)]
    pub use_for: List<Text>,
    /// What it takes.
    #[schema(value_type = Vec<Modality>)]
    pub input: List<Modality>,
    /// What it gives.
    #[schema(value_type = Vec<Modality>)]
    pub output: List<Modality>,
    /// Token limits.
    pub limits: Limits,
    /// What it can and cannot do.
    pub capabilities: Capabilities,
    /// Prices, one entry a scope.
    #[schema(value_type = Vec<Prices>)]
    pub prices: List<Prices>,
    /// Regions where the bare id can be called.
    #[schema(value_type = Vec<String>)]
    pub regions: List<Text>,
    /// Inference profiles, the narrowest first.
    #[schema(value_type = Vec<Profile>)]
    pub profiles: List<Profile>,
    /// Whether and how long it lives.
    pub lifecycle: Lifecycle,
    /// The id of the model that takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub successor: Option<Text>,
    /// Further names a person would type.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schema(value_type = Vec<String>)]
    pub aliases: List<Text>,
    /// Vectors it makes, for embedding models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
    /// Images it makes, for image models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// Documents it orders, for rerank models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<Rerank>,
    /// Where each group of facts is from, and of when.
    pub sources: Sources,
}

fn is_empty<T: Clone>(list: &List<T>) -> bool {
    list.is_empty()
}

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Answers with text.
    Text,
    /// Makes vectors.
    Embedding,
    /// Makes images from text.
    Image,
    /// Changes images.
    ImageEdit,
    /// Orders documents by relevance.
    Rerank,
}

/// A kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Modality {
    /// Text.
    Text,
    /// Still images.
    Image,
    /// Moving images.
    Video,
    /// Speech and other sound.
    Audio,
    /// Vectors.
    Embedding,
}

/// Token limits of a model.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Tokens of input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// The largest `maxTokens` it accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
}

/// What a model can do: `true` or `false` where a source says so, else absent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Answers over Converse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converse: Option<bool>,
    /// Answers over ConverseStream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Takes a `system` prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// Takes tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Takes tools while streaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming_tools: Option<bool>,
    /// Takes `toolChoice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<bool>,
    /// Lets `toolChoice` force a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tool_use: Option<bool>,
    /// Takes document blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<bool>,
    /// Can think before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Thinks when nothing is said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinks_by_default: Option<bool>,
    /// Chooses its own thinking budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_thinking: Option<bool>,
    /// Cannot be kept from thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_always_on: Option<bool>,
    /// Takes `temperature`, `topP` and top-k.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_parameters: Option<bool>,
    /// Takes `temperature` and `topP` together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_with_top_p: Option<bool>,
    /// Lets a conversation end with an assistant turn to continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant_prefill: Option<bool>,
    /// Takes a JSON schema for its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<bool>,
    /// Takes an effort in `outputConfig`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<bool>,
    /// The highest effort it accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub effort_ceiling: Option<Text>,
    /// Takes system messages within the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid_conversation_system: Option<bool>,
    /// Caches prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_caching: Option<bool>,
    /// The shortest prompt that is cached, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_min_tokens: Option<u32>,
    /// Takes cache points in the system prompt and in messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_points: Option<bool>,
    /// Takes a cache point among the tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_cache_points: Option<bool>,
    /// Takes search results, and cites them and documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<bool>,
    /// Takes images in tool results, and whether a call went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rich_tool_results: Option<bool>,
    /// Takes `performanceConfig` with latency `optimized`, in some Regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_optimized: Option<bool>,
    /// Works with Bedrock Guardrails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<bool>,
    /// Quota tokens that one output token costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_output_burndown: Option<u32>,
}

/// A cross-Region inference profile.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Its prefix.
    #[schema(value_type = String, example = "us")]
    pub scope: Scope,
    /// Regions that it can be called from.
    #[schema(value_type = Vec<String>)]
    pub from: List<Text>,
    /// Regions that it may run in; for `global`, any commercial Region.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schema(value_type = Vec<String>)]
    pub to: List<Text>,
}

/// Whether and how long a model lives. Dates are AWS's for the main commercial Regions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifecycle {
    /// The state on the catalog's day.
    pub status: Status,
    /// The first day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub launch: Option<Date>,
    /// The day from which new customers are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub legacy: Option<Date>,
    /// The day from which the provider may charge more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub extended_access: Option<Date>,
    /// The first day on which calls fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub end_of_life: Option<Date>,
    /// The day before which it will not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub end_of_life_not_before: Option<Date>,
    /// The endpoint family that serves it when `bedrock-runtime` does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub elsewhere: Option<Text>,
}

/// The state of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Open to all.
    Active,
    /// Closed to new customers; an end is set.
    Legacy,
    /// Gone.
    EndOfLife,
}

/// The vectors an embedding model makes and the batches it takes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Embedding {
    /// Lengths it can make.
    #[schema(value_type = Vec<u32>)]
    pub dimensions: List<u32>,
    /// The length when none is asked for.
    pub default_dimensions: u32,
    /// Texts per call.
    pub max_batch: u32,
    /// Tokens per text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u32>,
    /// Characters per text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_characters: Option<u32>,
    /// Images per call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_images: Option<u32>,
    /// Megabytes per image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_image_mb: Option<u32>,
    /// Pixels of an image in either direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_image_pixels: Option<u32>,
    /// What the bytes of an image may be; none where it takes no images.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schema(value_type = Vec<String>)]
    pub image_formats: List<Text>,
    /// Element types it offers.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schema(value_type = Vec<String>)]
    pub types: List<Text>,
    /// Truncation modes, in its own words.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schema(value_type = Vec<String>)]
    pub truncate: List<Text>,
    /// The dialect of its request body.
    #[schema(value_type = String)]
    pub body: Text,
}

/// The images a model makes from a text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// Width to height.
    #[schema(value_type = Vec<String>)]
    pub aspect_ratios: List<Text>,
    /// What the bytes may be.
    #[schema(value_type = Vec<String>)]
    pub formats: List<Text>,
    /// Characters of a prompt.
    pub max_prompt_characters: u32,
    /// The highest seed.
    pub max_seed: u32,
    /// The dialect of its request body.
    #[schema(value_type = String)]
    pub body: Text,
}

/// The documents a model orders, and how they are counted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rerank {
    /// Documents per call.
    pub max_documents: u32,
    /// Documents that are billed as one query.
    pub documents_per_query: u32,
    /// Tokens of a document, together with the query, beyond which it is billed as several.
    pub tokens_per_document: u32,
    /// The dialect of its request body.
    #[schema(value_type = String)]
    pub body: Text,
}

/// Where each group of facts is from, and of when.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sources {
    /// Of `regions` and `profiles`.
    #[schema(value_type = String)]
    pub availability: Text,
    /// Of `prices` and `limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub prices: Option<Text>,
    /// Of `capabilities`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub capabilities: Option<Text>,
    /// Of `lifecycle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub lifecycle: Option<Text>,
}

/// How much model a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// Lookups, labels, short answers.
    Simple,
    /// Explanations and ordinary writing.
    Medium,
    /// Analysis, design, hard code.
    Complex,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// Anything else.
    General,
    /// Putting things into given classes.
    Classification,
    /// Pulling facts out of a text.
    Extraction,
    /// Shortening a text.
    Summarization,
    /// Analysis, proof, design.
    Reasoning,
    /// Writing or reading code.
    Coding,
    /// Stories, slogans, copy.
    Creative,
    /// Answering from a given context.
    Rag,
    /// Making vectors; served by the embeddings endpoint.
    Embedding,
}

/// The output tokens a tier is given and is expected to use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierTokens {
    /// Where the models of the tier stand in the quality column.
    pub quality: u8,
    /// `maxTokens` when the caller sets none.
    pub max_tokens: u32,
    /// Added for models that think by default.
    pub thinking_tokens: u32,
    /// What an answer is estimated to take.
    pub expected_output_tokens: u32,
    /// What thinking is estimated to take.
    pub expected_thinking_tokens: u32,
}

/// The candidates of one task and tier, in order of preference.
#[derive(Clone, Debug)]
pub struct Route {
    /// The task it serves; `None` serves those without a route of their own.
    pub task: Option<Task>,
    /// The tier it serves; `None` serves all.
    pub tier: Option<Tier>,
    /// In order of preference for the balanced budget.
    pub candidates: List<Ranked>,
}

/// A candidate with its place in the quality column.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    /// Index in [`Catalog::models`].
    pub model: u16,
    /// 0 to 100, ordinal.
    pub quality: u8,
}
