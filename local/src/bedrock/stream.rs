//! An answer as ConverseStream sends it: frames of the AWS event stream, which can go wrong at any point.

use std::convert::identity;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::body::Body;
use axum::body::Bytes;
use futures_core::Stream;
use serde_json::{Value, json};
use shared::telemetry;
use tokio::sync::mpsc;

use super::faults::{Breaks, Fault};
use super::list;

/// Words of a piece of text.
const PIECE: usize = 4;

/// The body of an answer that comes in pieces.
pub(super) fn body(
    reply: &Value,
    fault: Option<Fault>,
    first_piece: Arc<Mutex<Option<Duration>>>,
) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(send(
        events(reply),
        fault.unwrap_or_default(),
        sender,
        first_piece,
    ));
    Body::from_stream(Frames(receiver))
}

type Sender = mpsc::Sender<io::Result<Bytes>>;

/// Sends frame by frame, until all are sent or the fault is reached; then the sender goes, and the body ends.
async fn send(
    events: Vec<(&'static str, Value)>,
    fault: Fault,
    sender: Sender,
    first_piece: Arc<Mutex<Option<Duration>>>,
) {
    let mut is_first = true;
    let last = if fault.breaks == Some(Breaks::Usage) {
        events.len() - 1
    } else {
        events.len()
    };
    for (number, (name, json)) in events.into_iter().take(last).enumerate() {
        // Even a sleep of nothing takes a millisecond.
        if fault.drip_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fault.drip_ms)).await;
        }
        let frame = frame("event", ":event-type", name, &json);
        if fault.after == Some(number) {
            return go_wrong(&fault, frame, &sender).await;
        }
        if name == "contentBlockDelta" && std::mem::take(&mut is_first) {
            *first_piece.lock().unwrap_or_else(PoisonError::into_inner) = Some(telemetry::now());
        }
        if sender.send(Ok(frame.into())).await.is_err() {
            return;
        }
    }
}

async fn go_wrong(fault: &Fault, mut frame: Vec<u8>, sender: &Sender) {
    let last: io::Result<Bytes> = match (fault.breaks, &fault.error) {
        (Some(Breaks::Hang), _) => return sender.closed().await,
        (Some(Breaks::Reset | Breaks::ResetInHead), _) => {
            Err(io::ErrorKind::ConnectionReset.into())
        }
        (Some(Breaks::Cut), _) => {
            frame.truncate(frame.len() / 2);
            Ok(frame.into())
        }
        (Some(Breaks::Checksum), _) => {
            if let Some(byte) = frame.last_mut() {
                *byte ^= 1;
            }
            Ok(frame.into())
        }
        (Some(Breaks::Truncated | Breaks::Usage), _) | (None, None) => return,
        (None, Some(error)) => {
            let mut name = error.clone();
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            Ok(self::frame(
                "exception",
                ":exception-type",
                &name,
                &json!({ "message": fault.words() }),
            )
            .into())
        }
    };
    let _ = sender.send(last).await;
}

/// One frame; the padding hides how long a piece is, as Bedrock's does.
fn frame(kind: &str, name_header: &'static str, name: &str, json: &Value) -> Vec<u8> {
    let mut json = json.clone();
    if let Value::Object(fields) = &mut json {
        fields.insert("p".into(), "abcdefghijklmnop".into());
    }
    let header = |name: &'static str, value: &str| {
        Header::new(name, HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(json.to_string())
        .add_header(header(":message-type", kind))
        .add_header(header(name_header, name))
        .add_header(header(":content-type", "application/json"));
    let mut frame = Vec::new();
    let _ = write_message_to(&message, &mut frame);
    frame
}

/// The events of an answer.
fn events(reply: &Value) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    let content = reply
        .pointer("/output/message")
        .map(|message| list(message, "content"))
        .unwrap_or_default();
    events.extend(
        content
            .iter()
            .enumerate()
            .flat_map(|(index, block)| block_events(index, block)),
    );
    let stop = json!({ "stopReason": reply["stopReason"], "additionalModelResponseFields": reply["additionalModelResponseFields"] });
    events.push(("messageStop", stop));
    let told = [
        "usage",
        "metrics",
        "trace",
        "serviceTier",
        "performanceConfig",
    ];
    let told = told
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), reply.get(key)?.clone())));
    events.push(("metadata", Value::Object(told.collect())));
    events
}

fn block_events(index: usize, block: &Value) -> Vec<(&'static str, Value)> {
    let mut events = Vec::new();
    let delta = |delta: Value| {
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": index, "delta": delta }),
        )
    };
    if let Some(text) = block["text"].as_str() {
        events.extend(
            pieces(text)
                .into_iter()
                .map(|piece| delta(json!({ "text": piece }))),
        );
    }
    if let Some(call) = block.get("toolUse") {
        let start = json!({ "toolUse": { "toolUseId": call["toolUseId"], "name": call["name"] } });
        events.push((
            "contentBlockStart",
            json!({ "contentBlockIndex": index, "start": start }),
        ));
        // A call with nothing comes so from Claude.
        let input = match call["input"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
        {
            true => String::new(),
            false => call["input"].to_string(),
        };
        let (head, tail) = input.split_at(input.len() / 2);
        events.extend([head, tail].map(|part| delta(json!({ "toolUse": { "input": part } }))));
    }
    if let Some(thought) = block.pointer("/reasoningContent/reasoningText") {
        events.push(delta(
            json!({ "reasoningContent": { "text": thought["text"] } }),
        ));
        events.push(delta(
            json!({ "reasoningContent": { "signature": thought["signature"] } }),
        ));
    }
    events.push(("contentBlockStop", json!({ "contentBlockIndex": index })));
    events
}

/// A text in pieces of a few words, with their spaces.
fn pieces(text: &str) -> Vec<String> {
    let words: Vec<_> = text.split_inclusive(' ').collect();
    words.chunks(PIECE).map(|words| words.concat()).collect()
}

/// Frames as they are sent.
struct Frames(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Frames {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(identity)
    }
}
