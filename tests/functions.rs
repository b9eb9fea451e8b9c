//! Whole functions: the real bootstraps behind a Lambda Runtime API, the real SDK, Bedrock on the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "a test may fail, and its modules are one program"
)]

#[allow(dead_code, reason = "the load test uses the rest")]
mod lambda;

mod authorizer;
mod aws;
mod bad_input;
mod catalog;
mod compare;
mod converse;
mod credentials;
mod delivery;
mod door;
mod embeddings;
mod families;
mod guide;
mod images;
mod invoke;
mod openai;
mod openapi;
mod operations;
mod report;
mod rerank;
mod standin;
mod streaming;
mod template;
