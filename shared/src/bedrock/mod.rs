//! The edge to Bedrock: Converse JSON out and in, inside the real SDK call.
//!
//! The SDK signs, retries and encodes ids; its typed bodies are passed by. An interceptor puts our JSON into the request before
//! it is signed and copies the reply's bytes once the SDK has judged them, so that nothing the SDK does not know yet is lost.
//! Answers that are streamed are in [`stream`], what goes wrong in [`fault`].

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{
    SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::{
    Builder, ConfigBag, Intercept, Region, RuntimeComponents, timeout::TimeoutConfig,
};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_LENGTH};

pub use fault::{Attempt, Fault, Outcome};
pub use stream::{EventStream, converse_stream};

pub mod fault;
mod frame;
pub mod stream;

/// A client with what all clients have in common. Nothing goes over the network here.
#[must_use]
pub fn client(settings: &SdkConfig, endpoint: Option<&str>) -> Client {
    let mut config = tuned(Builder::from(settings));
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

/// The same client, for calls to a Region. It shares connections and credentials.
#[must_use]
pub fn in_region(client: &Client, region: &str) -> Client {
    let home = client.config().region().map(AsRef::as_ref);
    if home == Some(region) {
        return client.clone();
    }
    let there = client.config().to_builder();
    Client::from_conf(there.region(Region::new(region.to_owned())).build())
}

/// What a model answered that does not converse.
#[derive(Debug)]
pub struct Invoked {
    /// The body, in the model's own dialect.
    pub body: Vec<u8>,
    /// Input tokens, where Bedrock tells them beside the body.
    pub input_tokens: Option<u64>,
}

/// Invokes a model with a body in its own dialect.
///
/// # Errors
/// A [`Fault`], whatever went wrong; after the time limit it is [`Outcome::TimedOut`].
pub async fn invoke(
    client: &Client,
    id: &str,
    body: Vec<u8>,
    limits: Limits,
) -> Result<Invoked, Fault> {
    let counted = Counted::default();
    let input_tokens = Arc::clone(&counted.0);
    let call = client
        .invoke_model()
        .model_id(id)
        .content_type("application/json")
        .accept("application/json")
        .body(Blob::new(body))
        .customize();
    let call = call.config_override(limited(limits)).interceptor(counted);
    let answer = call.send().await.map_err(|error| Fault::from_sdk(&error))?;
    Ok(Invoked {
        body: answer.body.into_inner(),
        input_tokens: input_tokens.get().copied(),
    })
}

/// Reads the token count that the SDK's typed answer has no place for.
#[derive(Debug, Default)]
struct Counted(Arc<OnceLock<u64>>);

impl Intercept for Counted {
    fn name(&self) -> &'static str {
        "InputTokenCount"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers();
        let count = header.get("x-amzn-bedrock-input-token-count");
        if let (Some(count), Ok(_)) = (
            count.and_then(|count| count.parse().ok()),
            context.output_or_error(),
        ) {
            let _ = self.0.set(count);
        }
        Ok(())
    }
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
