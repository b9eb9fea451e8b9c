//! The answer, written out piece by piece: the vectors are held once, as numbers, and only a piece of them as text.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

use crate::vectors::{Encoding, Vector};

/// A piece is so long at least.
const PIECE: usize = 64 * 1024;

/// Vectors on their way out.
pub(crate) struct Pieces<F> {
    /// What stands before the vectors.
    pub(crate) head: Vec<u8>,
    pub(crate) vectors: Vec<Option<Vector>>,
    pub(crate) slots: std::vec::IntoIter<usize>,
    pub(crate) encoding: Encoding,
    /// Writes one vector with what stands around it; the place, and the vector as JSON.
    pub(crate) item: F,
    /// What stands behind the vectors.
    pub(crate) tail: Option<&'static str>,
    pub(crate) place: usize,
}

impl<F: Fn(usize, &mut Vec<u8>, &dyn Fn(&mut Vec<u8>))> Pieces<F> {
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = std::mem::take(&mut self.head);
        while piece.len() < PIECE {
            let Some(slot) = self.slots.next() else {
                let Some(tail) = self.tail.take() else { break };
                piece.extend_from_slice(tail.as_bytes());
                break;
            };
            if self.place > 0 {
                piece.push(b',');
            }
            let vector = self.vectors.get(slot).and_then(Option::as_ref);
            let write = |to: &mut Vec<u8>| match vector {
                Some(vector) => vector.write(self.encoding, to),
                None => to.extend_from_slice(b"null"),
            };
            (self.item)(self.place, &mut piece, &write);
            self.place += 1;
        }
        Some(piece).filter(|piece| !piece.is_empty())
    }
}

impl<F: Fn(usize, &mut Vec<u8>, &dyn Fn(&mut Vec<u8>)) + Unpin> Stream for Pieces<F> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next().map(|piece| Ok(piece.into())))
    }
}

/// An answer of such pieces.
pub(crate) fn respond<F>(pieces: Pieces<F>, request_id: &str) -> Response
where
    F: Fn(usize, &mut Vec<u8>, &dyn Fn(&mut Vec<u8>)) + Send + Unpin + 'static,
{
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}
