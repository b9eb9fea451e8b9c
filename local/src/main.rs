//! `cargo run`: everything on a laptop. `cargo run -- ask "..."`: one prompt.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use axum::middleware::from_fn;
use clap::{Parser, Subcommand};
use local::ask::{Question, ask};
use local::bedrock::Bedrock;
use local::calibrate::{Labels, calibrate};
use local::compare::{Contest, compare};
use local::embed::{Texts, embed};
use local::estimate::{Wanted, estimate};
use local::features::{Prompts, features};
use local::iam::fill;
use local::image::{Picture, image};
use local::models::{Filter, models};
use local::openapi::document;
use local::report::{Wanted as Period, report};
use local::score;
use local::stack::{
    cloudwatch, config, functions, listen, log, routes, serve as serve_aws, simulate,
};
use shared::catalog::Catalog;
use shared::config::Config;
use shared::telemetry;
use usage_report::App;

/// A model router for Amazon Bedrock, on this machine. Without a command it serves.
#[derive(Parser)]
#[command(name = "local", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the router listens.
    #[arg(long, default_value_t = 8080, global = true)]
    port: u16,
    /// Where the stand-in for AWS listens.
    #[arg(long, default_value_t = 8081, global = true)]
    aws_port: u16,
    /// The address for both; 0.0.0.0 to be reached from containers.
    #[arg(long, default_value = "127.0.0.1", global = true)]
    listen: IpAddr,
    /// Use the real AWS, with the credentials and Region of the environment. This costs money.
    #[arg(long, global = true)]
    aws: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve every function on one port (the default).
    Serve,
    /// Route one prompt, ask the model, and print decision, answer, tokens and cost.
    Ask(Question),
    /// List the models, as they look from here.
    Models(Filter),
    /// Price tokens or a prompt on several models, the cheapest first.
    Estimate(Wanted),
    /// Ask several models the same, and print what each made of it.
    Compare(Contest),
    /// Embed texts, and print how near they are to each other.
    Embed(Texts),
    /// Draw a picture from a prompt, into a file.
    Image(Picture),
    /// Report what every model did and cost, from CloudWatch's figures (here: of ten simulated weeks).
    Report(Period),
    /// Fit the learned router to your own labelled prompts, and write a file for ROUTER_FILE if that is better.
    Calibrate(Labels),
    /// Score prompts with the learned router: a line for each line of a file.
    Score(score::Prompts),
    /// Write what the learned router sees of prompts, for its training.
    #[command(hide = true)]
    Features(Prompts),
    /// Print the API's OpenAPI document.
    Openapi,
    /// Print a template with its lists of models made anew from the catalog and the routes.
    Iam {
        /// The template.
        #[arg(default_value = "template.yaml")]
        template: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None | Some(Command::Serve) => serve(&arguments).await,
        Some(Command::Ask(question)) => ask_once(&arguments, question).await,
        Some(Command::Models(filter)) => list(&arguments, filter).await,
        Some(Command::Estimate(wanted)) => price(&arguments, wanted).await,
        Some(Command::Compare(contest)) => contend(&arguments, contest).await,
        Some(Command::Embed(texts)) => vectors(&arguments, texts).await,
        Some(Command::Image(picture)) => draw(&arguments, picture).await,
        Some(Command::Report(period)) => usage(&arguments, period).await,
        Some(Command::Iam { template }) => permissions(template),
        Some(Command::Calibrate(labels)) => calibrate(labels).and_then(|done| say(&done)),
        Some(Command::Score(prompts)) => score::score(prompts),
        Some(Command::Features(prompts)) => features(prompts).and_then(|done| say(&done)),
        Some(Command::Openapi) => document().and_then(|document| say(document.trim_end())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the SDK finds on this machine: variables, profiles, roles.
async fn profile() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).load().await
}

/// The configuration and a client that fits it: of the stand-in, or of AWS in the Region that the SDK finds.
async fn prepare(arguments: &Arguments, aws_port: u16) -> Result<(Config, Client), String> {
    telemetry::init_terminal(variable("LOG_LEVEL"));
    if arguments.aws {
        let endpoint = variable("BEDROCK_ENDPOINT").filter(|url| !url.is_empty());
        let settings = profile().await;
        let client = shared::bedrock::client(&settings, endpoint.as_deref());
        let region = client.config().region().map(ToString::to_string);
        let region = region
            .ok_or("no AWS Region is set; set AWS_REGION, or a region in your AWS profile")?;
        let config = config(|name| {
            if name == "AWS_REGION" {
                Some(region.clone())
            } else {
                variable(name)
            }
        })?;
        return Ok((config, client));
    }
    let config = config(variable)?;
    let bedrock = Arc::new(Bedrock::new(&config.policy.region, config.catalog.clone()));
    let client = simulate(
        bedrock,
        listen(arguments.listen, aws_port, "--aws-port").await?,
    )?;
    Ok((config, client))
}

async fn serve(arguments: &Arguments) -> Result<(), String> {
    let listener = listen(arguments.listen, arguments.port, "--port").await?;
    let (config, client) = prepare(arguments, arguments.aws_port).await?;
    say(&greeting(arguments, &config))?;
    let app = functions(config, client).layer(from_fn(log));
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await
        .map_err(|error| error.to_string())
}

async fn ask_once(arguments: &Arguments, question: &Question) -> Result<(), String> {
    // Any free port: this stand-in lives for one question.
    let (config, client) = prepare(arguments, 0).await?;
    say(&ask(functions(config, client), question).await?)
}

async fn list(arguments: &Arguments, filter: &Filter) -> Result<(), String> {
    let (config, client) = prepare(arguments, 0).await?;
    say(&models(functions(config, client), filter).await?)
}

async fn price(arguments: &Arguments, wanted: &Wanted) -> Result<(), String> {
    let (config, client) = prepare(arguments, 0).await?;
    say(&estimate(functions(config, client), wanted).await?)
}

async fn contend(arguments: &Arguments, contest: &Contest) -> Result<(), String> {
    let (config, client) = prepare(arguments, 0).await?;
    say(&compare(functions(config, client), contest).await?)
}

async fn vectors(arguments: &Arguments, texts: &Texts) -> Result<(), String> {
    let (config, client) = prepare(arguments, 0).await?;
    say(&embed(functions(config, client), texts).await?)
}

async fn draw(arguments: &Arguments, picture: &Picture) -> Result<(), String> {
    let (config, client) = prepare(arguments, 0).await?;
    say(&image(functions(config, client), picture).await?)
}

async fn usage(arguments: &Arguments, period: &Period) -> Result<(), String> {
    telemetry::init_terminal(variable("LOG_LEVEL"));
    let mut now = usage_report::now();
    let (client, region) = if arguments.aws {
        let settings = usage_report::bounded(profile().await);
        let endpoint = variable("CLOUDWATCH_ENDPOINT");
        let client = usage_report::client(&settings, endpoint.as_deref());
        let region = client.config().region().map(ToString::to_string);
        let region = region
            .ok_or("no AWS Region is set; set AWS_REGION, or a region in your AWS profile")?;
        (client, Some(region))
    } else if period.running {
        // The stand-in has its figures at once, so that the hour that is not over yet can be shown.
        now += jiff::SignedDuration::from_hours(2);
        let address = (arguments.listen, arguments.aws_port).into();
        let region = config(variable)?.policy.region;
        (cloudwatch(&region, address), None)
    } else {
        (seeded(arguments).await?, None)
    };
    let config = config(|name| match (name, &region) {
        ("AWS_REGION", Some(region)) => Some(region.clone()),
        _ => variable(name),
    })?;
    let app = App::new(config, client, variable)?;
    say(&report(&app, period, now).await?)
}

/// A client of a stand-in that knows ten weeks which look like a team's.
async fn seeded(arguments: &Arguments) -> Result<aws_sdk_cloudwatch::Client, String> {
    let config = config(variable)?;
    let region = &config.policy.region;
    let bedrock = Arc::new(Bedrock::new(region, config.catalog.clone()));
    let now = telemetry::now().as_secs();
    bedrock.figures.seed(&config.catalog, region, now);
    let listener = listen(arguments.listen, 0, "--aws-port").await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(serve_aws(listener, bedrock));
    Ok(cloudwatch(region, address))
}

fn greeting(arguments: &Arguments, config: &Config) -> String {
    let router = format!("http://{}:{}", arguments.listen, arguments.port);
    let region = &config.policy.region;
    let aws = if arguments.aws {
        format!("the real Amazon Bedrock in {region}")
    } else {
        format!(
            "http://{}:{} (a simulation of {region}; no model is called)",
            arguments.listen, arguments.aws_port
        )
    };
    let routes = routes().collect::<Vec<_>>().join(", ");
    let try_it = format!("curl {router}/invoke -d '{{\"prompt\": \"Why is the sky blue?\"}}'");
    format!(
        "router   {router}\nroutes   {routes}\nBedrock  {aws}\ntry      {try_it}\n\nCtrl-C stops it."
    )
}

fn permissions(template: &Path) -> Result<(), String> {
    let text = fs::read_to_string(template);
    let text = text.map_err(|error| format!("{}: {error}", template.display()))?;
    say(fill(&text, Catalog::built_in())?.trim_end())
}

fn say(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())
}
