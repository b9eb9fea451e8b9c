//! AWS on the wire, as far as the usage report meets it: CloudWatch that can be made to fail, S3 and SNS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use local::cloudwatch::{CloudWatch, routes};

use crate::lambda::serve;

/// What CloudWatch answers instead of the truth: to an operation, in a Region.
pub type Answer = fn(&str, &str) -> Option<Response>;

/// A stand-in for CloudWatch that is interfered with; its address.
pub async fn cloudwatch(figures: &Arc<CloudWatch>, answer: Answer) -> String {
    let interfere = move |request: Request, next: Next| async move {
        let path = request.uri().path().to_owned();
        let operation = path.rsplit('/').next().unwrap_or_default();
        let signature = request.headers()["authorization"].to_str().unwrap();
        let region = signature.split('/').nth(2).unwrap().to_owned();
        match answer(operation, &region) {
            Some(answer) => answer,
            None => next.run(request).await,
        }
    };
    let routes = routes(Arc::clone(figures)).layer(from_fn(interfere));
    format!("http://127.0.0.1:{}", serve(routes).await)
}

/// An answer in CBOR.
pub fn cbor(status: u16, body: Vec<u8>) -> Response {
    let headers = [
        ("content-type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

/// A recorded body.
pub fn recorded(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/wire");
    std::fs::read(format!("{folder}/{name}.cbor")).unwrap()
}

/// S3 and SNS.
#[derive(Debug, Default)]
pub struct Outlets {
    /// Services that answer 503: `s3`, `sns`.
    pub broken: Mutex<BTreeSet<&'static str>>,
    /// Objects by path, with their content types.
    pub objects: Mutex<BTreeMap<String, (String, String)>>,
    /// The paths that were written, in their order.
    pub written: Mutex<Vec<String>>,
    /// Subjects and messages that were published.
    pub mails: Mutex<Vec<(String, String)>>,
}

impl Outlets {
    /// Serves them, and returns the variables that lead a function there.
    pub async fn start(self: &Arc<Self>) -> [(&'static str, String); 4] {
        let router = Router::new().fallback(outlet).with_state(Arc::clone(self));
        let address = format!("http://127.0.0.1:{}", serve(router).await);
        [
            ("AWS_ENDPOINT_URL_S3", address.clone()),
            ("AWS_ENDPOINT_URL_SNS", address),
            ("REPORT_BUCKET", "reports".into()),
            ("REPORT_TOPIC_ARN", "arn:aws:sns:us-east-1:1:reports".into()),
        ]
    }

    /// An object's text.
    pub fn object(&self, path: &str) -> String {
        let objects = self.objects.lock().unwrap();
        let object = objects.get(path);
        object.unwrap_or_else(|| panic!("{objects:?}")).1.clone()
    }
}

async fn outlet(
    State(outlets): State<Arc<Outlets>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let service = if path == "/" { "sns" } else { "s3" };
    if outlets.broken.lock().unwrap().contains(service) {
        let error = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        let error = if service == "sns" {
            format!("<ErrorResponse>{error}</ErrorResponse>")
        } else {
            error.to_owned()
        };
        return (StatusCode::FORBIDDEN, error).into_response();
    }
    match method {
        Method::PUT => {
            let content_type = headers["content-type"].to_str().unwrap().to_owned();
            let mut objects = outlets.objects.lock().unwrap();
            objects.insert(path.clone(), (content_type, body));
            outlets.written.lock().unwrap().push(path);
            StatusCode::OK.into_response()
        }
        Method::POST => {
            let fields: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes())
                .into_owned()
                .collect();
            let mail = (fields["Subject"].clone(), fields["Message"].clone());
            outlets.mails.lock().unwrap().push(mail);
            let answer = "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";
            answer.into_response()
        }
        _ if outlets.objects.lock().unwrap().contains_key(&path) => StatusCode::OK.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
