//! A bare client straight to Bedrock: the time that is nobody's overhead.

use std::time::{Duration, Instant};

use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::bedrock::Bedrock;

/// Tells the times of so many calls, the first ones left out.
pub(crate) async fn times(bedrock: &Bedrock, calls: usize, mut tell: impl FnMut(Duration)) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!(
        "{}/model/us.anthropic.claude-haiku-5-5/converse",
        bedrock.url
    );
    let body = Bytes::from(vec![b' '; 600]);
    for number in 0..calls + 5 {
        let request = Request::post(&url).body(Full::new(body.clone())).unwrap();
        let began = Instant::now();
        let answer = client.request(request).await.unwrap();
        let _ = answer.into_body().collect().await.unwrap();
        if number >= 5 {
            tell(began.elapsed());
        }
    }
}
