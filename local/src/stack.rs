//! The functions and the stand-ins, started together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use router::App;
use shared::config::Config;
use shared::http::{RequestId, closed};
use tokio::net::TcpListener;

use crate::bedrock::Bedrock;
use crate::bedrock::breakable::{Breakable, Breaker};

/// The Region that is played where none is set.
pub const REGION: &str = "us-east-1";

/// The configuration of the local stack: as the functions read it, with a Region and without metrics unless set.
///
/// # Errors
/// What [`Config::from_lookup`] says.
pub fn config(variable: impl Fn(&str) -> Option<String>) -> Result<Config, String> {
    Config::from_lookup(|name| {
        variable(name).or_else(|| match name {
            "AWS_REGION" => variable("AWS_DEFAULT_REGION").or_else(|| Some(REGION.into())),
            "METRICS_NAMESPACE" => Some("off".into()),
            "RESPONSE_MODE" => Some("stream".into()),
            _ => None,
        })
    })
}

/// A listener, with advice when the port is taken.
///
/// # Errors
/// A sentence that says what to do.
pub async fn listen(host: IpAddr, port: u16, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind((host, port)).await.map_err(|error| {
        format!("cannot listen on {host}:{port} ({error}); choose another port with {option}")
    })
}

/// Starts the stand-in on a listener, in the background, and returns a client of it.
///
/// # Errors
/// When the listener's address is unknown.
pub fn simulate(bedrock: Arc<Bedrock>, listener: TcpListener) -> Result<Client, String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let client = client(&bedrock.region, address);
    tokio::spawn(serve(listener, bedrock));
    Ok(client)
}

/// Serves the stand-in on a listener.
///
/// # Errors
/// None, in fact: it serves until it is dropped.
pub async fn serve(listener: TcpListener, bedrock: Arc<Bedrock>) -> std::io::Result<()> {
    let routes = crate::bedrock::routes(bedrock).into_make_service_with_connect_info::<Breaker>();
    axum::serve(Breakable(listener), routes).await
}

/// The real SDK client, with nothing changed but the endpoint and the credentials.
fn client(region: &str, address: SocketAddr) -> Client {
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials())
        .endpoint_url(format!("http://{}", reachable(address)));
    Client::from_conf(shared::bedrock::tuned(config).build())
}

/// A client of the stand-in for CloudWatch, which listens at the same address as that for Bedrock.
#[must_use]
pub fn cloudwatch(region: &str, address: SocketAddr) -> aws_sdk_cloudwatch::Client {
    let config = aws_sdk_cloudwatch::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials())
        .endpoint_url(format!("http://{}", reachable(address)));
    aws_sdk_cloudwatch::Client::from_conf(config.build())
}

fn credentials() -> Credentials {
    Credentials::new("AKIDSIMULATED", "simulated", None, None, "simulation")
}

/// Where a listener on all addresses is reached from here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Every route of every function.
pub fn routes() -> impl Iterator<Item = &'static str> {
    router::ROUTES.into_iter().chain(embeddings::ROUTES)
}

/// Every function's routes on one port, each call with an id.
pub fn functions(config: Config, client: Client) -> Router {
    let calls = Arc::new(AtomicU64::new(1));
    let sites = config.sites.clone();
    let number = move |mut request: Request, next: Next| {
        let id = format!("local-{}", calls.fetch_add(1, Ordering::Relaxed));
        request.extensions_mut().insert(RequestId(id));
        next.run(request)
    };
    let embeddings = embeddings::App {
        config: config.clone(),
        client: client.clone(),
    };
    let routes = router::routes(App::new(config, client)).merge(embeddings::routes(embeddings));
    closed(routes, &sites).layer(from_fn(number))
}

/// Writes a line a request to standard error.
pub async fn log(request: Request, next: Next) -> Response {
    let began = std::time::Instant::now();
    let line = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    eprintln!(
        "{line} -> {} in {:.1} ms",
        response.status().as_u16(),
        began.elapsed().as_secs_f64() * 1e3
    );
    response
}
