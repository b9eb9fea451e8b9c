//! Answers in pieces: server-sent events, written by the same code that answers in one piece.
//!
//! An answer is a future that tells a [`Sink`] what it has as it gets it. [`Telling`] polls that future from within the response
//! body: there is no task of its own that the sandbox could freeze, and when the client is gone, so is the future.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use shared::error::Error;
use shared::http::{Problem, problem};
use tokio::sync::mpsc;

/// So long the head of the answer waits for the first piece, so that an early failure has its own HTTP status.
const HEAD: Duration = Duration::from_secs(10);

/// After so much silence a comment goes out, because proxies drop idle connections (API Gateway's edge after 30 seconds).
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Where an answer tells what it has so far; in one that is not streamed, nowhere.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    sender: Option<mpsc::Sender<Piece>>,
    /// The first event was told.
    begun: AtomicBool,
}

/// The last event of an answer, ready to be told.
#[derive(Debug)]
pub(crate) struct Last(Event);

impl Last {
    /// Of what is known at the end.
    pub(crate) fn of(done: &impl Serialize) -> Self {
        Self(
            Event::default()
                .event("done")
                .data(serde_json::to_string(done).unwrap_or_default()),
        )
    }
}

/// A piece of an answer.
#[derive(Debug)]
enum Piece {
    Event(Event),
    /// The last piece: why there is no more.
    Failure(Box<Error>),
}

impl Sink {
    /// Whether anybody listens piece by piece.
    pub(crate) fn is_open(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether the first event is still to be told; from now on it counts as told.
    pub(crate) fn is_first_time(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }

    /// Tells an event, once there is room for it.
    pub(crate) async fn tell(&self, name: &'static str, value: &impl Serialize) {
        if let Some(sender) = &self.sender
            && let Ok(json) = serde_json::to_string(value)
        {
            let event = Event::default().event(name).data(json);
            // Nobody listens any more: the body is dropped, and this future with it.
            let _ = sender.send(Piece::Event(event)).await;
        }
    }

    /// Tells the last event.
    pub(crate) async fn done(&self, last: Last) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(Piece::Event(last.0)).await;
        }
    }

    /// Tells that there is no more, and why.
    pub(crate) async fn fail(&self, error: Error) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(Piece::Failure(Box::new(error))).await;
        }
    }
}

/// Answers with what a future tells. A failure before the first piece has its own status, as long as it comes soon enough.
pub(crate) async fn answer<F>(request_id: &str, tell: impl FnOnce(Sink) -> F) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(1);
    let future = tell(Sink {
        sender: Some(sender),
        begun: AtomicBool::new(false),
    });
    let mut telling = Telling {
        future: Some(Box::pin(future)),
        pieces,
    };
    let first = tokio::time::timeout(
        HEAD,
        std::future::poll_fn(|context| telling.poll_piece(context)),
    )
    .await;
    let first = match first {
        Ok(Some(Piece::Failure(error))) => return problem(&error, request_id),
        Ok(first) => first,
        Err(_) => None,
    };
    let events = Events {
        first,
        telling,
        request_id: request_id.to_owned(),
    };
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("waiting"))
        .into_response();
    if let Ok(id) = request_id.parse() {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// A future, and what it tells.
struct Telling<F> {
    future: Option<Pin<Box<F>>>,
    pieces: mpsc::Receiver<Piece>,
}

impl<F: Future<Output = ()>> Telling<F> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Poll::Ready(Some(piece)) = self.pieces.poll_recv(context) {
            return Poll::Ready(Some(piece));
        }
        if let Some(future) = &mut self.future
            && future.as_mut().poll(context).is_ready()
        {
            // With it goes the sender, so that the channel ends after its last piece.
            self.future = None;
        }
        self.pieces.poll_recv(context)
    }
}

/// The events of a body.
struct Events<F> {
    first: Option<Piece>,
    telling: Telling<F>,
    request_id: String,
}

impl<F: Future<Output = ()> + Send> Stream for Events<F> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match self.first.take() {
            Some(piece) => Poll::Ready(Some(piece)),
            None => self.telling.poll_piece(context),
        };
        piece.map(|piece| {
            let event = match piece? {
                Piece::Event(event) => event,
                Piece::Failure(error) => failure(&error, &self.request_id),
            };
            Some(Ok(event))
        })
    }
}

/// A problem as an event.
fn failure(error: &Error, request_id: &str) -> Event {
    shared::http::log(error, request_id);
    let json = serde_json::to_string(&Problem::of(error, request_id)).unwrap_or_default();
    Event::default().event("error").data(json)
}
