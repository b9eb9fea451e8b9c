//! What all functions share.
//!
//! In the order of a request's way: [`config`] and [`telemetry`] at the cold start, in [`lambda`]; [`http`] reads a call; [`wire`] is
//! Converse's JSON; [`routing`] decides, from the [`catalog`]; [`fit`](mod@fit) makes the request fit the model; [`bedrock`]
//! asks it; [`schema`] checks JSON that was asked for; [`cost`] prices the answer in [`usd`]; [`error`] is everything that can go wrong.
//!
//! `catalog`, `routing`, `fit`, `schema`, `cost` and `usd` are pure: no clock, no environment, no network, no SDK type. Only `bedrock`
//! and `aws`, which says what all clients have in common, name the AWS SDK.

pub mod aws;
pub mod bedrock;
pub mod catalog;
pub mod config;
pub mod cost;
pub mod error;
pub mod fit;
pub mod http;
pub mod lambda;
pub mod nodelay;
pub mod routing;
pub mod schema;
pub mod telemetry;
pub mod usd;
pub mod wire;
