//! Answers in pieces, written by the same code that answers in one piece.
//!
//! An answer is a future that tells a [`Sink`] what it has as it gets it; the caller's [`Dialect`] makes bytes of that. [`Telling`]
//! polls the future from within the response body: there is no task of its own that the sandbox could freeze, and when the client is
//! gone, so is the future.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use shared::error::Error;
use shared::http::log;
use shared::wire::Piece;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::Answer;
use crate::dialect::{Begun, Dialect, event};

/// So long the head of the answer waits for the first piece, so that an early failure has its own HTTP status.
const HEAD: Duration = Duration::from_secs(10);

/// After so much silence a heartbeat goes out, because proxies drop idle connections (API Gateway's edge after 30 seconds).
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Where an answer tells what it has so far; in one that is not streamed, nowhere.
#[derive(Default)]
pub(crate) struct Sink {
    listener: Option<(mpsc::Sender<Said>, Voice)>,
    /// It was told who answers.
    begun: AtomicBool,
}

/// The dialect of the one who listens: it tells pieces through the sink, and failures from where the body is made.
#[derive(Clone)]
struct Voice(Arc<Mutex<Box<dyn Dialect>>>);

impl Voice {
    fn speak(&self) -> MutexGuard<'_, Box<dyn Dialect>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was said.
enum Said {
    Piece(Bytes),
    /// The last of all: why there is no more.
    Failure(Box<Error>),
}

/// The last piece of an answer, ready to be told.
pub(crate) struct Last(Bytes);

impl Sink {
    /// Whether anybody listens piece by piece.
    pub(crate) fn is_open(&self) -> bool {
        self.listener.is_some()
    }

    /// Whether it is still to be told who answers; from now on it counts as told.
    pub(crate) fn is_first_time(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }

    /// Tells who answers.
    pub(crate) async fn begin(&self, begun: &Begun<'_>) {
        self.say(|dialect| dialect.begun(begun)).await;
    }

    /// Tells a piece, once there is room for it.
    pub(crate) async fn tell(&self, piece: &Piece) {
        self.say(|dialect| dialect.piece(piece)).await;
    }

    /// Tells an event that is no piece of an answer.
    pub(crate) async fn event(&self, name: &str, value: &impl Serialize) {
        self.say(|_| event(Some(name), value)).await;
    }

    /// The last piece.
    pub(crate) fn last(&self, answer: &Answer<'_>) -> Last {
        let told = self.listener.as_ref();
        Last(told.map_or_else(Bytes::new, |(_, voice)| voice.speak().done(answer).into()))
    }

    /// Tells the last piece.
    pub(crate) async fn done(&self, Last(last): Last) {
        self.say(|_| last.into()).await;
    }

    /// Tells that there is no more, and why.
    pub(crate) async fn fail(&self, error: Error) {
        if let Some((sender, _)) = &self.listener {
            let _ = sender.send(Said::Failure(Box::new(error))).await;
        }
    }

    async fn say(&self, words: impl FnOnce(&mut dyn Dialect) -> Vec<u8>) {
        if let Some((sender, voice)) = &self.listener {
            let bytes = words(voice.speak().as_mut());
            if !bytes.is_empty() {
                // Nobody may listen any more: then the body is dropped, and this future with it.
                let _ = sender.send(Said::Piece(bytes.into())).await;
            }
        }
    }
}

/// Answers with what a future tells. A failure before the first piece has its own status, as long as it comes soon enough.
pub(crate) async fn answer<F>(
    request_id: &str,
    dialect: Box<dyn Dialect>,
    tell: impl FnOnce(Sink) -> F,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (content_type, heartbeat) = (dialect.streams_as(), dialect.heartbeat());
    let (sender, said) = mpsc::channel(1);
    let voice = Voice(Arc::new(Mutex::new(dialect)));
    let future = tell(Sink {
        listener: Some((sender, voice.clone())),
        begun: AtomicBool::new(false),
    });
    let mut telling = Telling {
        future: Some(Box::pin(future)),
        said,
    };
    let next = std::future::poll_fn(|context| telling.poll_said(context));
    let first = match tokio::time::timeout(HEAD, next).await {
        Ok(Some(Said::Failure(error))) => return voice.speak().problem(&error, request_id),
        Ok(first) => first,
        Err(_) => None,
    };
    let pieces = Pieces {
        first,
        telling,
        voice,
        request_id: request_id.to_owned(),
        heartbeat: heartbeat.map(|beat| (beat, Box::pin(sleep(HEARTBEAT)))),
    };
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(id) = request_id.parse() {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

/// A future, and what it says.
struct Telling<F> {
    future: Option<Pin<Box<F>>>,
    said: mpsc::Receiver<Said>,
}

impl<F: Future<Output = ()>> Telling<F> {
    fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Said>> {
        if let Poll::Ready(Some(said)) = self.said.poll_recv(context) {
            return Poll::Ready(Some(said));
        }
        if let Some(future) = &mut self.future
            && future.as_mut().poll(context).is_ready()
        {
            // With it goes the sender, so that the channel ends after its last piece.
            self.future = None;
        }
        self.said.poll_recv(context)
    }
}

/// The pieces of a body.
struct Pieces<F> {
    first: Option<Said>,
    telling: Telling<F>,
    voice: Voice,
    request_id: String,
    heartbeat: Option<(&'static str, Pin<Box<Sleep>>)>,
}

impl<F> Pieces<F> {
    /// A heartbeat, once it has been silent for long enough.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some((beat, silence)) = &mut self.heartbeat else {
            return Poll::Pending;
        };
        silence.as_mut().poll(context).map(|()| {
            silence.as_mut().reset(Instant::now() + HEARTBEAT);
            Bytes::from_static(beat.as_bytes())
        })
    }
}

impl<F: Future<Output = ()> + Send> Stream for Pieces<F> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let said = match self.first.take() {
            Some(said) => Poll::Ready(Some(said)),
            None => self.telling.poll_said(context),
        };
        let bytes = match said {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Said::Piece(bytes))) => bytes,
            Poll::Ready(Some(Said::Failure(error))) => {
                log(&error, &self.request_id);
                self.voice.speak().failed(&error, &self.request_id).into()
            }
            Poll::Pending => match self.poll_silence(context) {
                Poll::Ready(beat) => return Poll::Ready(Some(Ok(beat))),
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some((_, silence)) = &mut self.heartbeat {
            silence.as_mut().reset(Instant::now() + HEARTBEAT);
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}
