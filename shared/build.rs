//! Turns `models.json` and `routes.json` into a static table, so that the catalog costs a cold start nothing.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the library's own sources are compiled here for their types alone"
)]

use std::{env, error::Error, fs, path::Path};

use catalog::data::{
    Capabilities, Catalog, Embedding, Images, Kind, Lifecycle, Limits, List, Modality, Model,
    Profile, Ranked, Rerank, Route, Sources, Status, Task, Text, Tier, TierTokens,
};
use catalog::prices::{LongContext, Prices, Scope, TokenPrices};
use jiff::civil::Date;
use usd::{Rate, Usd};

#[path = "src/usd.rs"]
mod usd;

#[path = "src/catalog"]
mod catalog {
    pub(crate) mod data;
    pub(crate) mod load;
    pub(crate) mod prices;
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to write"
)]
fn main() -> Result<(), Box<dyn Error>> {
    for input in [
        "models.json",
        "routes.json",
        "src/usd.rs",
        "src/catalog/data.rs",
        "src/catalog/load.rs",
        "src/catalog/prices.rs",
    ] {
        println!("cargo::rerun-if-changed={input}");
    }
    let catalog = catalog::load::load(
        &fs::read_to_string("models.json")?,
        &fs::read_to_string("routes.json")?,
    )?;
    let source = format!("static BUILT_IN: Catalog = {};\n", catalog.rust());
    fs::write(Path::new(&env::var("OUT_DIR")?).join("catalog.rs"), source)?;
    Ok(())
}

/// A value as a Rust constant expression.
trait Rust {
    fn rust(&self) -> String;
}

/// Writes out every field of a struct; a field that is forgotten here does not compile.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Rust for $name {
            fn rust(&self) -> String {
                let Self { $($field),* } = self;
                let fields = [$(format!("{}: {}", stringify!($field), $field.rust())),*];
                format!("{} {{ {} }}", stringify!($name), fields.join(", "))
            }
        }
    )*};
}

/// Writes out a plain enum by its derived `Debug`, which is the variant's own name.
macro_rules! enums {
    ($($name:ident)*) => {$(
        impl Rust for $name {
            fn rust(&self) -> String {
                format!("{}::{self:?}", stringify!($name))
            }
        }
    )*};
}

/// Writes out numbers and truth values.
macro_rules! literals {
    ($($name:ident)*) => {$(
        impl Rust for $name {
            fn rust(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

structs! {
    Catalog { models, names, tiers, routes, estimate, compare }
    Model {
        id, name, provider, family, kind, strengths, use_for, input, output, limits, capabilities, prices, regions, profiles, lifecycle,
        successor, aliases, embedding, images, rerank, sources
    }
    Limits { context_tokens, output_tokens }
    Capabilities {
        converse, streaming, system, tools, streaming_tools, tool_choice, forced_tool_use, documents, reasoning,
        thinks_by_default, adaptive_thinking, thinking_always_on, sampling_parameters, temperature_with_top_p,
        assistant_prefill, structured_output, output_config, effort_ceiling, mid_conversation_system, prompt_caching,
        prompt_cache_min_tokens, cache_points, tool_cache_points, citations, rich_tool_results, latency_optimized, guardrails,
        quota_output_burndown
    }
    Prices {
        scope, region, standard, flex, priority, batch, long_context, per_image, per_input_image, per_query, per_video_second,
        per_audio_second
    }
    TokenPrices { input, output, cache_read, cache_write_5m, cache_write_1h }
    LongContext { above_tokens, prices }
    Profile { scope, from, to }
    Lifecycle { status, launch, legacy, extended_access, end_of_life, end_of_life_not_before, elsewhere }
    Embedding {
        dimensions, default_dimensions, max_batch, max_input_tokens, max_input_characters, max_images, max_image_mb,
        max_image_pixels, image_formats, types, truncate, body
    }
    Images { aspect_ratios, formats, max_prompt_characters, max_seed, body }
    Rerank { max_documents, documents_per_query, tokens_per_document, body }
    Sources { availability, prices, capabilities, lifecycle }
    TierTokens { quality, max_tokens, thinking_tokens, expected_output_tokens, expected_thinking_tokens }
    Route { task, tier, candidates }
    Ranked { model, quality }
}

enums! { Kind Modality Status Tier Task }

literals! { u8 u16 u32 bool }

impl Rust for Text {
    fn rust(&self) -> String {
        format!("Cow::Borrowed({self:?})")
    }
}

impl<T: Rust + Clone> Rust for List<T> {
    fn rust(&self) -> String {
        let items: Vec<_> = self.iter().map(Rust::rust).collect();
        format!("Cow::Borrowed(&[{}])", items.join(", "))
    }
}

impl<T: Rust> Rust for Option<T> {
    fn rust(&self) -> String {
        self.as_ref()
            .map_or_else(|| "None".into(), |value| format!("Some({})", value.rust()))
    }
}

impl Rust for (Text, u16) {
    fn rust(&self) -> String {
        format!("({}, {})", self.0.rust(), self.1)
    }
}

impl Rust for Scope {
    fn rust(&self) -> String {
        match self {
            Self::InRegion => "Scope::InRegion".into(),
            Self::Geo(prefix) => format!("Scope::Geo(Prefix::from_bytes({:?}))", prefix.bytes()),
            Self::Global => "Scope::Global".into(),
        }
    }
}

impl Rust for Rate {
    fn rust(&self) -> String {
        format!("Rate::from_pico({})", self.pico())
    }
}

impl Rust for Usd {
    fn rust(&self) -> String {
        format!("Usd::from_pico({})", self.pico())
    }
}

impl Rust for Date {
    fn rust(&self) -> String {
        format!("date({}, {}, {})", self.year(), self.month(), self.day())
    }
}
