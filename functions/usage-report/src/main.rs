//! The cold start of the usage report, and one report after the other.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::config::Config;
use shared::{aws, telemetry};
use usage_report::deliver::Outlets;
use usage_report::{App, answer, bounded, client};

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
async fn main() -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::init(variable("LOG_LEVEL"));
    let config = Config::from_lookup(variable)?;
    let home = &config.policy.region;
    let settings = bounded(aws::settings(variable));
    let outlets = &Outlets::new(config.metrics.clone(), home, &settings, variable)?;
    let client = client(&settings, variable("CLOUDWATCH_ENDPOINT").as_deref());
    let app = &App::new(config, client, variable)?;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        answer(app, outlets, &event.payload).await
    }))
    .await
}
