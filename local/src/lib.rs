//! The local stack: every function on one port, and stand-ins for AWS on another.
//!
//! [`stack`] starts the functions; [`ask`], [`models`] and [`estimate`] are commands that use them through [`client`]; and
//! [`bedrock`] stands in for Amazon Bedrock on the wire.
//! The functions run the real AWS SDK against it; its wire code shares nothing with theirs, so that one checks the other.

pub mod ask;
pub mod bedrock;
pub mod calibrate;
pub mod client;
pub mod cloudwatch;
pub mod compare;
pub mod embed;
pub mod estimate;
pub mod features;
pub mod iam;
pub mod image;
pub mod models;
pub mod openapi;
pub mod report;
pub mod score;
pub mod stack;
