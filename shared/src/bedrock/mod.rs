//! The edge to Bedrock: Converse JSON out and in, inside the real SDK call.
//!
//! The SDK signs, retries and encodes ids; its typed bodies are passed by. An interceptor puts our JSON into the request before
//! it is signed and copies the reply's bytes once the SDK has judged them, so that nothing the SDK does not know yet is lost.
//! Answers that are streamed are in [`stream`], what goes wrong in [`fault`].

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{
    BehaviorVersion, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::{
    Builder, ConfigBag, Intercept, RuntimeComponents, timeout::TimeoutConfig,
};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_LENGTH};

pub use fault::{Attempt, Fault, Outcome};
pub use stream::{EventStream, converse_stream};

pub mod fault;
pub mod stream;

/// The client of a function, from its environment: Region and credentials. Nothing goes over the network here.
pub async fn client(endpoint: Option<&str>) -> Client {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let mut config = tuned(Builder::from(&config));
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// What every client of ours has: no stall detection, because models think silently.
#[must_use]
pub fn tuned(config: Builder) -> Builder {
    config.stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// What bounds one call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most time until the answer, or until its head where it is streamed.
    pub time: Duration,
    /// The SDK's own attempts: few, because the next candidate is the better one.
    pub attempts: u32,
}

fn limited(limits: Limits) -> Builder {
    let time = TimeoutConfig::builder()
        .operation_timeout(limits.time)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(limits.attempts)
        .with_initial_backoff(Duration::from_millis(200));
    Builder::new().timeout_config(time).retry_config(retries)
}

/// Asks a model over Converse and returns the reply's JSON as it came.
///
/// # Errors
/// A [`Fault`], whatever went wrong; after the time limit it is [`Outcome::TimedOut`].
pub async fn converse(
    client: &Client,
    id: &str,
    body: Bytes,
    limits: Limits,
) -> Result<Bytes, Fault> {
    let carrier = Carrier {
        body,
        reply: Arc::default(),
    };
    let reply = Arc::clone(&carrier.reply);
    let call = client.converse().model_id(id).customize();
    let call = call.config_override(limited(limits)).interceptor(carrier);
    call.send().await.map_err(|error| Fault::from_sdk(&error))?;
    let reply = reply.get().cloned();
    reply.ok_or_else(|| Fault::new(Outcome::Failed, "Bedrock's reply had no body"))
}

/// Puts a body into a request that is not signed yet.
fn put(
    body: &Bytes,
    context: &mut BeforeTransmitInterceptorContextMut<'_>,
) -> Result<(), BoxError> {
    let request = context.request_mut();
    *request.body_mut() = SdkBody::from(body.clone());
    let length = HeaderValue::from(body.len());
    request
        .headers_mut()
        .try_insert(CONTENT_LENGTH.as_str(), length.to_str()?.to_owned())?;
    Ok(())
}

/// Carries one body each way.
#[derive(Debug)]
struct Carrier {
    body: Bytes,
    reply: Arc<OnceLock<Bytes>>,
}

impl Intercept for Carrier {
    fn name(&self) -> &'static str {
        "ConverseJson"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        put(&self.body, context)
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Every attempt comes by here, also one that the SDK is about to repeat; only a good one is an answer.
        let body = context.response().body().bytes();
        if let (Some(body), Ok(_)) = (body, context.output_or_error()) {
            let _ = self.reply.set(Bytes::copy_from_slice(body));
        }
        Ok(())
    }
}
