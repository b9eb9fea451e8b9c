//! The answer, written out piece by piece: the vectors are held once, as numbers, and only a piece of them as text.

use std::convert::Infallible;
use std::iter::Enumerate;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use shared::error::Error;

use crate::job::Embedded;
use crate::vectors::{Encoding, Vector};

/// A piece is so long at least.
const PIECE: usize = 64 * 1024;

/// Vectors on their way out.
pub(crate) struct Pieces {
    /// What stands before the next vector.
    head: Vec<u8>,
    vectors: Vec<Option<Vector>>,
    slots: Enumerate<IntoIter<usize>>,
    encoding: Encoding,
    /// Each vector is an object with its index, as OpenAI has it.
    indexed: bool,
    ended: bool,
}

impl Pieces {
    /// An answer that begins with some fields and ends with the vectors, in a field of their own.
    pub(crate) fn new(
        told: &impl Serialize,
        field: &str,
        done: Embedded<'_>,
        indexed: bool,
    ) -> Result<Self, Error> {
        let head = serde_json::to_string(told);
        let mut head = head.map_err(|error| Error::Internal(error.to_string()))?;
        // The brace that closes it comes last.
        head.pop();
        head.push_str(&format!(",\"{field}\":["));
        Ok(Self {
            head: head.into_bytes(),
            vectors: done.vectors,
            slots: done.slots.into_iter().enumerate(),
            encoding: done.shape.encoding,
            indexed,
            ended: false,
        })
    }

    /// As an HTTP answer.
    pub(crate) fn respond(self, request_id: &str) -> Response {
        let mut response = Response::new(Body::from_stream(self));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }

    fn write(&self, place: usize, slot: usize, to: &mut Vec<u8>) {
        if place > 0 {
            to.push(b',');
        }
        if self.indexed {
            let head = format!("{{\"object\":\"embedding\",\"index\":{place},\"embedding\":");
            to.extend_from_slice(head.as_bytes());
        }
        match self.vectors.get(slot).and_then(Option::as_ref) {
            Some(vector) => vector.write(self.encoding, to),
            None => to.extend_from_slice(b"null"),
        }
        if self.indexed {
            to.push(b'}');
        }
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut piece = std::mem::take(&mut self.head);
        while piece.len() < PIECE {
            let Some((place, slot)) = self.slots.next() else {
                piece.extend_from_slice(b"]}");
                self.ended = true;
                break;
            };
            self.write(place, slot, &mut piece);
        }
        Poll::Ready(Some(Ok(piece.into())))
    }
}
