//! Whom a function's clients believe: Amazon's own authorities, and the system's where those do not do.
//!
//! A system believes some 140 authorities, and reading them is four fifths of what a bare function computes before its first event. AWS's
//! endpoints are signed by five. Should that change, or should somebody look into the calls on their way, the first call finds out, and it
//! and all others go by the system's.

use std::error::Error;
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_sdk_bedrockruntime::config::SharedAsyncSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

const AMAZON: &[u8] = include_bytes!("../../amazon-roots.pem");

/// Believes Amazon's authorities, then the system's.
pub(super) fn amazon_first() -> SharedHttpClient {
    let amazon = TrustStore::empty().with_pem_certificate(AMAZON);
    SharedHttpClient::new(Trusting::new(amazon, TrustStore::default()))
}

/// The SDK's own client, but for what it believes.
#[derive(Debug)]
struct Trusting {
    first: TrustStore,
    then: TrustStore,
    /// One for each set of time limits.
    connectors: Mutex<Vec<(Limits, SharedHttpConnector)>>,
}

/// To connect within, and to read within.
type Limits = (Option<Duration>, Option<Duration>);

impl Trusting {
    fn new(first: TrustStore, then: TrustStore) -> Self {
        Self {
            first,
            then,
            connectors: Mutex::default(),
        }
    }
}

impl HttpClient for Trusting {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limits = (settings.connect_timeout(), settings.read_timeout());
        let connectors = self.connectors.lock();
        let mut connectors = connectors.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = connectors.iter().find(|(known, _)| *known == limits) {
            return connector.clone();
        }
        let sleep = components.sleep_impl();
        let connector = SharedHttpConnector::new(Doubting(Arc::new(Stores {
            first: connector(&self.first, settings, sleep.clone()),
            fallen_back: OnceLock::new(),
            then: self.then.clone(),
            settings: settings.clone(),
            sleep,
        })));
        connectors.push((limits, connector.clone()));
        connector
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

/// Connections by the SDK's own defaults, but for the store.
fn connector(
    store: &TrustStore,
    settings: &HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
) -> Connector {
    let context = TlsContext::builder().with_trust_store(store.clone());
    let mut connector = Connector::builder()
        .connector_settings(settings.clone())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.build().unwrap_or_default())
        .proxy_config(ProxyConfig::from_env());
    connector.set_sleep_impl(sleep);
    connector.build()
}

/// Goes by the first store, until it is shown what only the second can know.
#[derive(Clone, Debug)]
struct Doubting(Arc<Stores>);

#[derive(Debug)]
struct Stores {
    first: Connector,
    fallen_back: OnceLock<Connector>,
    then: TrustStore,
    settings: HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
}

impl Stores {
    fn then(&self) -> &Connector {
        self.fallen_back
            .get_or_init(|| connector(&self.then, &self.settings, self.sleep.clone()))
    }
}

impl HttpConnector for Doubting {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(then) = self.0.fallen_back.get() {
            return then.call(request);
        }
        let Some(mut again) = request.try_clone() else {
            return self.0.first.call(request);
        };
        // A copy lacks it, and without it a broken connection cannot be kept from being used again.
        if let Some(connection) = request.extension::<CaptureSmithyConnection>() {
            again.add_extension(connection.clone());
        }
        let stores = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            match stores.first.call(request).await {
                Err(error) if is_of_a_certificate(&error) => {
                    tracing::warn!(
                        "the other side's certificate does not hold by Amazon's authorities; from here on the system's are believed"
                    );
                    stores.then().call(again).await
                }
                answer => answer,
            }
        })
    }
}

/// Whether a handshake ended because of the other side's certificates, and so before anything was sent. Which error it is depends on what
/// else the other side sends along; the second store looks at all of it anew.
fn is_of_a_certificate(error: &ConnectorError) -> bool {
    iter::successors(Some(error as &dyn Error), |error| inner(*error)).any(|error| {
        let error = error.downcast_ref();
        matches!(error, Some(rustls::Error::InvalidCertificate(_)))
    })
}

/// What an error stems from; `io::Error` passes by the error that it holds.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &dyn Error),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use aws_sdk_bedrockruntime::Client;
    use aws_sdk_bedrockruntime::config::{BehaviorVersion, Builder, Credentials, Region};
    use rustls::RootCertStore;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    use super::*;
    use crate::bedrock::{self, Fault, Invoked, Outcome};

    #[test]
    fn amazon_has_five_authorities() {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(AMAZON) {
            roots.add(certificate.unwrap()).unwrap();
        }
        assert_eq!(roots.len(), 5);
    }

    /// A Bedrock whose certificate is signed by nobody but itself.
    struct Server {
        url: String,
        certificate: String,
        doubted: Arc<AtomicUsize>,
    }

    impl Server {
        async fn start() -> Self {
            Self::sending_along(&[]).await
        }

        /// One that sends something else behind its certificate.
        async fn sending_along(more: &[&'static [u8]]) -> Self {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let more = more.iter().map(|more| CertificateDer::from(*more));
            let chain = iter::once(pair.cert.der().clone()).chain(more).collect();
            let config = ServerConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let doubted = Arc::<AtomicUsize>::default();
            let count = Arc::clone(&doubted);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if answer(&acceptor, stream).await.is_err() {
                        count.fetch_add(1, Relaxed);
                    }
                }
            });
            Self {
                url: format!("https://localhost:{port}"),
                certificate: pair.cert.pem(),
                doubted,
            }
        }

        /// Its own authority.
        fn own(&self) -> TrustStore {
            TrustStore::empty().with_pem_certificate(self.certificate.as_str())
        }

        /// That so many handshakes have failed; this side may hear of it after the client.
        async fn is_doubted(&self, times: usize) {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
            while self.doubted.load(Relaxed) < times && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(self.doubted.load(Relaxed), times);
        }

        /// A client that believes one authority, then others.
        fn client(&self, first: TrustStore, then: TrustStore) -> Client {
            let config = Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
                .http_client(SharedHttpClient::new(Trusting::new(first, then)))
                .endpoint_url(&self.url);
            Client::from_conf(config.build())
        }
    }

    async fn answer(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        let _ = stream.read(&mut [0; 8192]).await?;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(answer).await?;
        stream.shutdown().await
    }

    async fn invoke(client: &Client) -> Result<Invoked, Fault> {
        let limits = bedrock::Limits {
            time: Duration::from_secs(30),
            attempts: 1,
        };
        bedrock::invoke(client, "us.amazon.nova-micro-v1:0", b"{}".to_vec(), limits).await
    }

    fn amazon() -> TrustStore {
        TrustStore::empty().with_pem_certificate(AMAZON)
    }

    #[tokio::test]
    async fn what_amazon_has_not_signed_is_held_against_the_system_once() {
        let server = Server::start().await;
        let client = server.client(amazon(), server.own());
        for _ in 0..3 {
            assert_eq!(invoke(&client).await.unwrap().body, b"{}");
        }
        server.is_doubted(1).await;
    }

    #[tokio::test]
    async fn whatever_is_wrong_with_the_chain_the_system_has_the_last_word() {
        let server = Server::sending_along(&[b"no certificate"]).await;
        let client = server.client(amazon(), server.own());
        assert_eq!(invoke(&client).await.unwrap().body, b"{}");
        server.is_doubted(1).await;
    }

    #[tokio::test]
    async fn what_the_first_has_signed_is_believed_at_once() {
        let server = Server::start().await;
        let client = server.client(server.own(), TrustStore::empty());
        assert_eq!(invoke(&client).await.unwrap().body, b"{}");
        assert_eq!(server.doubted.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_nobody_has_signed_is_not_believed() {
        let server = Server::start().await;
        let client = server.client(amazon(), amazon());
        for doubted in [2, 3] {
            let fault = invoke(&client).await.unwrap_err();
            assert_eq!(fault.outcome, Outcome::Failed, "{fault:?}");
            server.is_doubted(doubted).await;
        }
    }
}
