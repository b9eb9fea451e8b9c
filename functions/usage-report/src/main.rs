//! The cold start of the usage report, and one report after the other.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::config::Config;
use shared::telemetry;
use usage_report::text::headline;
use usage_report::{App, client, make, now, regions};

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
async fn main() -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::init(variable("LOG_LEVEL"));
    let config = Config::from_lookup(variable)?;
    let app = App {
        client: client(variable("CLOUDWATCH_ENDPOINT").as_deref()).await,
        regions: regions(variable("REPORT_REGIONS").as_deref(), &config.policy.region),
    };
    let (app, config) = (&app, &config);
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let report = make(app, &config.catalog, &event.payload, now()).await?;
        tracing::info!(missing = report.missing.len(), "{}", headline(&report));
        Ok::<_, Error>(report)
    }))
    .await
}
