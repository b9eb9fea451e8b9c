//! ConverseStream: frames of the AWS event stream, as they come, with their JSON whole.
//!
//! The SDK sends, signs and judges the head of the answer; the body of a good one is taken out of its hands before it is read,
//! so that events which the SDK does not know yet, and a guardrail's findings, which it has no JSON for, reach us.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Buf, Bytes, BytesMut};

use super::frame::{self, Frame};
use super::{Fault, Limits, Outcome, limited, put};
use crate::wire::StreamEvent;

/// Asks a model over ConverseStream.
///
/// # Errors
/// A [`Fault`] where the answer has no good head; after the time limit it is [`Outcome::TimedOut`].
pub async fn converse_stream(
    client: &Client,
    id: &str,
    body: Bytes,
    limits: Limits,
) -> Result<EventStream, Fault> {
    let taker = Taker {
        body,
        taken: Arc::default(),
    };
    let taken = Arc::clone(&taker.taken);
    let call = client.converse_stream().model_id(id).customize();
    let call = call.config_override(limited(limits)).interceptor(taker);
    call.send().await.map_err(|error| Fault::from_sdk(&error))?;
    let body = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let body = body.ok_or_else(|| Fault::new(Outcome::Failed, "Bedrock's answer had no body"))?;
    Ok(EventStream {
        body: ByteStream::new(body),
        buffer: BytesMut::new(),
    })
}

/// Puts our body into the request, and takes the body of a good answer.
#[derive(Debug)]
struct Taker {
    body: Bytes,
    taken: Arc<Mutex<Option<SdkBody>>>,
}

impl Intercept for Taker {
    fn name(&self) -> &'static str {
        "ConverseStreamJson"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        put(&self.body, context)
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::empty());
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
        Ok(())
    }
}

/// The events of an answer.
#[derive(Debug)]
pub struct EventStream {
    body: ByteStream,
    buffer: BytesMut,
}

impl EventStream {
    /// The next event; `None` at the end, which may come too early.
    ///
    /// # Errors
    /// A [`Fault`] for an exception in the stream, a broken frame or connection.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, Fault>> {
        loop {
            if let Some(length) = frame::length(&self.buffer)
                && let Some(bytes) = self.buffer.get(..length)
            {
                let event = match Frame::read(bytes) {
                    Some(frame) => event(&frame),
                    None => Err(broken("a frame's checksum is wrong")),
                };
                self.buffer.advance(length);
                return Some(event);
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => return Some(Err(broken(error))),
                None if self.buffer.is_empty() => return None,
                None => {
                    self.buffer.clear();
                    return Some(Err(Fault::new(
                        Outcome::Failed,
                        "the stream was cut within a frame",
                    )));
                }
            }
        }
    }
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::new(Outcome::Failed, format!("the stream broke: {error}"))
}

/// What a frame says.
fn event(frame: &Frame<'_>) -> Result<StreamEvent, Fault> {
    let header = |name| frame.header(name);
    let payload = frame.payload;
    match header(":message-type") {
        "event" => StreamEvent::parse(header(":event-type"), payload).map_err(Fault::unreadable),
        "exception" => {
            #[derive(serde::Deserialize)]
            struct Exception {
                message: Option<String>,
            }
            let exception: Option<Exception> = serde_json::from_slice(payload).ok();
            let message = exception
                .and_then(|exception| exception.message)
                .unwrap_or_default();
            Err(Fault::in_stream(header(":exception-type"), &message))
        }
        _ => Err(Fault::in_stream(
            header(":error-code"),
            header(":error-message"),
        )),
    }
}
