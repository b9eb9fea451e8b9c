//! The report on its way: files into a bucket, the text to a topic, metrics into the log.
//!
//! EventBridge delivers an event at least once, and Lambda tries a failed one again. So the files' names are those of the window,
//! and what a channel has delivered is marked beside them: a retry delivers only what is missing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use shared::catalog::arn_region;

use crate::report::Report;
use crate::text::{grouped, money, span, text};
use crate::{metrics, page, rows};

/// A message of SNS has 256 KiB, its subject 100 characters.
const LONGEST_MESSAGE: usize = 250_000;
const LONGEST_SUBJECT: usize = 100;

/// Where reports go.
#[derive(Debug)]
pub struct Outlets {
    /// For the files, and the marks of what has been delivered.
    bucket: Option<Bucket>,
    /// For the text.
    topic: Option<Topic>,
    /// CloudWatch namespace of the metrics.
    namespace: Option<String>,
    /// What this instance has delivered, should the marks be out of reach.
    delivered: Mutex<BTreeSet<String>>,
}

/// A bucket of S3.
#[derive(Debug)]
struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
    region: String,
}

/// A topic of SNS.
#[derive(Debug)]
struct Topic {
    client: aws_sdk_sns::Client,
    arn: String,
}

/// A way to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Files,
    Mail,
    Metrics,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Mail => "mail",
            Self::Metrics => "metrics",
        }
    }
}

impl Outlets {
    /// The outlets that are set: `REPORT_BUCKET`, `REPORT_TOPIC_ARN`, and the namespace of the metrics.
    ///
    /// # Errors
    /// A sentence that names the variable, its value and what was wanted.
    pub fn new(
        namespace: Option<String>,
        home: &str,
        settings: &SdkConfig,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        // The SDK's own names, for a stand-in.
        let (s3, sns) = (
            lookup("AWS_ENDPOINT_URL_S3"),
            lookup("AWS_ENDPOINT_URL_SNS"),
        );
        let bucket = lookup("REPORT_BUCKET").map(|name| Bucket {
            client: {
                let mut config = aws_sdk_s3::config::Builder::from(settings);
                config.set_endpoint_url(s3);
                aws_sdk_s3::Client::from_conf(config.build())
            },
            name,
            region: home.to_owned(),
        });
        let topic = lookup("REPORT_TOPIC_ARN").map(|arn| {
            let region = arn_region(&arn).filter(|_| arn.contains(":sns:"));
            let region = region.ok_or(format!(
                "REPORT_TOPIC_ARN is {arn:?}, which is not the ARN of an SNS topic"
            ))?;
            let region = aws_sdk_sns::config::Region::new(region.to_owned());
            let mut there = aws_sdk_sns::config::Builder::from(settings).region(region);
            there.set_endpoint_url(sns);
            let client = aws_sdk_sns::Client::from_conf(there.build());
            Ok::<_, String>(Topic { client, arn })
        });
        Ok(Self {
            bucket,
            topic: topic.transpose()?,
            namespace,
            delivered: Mutex::default(),
        })
    }

    /// Delivers a report by every channel that has not delivered it before, or by all of them `again`.
    ///
    /// # Errors
    /// What could not be delivered and why, after everything else was.
    pub async fn deliver(&self, report: &Report, again: bool) -> Result<Vec<&'static str>, String> {
        let key = report.window.key();
        let (mut delivered, mut failed) = (Vec::new(), Vec::new());
        let mut link = self.bucket.as_ref().map(|bucket| bucket.link(&key));
        for channel in [Channel::Files, Channel::Mail, Channel::Metrics] {
            // What was incomplete may be made up for.
            let more = if report.is_incomplete() {
                "-incomplete"
            } else {
                ""
            };
            let mark = format!("{key}/.delivered/{}{more}", channel.name());
            if !self.has(channel) || (!again && self.is_delivered(&mark).await) {
                continue;
            }
            let sent = self.send(channel, report, &key, link.as_deref()).await;
            if sent.is_err() && channel == Channel::Files {
                link = None;
            }
            match sent {
                Ok(()) => {
                    self.mark(mark).await;
                    delivered.push(channel.name());
                }
                Err(error) => failed.push(format!("{}: {error}", channel.name())),
            }
        }
        if failed.is_empty() {
            Ok(delivered)
        } else {
            Err(format!("not delivered: {}", failed.join("; ")))
        }
    }

    fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Files => self.bucket.is_some(),
            Channel::Mail => self.topic.is_some(),
            Channel::Metrics => self.namespace.is_some(),
        }
    }

    async fn send(
        &self,
        channel: Channel,
        report: &Report,
        key: &str,
        link: Option<&str>,
    ) -> Result<(), String> {
        match (channel, &self.bucket, &self.topic, &self.namespace) {
            (Channel::Files, Some(bucket), ..) => bucket.put_files(report, key).await,
            (Channel::Mail, _, Some(topic), _) => topic.publish(report, link).await,
            (Channel::Metrics, _, _, Some(namespace)) => {
                metrics::emit(report, namespace).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Without a bucket there are no marks, and nothing is known of other instances. Where marks cannot be read, a report twice is
    /// better than none.
    async fn is_delivered(&self, mark: &str) -> bool {
        if self.remembered().contains(mark) {
            return true;
        }
        let Some(bucket) = &self.bucket else {
            return false;
        };
        let head = bucket.client.head_object();
        let head = head.bucket(&bucket.name).key(mark).send().await;
        head.is_ok()
    }

    async fn mark(&self, mark: String) {
        if let Some(bucket) = &self.bucket
            && let Err(error) = bucket.put(&mark, "text/plain", String::new()).await
        {
            tracing::warn!(mark, "delivered, but not marked so: {error}");
        }
        self.remembered().insert(mark);
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    async fn put_files(&self, report: &Report, key: &str) -> Result<(), String> {
        let text = text(report, Some(&self.link(key)));
        let text = ("report.txt", "text/plain; charset=utf-8", text);
        for (name, content_type, body) in files(report)?.into_iter().chain([text]) {
            self.put(&format!("{key}/{name}"), content_type, body)
                .await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str, content_type: &str, body: String) -> Result<(), String> {
        let put = self.client.put_object().bucket(&self.name).key(key);
        let put = put
            .content_type(content_type)
            .body(body.into_bytes().into());
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("s3://{}/{key}: {}", self.name, told(&error))),
        }
    }

    /// The page in the console of S3, which asks for a login. A link that is signed by the function's role would end with its session.
    fn link(&self, key: &str) -> String {
        let (region, name) = (&self.region, &self.name);
        let console = match region.split('-').next() {
            Some("cn") => "console.amazonaws.cn".to_owned(),
            Some("us") if region.starts_with("us-gov-") => {
                "console.amazonaws-us-gov.com".to_owned()
            }
            _ => format!("{region}.console.aws.amazon.com"),
        };
        format!("https://{console}/s3/object/{name}?region={region}&prefix={key}/report.html")
    }
}

impl Topic {
    async fn publish(&self, report: &Report, link: Option<&str>) -> Result<(), String> {
        let mut message = text(report, link);
        if message.len() > LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
            message += "\n... the rest is in report.txt\n";
        }
        let publish = self.client.publish().topic_arn(&self.arn);
        let publish = publish.subject(subject(report)).message(message);
        match publish.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }
}

/// The files of a report: name, content type, text.
///
/// # Errors
/// When one cannot be made.
pub fn files(report: &Report) -> Result<[(&'static str, &'static str, String); 3], String> {
    let page = page::page(report).map_err(|error| format!("the page: {error}"))?;
    let rows = rows::csv(report).map_err(|error| format!("the rows: {error}"))?;
    let json = serde_json::to_string(report).map_err(|error| error.to_string())?;
    Ok([
        ("report.html", "text/html; charset=utf-8", page),
        ("report.json", "application/json", json),
        ("report.csv", "text/csv; charset=utf-8", rows),
    ])
}

/// SNS takes ASCII in a subject, and no control characters.
fn subject(report: &Report) -> String {
    let (span, total) = (span(report), &report.total);
    let (calls, cost) = (grouped(total.invocations), money(total.cost_usd));
    let more = match (report.is_incomplete(), report.findings.len()) {
        (false, 0) => "",
        (true, 0) => ", figures are missing",
        (false, _) => ", something to look at",
        (true, _) => ", figures are missing, something to look at",
    };
    let subject = format!("Bedrock usage {span}: about {cost} USD, {calls} calls{more}");
    subject.chars().take(LONGEST_SUBJECT).collect()
}

/// The service's own name for what went wrong, or what kept it from being asked.
fn told<E>(error: &E) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code} ({message})"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    }
}
