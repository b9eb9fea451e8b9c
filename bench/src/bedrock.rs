//! A Bedrock that answers at once, over HTTP or TLS: what is left is the function's own time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces of a streamed answer.
pub(crate) const DELTAS: usize = 10;

/// The loopback Bedrock.
#[derive(Debug)]
pub(crate) struct Bedrock {
    /// Where it is.
    pub(crate) url: String,
    /// Authorities that vouch for it.
    pub(crate) roots: Roots,
    shared: Arc<Shared>,
}

/// Files of authorities; one of each is the Bedrock's own.
#[derive(Debug)]
pub(crate) struct Roots {
    /// Beside it Amazon's, which our functions believe.
    pub(crate) amazons: String,
    /// Beside it all of the machine's, which a bare SDK believes.
    pub(crate) machines: String,
}

#[derive(Debug, Default)]
struct Shared {
    latency_ms: AtomicU64,
    /// The pause before each delta.
    pause_ms: AtomicU64,
    /// When each delta of the last stream left.
    sent: Mutex<Vec<Instant>>,
    requests: AtomicU64,
    close: Notify,
    /// Connections end by a reset and not in good order.
    resets: AtomicBool,
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Plain HTTP/1.1.
    Http,
    /// TLS, with nothing but HTTP/1.1.
    TlsHttp1,
    /// TLS, where HTTP/2 is to be had.
    Tls,
}

impl Bedrock {
    /// Starts one; a certificate of its own goes into the folder.
    pub(crate) async fn start(wire: Wire, folder: &Path) -> Self {
        let shared = Arc::<Shared>::default();
        let routes = Router::new()
            .route("/model/{id}/converse", post(converse))
            .route("/model/{id}/invoke", post(embed))
            .route("/model/{id}/converse-stream", post(converse_stream))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, roots) = match wire {
            Wire::Http | Wire::TlsHttp1 => tls(folder, &[b"http/1.1"]),
            Wire::Tls => tls(folder, &[b"h2", b"http/1.1"]),
        };
        let tls = (wire != Wire::Http).then_some(acceptor);
        let scheme = if tls.is_some() { "https" } else { "http" };
        tokio::spawn(accept(listener, tls, routes, Arc::clone(&shared)));
        Self {
            url: format!("{scheme}://localhost:{port}"),
            roots,
            shared,
        }
    }

    /// Lets every answer take so long.
    pub(crate) fn takes(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap();
        self.shared.latency_ms.store(millis, Relaxed);
    }

    /// Lets so much time pass before each delta of a stream.
    pub(crate) fn drips(&self, pause: Duration) {
        let millis = u64::try_from(pause.as_millis()).unwrap();
        self.shared.pause_ms.store(millis, Relaxed);
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Relaxed)
    }

    /// When each delta of the last stream left.
    pub(crate) fn sent(&self) -> Vec<Instant> {
        self.shared.sent.lock().unwrap().clone()
    }

    /// Lets the connections to come end by a reset.
    pub(crate) fn will_reset(&self) {
        self.shared.resets.store(true, Relaxed);
    }

    /// Closes every connection.
    pub(crate) fn hang_up(&self) {
        self.shared.close.notify_waiters();
    }
}

/// An acceptor of TLS with a new certificate, and who vouches for it.
fn tls(folder: &Path, protocols: &[&[u8]]) -> (TlsAcceptor, Roots) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, others: &str| {
        let path = folder.join(name);
        std::fs::write(&path, others.to_owned() + &own.cert.pem()).unwrap();
        path.display().to_string()
    };
    let machines = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    let machines = machines
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let roots = Roots {
        amazons: file("amazons.pem", include_str!("../../shared/amazon-roots.pem")),
        machines: file("machines.pem", &machines.unwrap_or_default()),
    };
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), roots)
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    shared: Arc<Shared>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        if shared.resets.load(Relaxed) {
            stream.set_zero_linger().unwrap();
        }
        let (tls, routes, shared) = (tls.clone(), routes.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, routes, &shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, routes, &shared).await;
                    }
                }
            }
        });
    }
}

/// Serves a connection until it ends or is to be closed.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    routes: Router,
    shared: &Shared,
) {
    let closed = shared.close.notified();
    let builder = Builder::new(TokioExecutor::new());
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::select! {
        _ = connection => {}
        () = closed => {}
    }
}

/// What is answered, made once: this side's work must not count.
struct Answers {
    whole: Bytes,
    vector: Bytes,
    /// The frames of a stream: the first one, that of each delta, and the last ones.
    begin: Bytes,
    delta: Bytes,
    end: Bytes,
    stream: Bytes,
}

static ANSWERS: LazyLock<Answers> = LazyLock::new(|| {
    let part = "Serverless functions cost nothing while nobody ";
    let usage = json!({ "inputTokens": 110, "outputTokens": 64, "totalTokens": 174 });
    let metrics = json!({ "latencyMs": 1 });
    let message = json!({ "role": "assistant", "content": [{ "text": part.repeat(DELTAS) }] });
    let whole = json!({ "output": { "message": message }, "stopReason": "end_turn", "usage": usage, "metrics": metrics });
    let numbers: Vec<f64> = (0..1024_u32)
        .map(|number| f64::from(number).sin() / 23.0)
        .collect();
    let vector = json!({ "embedding": numbers, "inputTextTokenCount": 12 });
    let begin = frame("messageStart", &json!({ "role": "assistant" }));
    let delta = json!({ "contentBlockIndex": 0, "delta": { "text": part } });
    let delta = frame("contentBlockDelta", &delta);
    let end = [
        frame("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
        frame("messageStop", &json!({ "stopReason": "end_turn" })),
        frame("metadata", &json!({ "usage": usage, "metrics": metrics })),
    ]
    .concat();
    Answers {
        whole: whole.to_string().into(),
        vector: vector.to_string().into(),
        stream: [&begin[..], &delta.repeat(DELTAS), &end].concat().into(),
        begin: begin.into(),
        delta: delta.into(),
        end: end.into(),
    }
});

async fn converse(State(shared): State<Arc<Shared>>, _: Bytes) -> impl IntoResponse {
    shared.requests.fetch_add(1, Relaxed);
    wait(&shared.latency_ms).await;
    (
        [("content-type", "application/json")],
        ANSWERS.whole.clone(),
    )
}

/// A vector in the dialect of Amazon Titan.
async fn embed(State(shared): State<Arc<Shared>>, _: Bytes) -> impl IntoResponse {
    shared.requests.fetch_add(1, Relaxed);
    wait(&shared.latency_ms).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-amzn-bedrock-input-token-count", "12"),
    ];
    (headers, ANSWERS.vector.clone())
}

async fn wait(millis: &AtomicU64) {
    let millis = millis.load(Relaxed);
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// The same text in pieces; at once, or each after a pause.
async fn converse_stream(State(shared): State<Arc<Shared>>, _: Bytes) -> Response {
    shared.requests.fetch_add(1, Relaxed);
    wait(&shared.latency_ms).await;
    let body = if shared.pause_ms.load(Relaxed) == 0 {
        Body::from(ANSWERS.stream.clone())
    } else {
        let (pieces, body) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        shared.sent.lock().unwrap().clear();
        tokio::spawn(async move {
            let _ = pieces.send(Ok(ANSWERS.begin.clone())).await;
            for _ in 0..DELTAS {
                wait(&shared.pause_ms).await;
                shared.sent.lock().unwrap().push(Instant::now());
                let _ = pieces.send(Ok(ANSWERS.delta.clone())).await;
            }
            let _ = pieces.send(Ok(ANSWERS.end.clone())).await;
        });
        Body::from_stream(ReceiverStream::new(body))
    };
    (
        [("content-type", "application/vnd.amazon.eventstream")],
        body,
    )
        .into_response()
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let header = |name: &'static str, value: &str| {
        Header::new(name, HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(payload.to_string())
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", name))
        .add_header(header(":content-type", "application/json"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}
