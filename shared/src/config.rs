//! The configuration: read once, from a lookup function, and loud about what is wrong.

use std::borrow::Cow;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;

use http::HeaderValue;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalog::{Catalog, Named, load};
use crate::routing::learned::calibration::Calibration;
use crate::routing::{Budget, Policy};
use crate::usd::Usd;
use crate::wire::{GuardrailConfig, check_guardrail};

/// What an operator sets through environment variables; each one is described at [`Config::from_lookup`].
#[derive(Clone, Debug)]
pub struct Config {
    /// What decisions must keep to.
    pub policy: Policy,
    /// The budget of requests that name none.
    pub default_budget: Budget,
    /// No model is called.
    pub paused: bool,
    /// CloudWatch namespace of the metrics; `None` writes none.
    pub metrics: Option<String>,
    /// Where Bedrock's runtime is called, if not at its public endpoint.
    pub bedrock_endpoint: Option<String>,
    /// The guardrail of every model call, which no caller can switch off.
    pub guardrail: Option<GuardrailConfig>,
    /// Answers leave piece by piece, through Lambda's response streaming.
    pub streaming: bool,
    /// Path under which a custom domain maps the API, without a trailing slash.
    pub base_path: String,
    /// Sites whose browsers may ask; `*` for all.
    pub sites: Vec<HeaderValue>,
    /// Models and routes.
    pub catalog: Cow<'static, Catalog>,
}

impl Config {
    /// Reads the configuration.
    ///
    /// | variable | default | meaning |
    /// |---|---|---|
    /// | `AWS_REGION` | none; Lambda sets it | the Region that calls are made from |
    /// | `DATA_RESIDENCY` | `geo` | `in-region`, `geo` or `global`: how far prompts may travel |
    /// | `DEFAULT_BUDGET` | `balanced` | `lower-cost`, `balanced` or `best-quality` |
    /// | `ROUTER` | `rules` | `rules` or `learned`: who says how much model a request needs; the other's view is logged |
    /// | `MAX_TOKENS` | 32768 | the highest `maxTokens` of a call |
    /// | `MAX_COST_USD` | 1 | the most a call may cost, as far as prices are known |
    /// | `DISABLED_MODELS` | none | models by any of their names, parted by commas |
    /// | `RETIRE_DAYS` | 30 | `auto` leaves models alone that end within so many days |
    /// | `MODEL_ARNS` | none | `arn=model` pairs, parted by commas, for application inference profiles and the like |
    /// | `PAUSED` | `false` | `true` answers every model call with 503 |
    /// | `METRICS_NAMESPACE` | `BedrockRouter` | CloudWatch namespace; `off` writes no metrics |
    /// | `BEDROCK_ENDPOINT` | the public one | URL of a VPC endpoint for bedrock-runtime, or of the local stand-in |
    /// | `GUARDRAIL` | none | `id:version` of a guardrail for every model call, or its ARN and version; callers cannot switch it off |
    /// | `RESPONSE_MODE` | `buffered` | `stream` where the invoker takes Lambda's response streaming: a REST API in stream mode, a function URL |
    /// | `CORS_ORIGIN` | none | sites whose browsers may ask, such as `https://example.com`, parted by commas; `*` for all |
    /// | `BASE_PATH` | none | path under which a custom domain maps the API |
    /// | `ROUTER_FILE` | none | a file that `cargo run -- calibrate` made of labelled prompts, for `ROUTER=learned` |
    /// | `CATALOG_FILE`, `ROUTES_FILE` | built in | files in the place of `models.json` and `routes.json` |
    ///
    /// # Errors
    /// A sentence that names the variable, its value and what was wanted.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let catalog = catalog(&lookup)?;
        let one_usd = Usd::from_pico(1_000_000_000_000);
        let max_tokens: Option<NonZeroU32> =
            number(&lookup, "MAX_TOKENS", "a whole number above zero")?;
        let region = lookup("AWS_REGION").ok_or("AWS_REGION is not set")?;
        let bedrock_endpoint = url(&lookup, "BEDROCK_ENDPOINT")?;
        let policy = Policy {
            residency: word(&lookup, "DATA_RESIDENCY", "in-region, geo or global")?
                .unwrap_or_default(),
            router: word(&lookup, "ROUTER", "rules or learned")?.unwrap_or_default(),
            calibration: calibration(&lookup)?,
            disabled: disabled(&lookup, &catalog)?,
            max_tokens: Some(max_tokens.map_or(32_768, NonZeroU32::get)),
            max_cost: Some(money(&lookup, "MAX_COST_USD")?.unwrap_or(one_usd)),
            retire_days: number::<u16>(&lookup, "RETIRE_DAYS", "a whole number of days")?
                .unwrap_or(30)
                .into(),
            arns: arns(&lookup, &catalog)?,
            // A VPC endpoint has its Region's name in its own, and serves no other.
            confined: bedrock_endpoint
                .as_ref()
                .is_some_and(|url| url.contains(&region)),
            region,
        };
        let metrics = lookup("METRICS_NAMESPACE").unwrap_or_else(|| "BedrockRouter".into());
        Ok(Self {
            policy,
            default_budget: word(
                &lookup,
                "DEFAULT_BUDGET",
                "lower-cost, balanced or best-quality",
            )?
            .unwrap_or_default(),
            paused: number(&lookup, "PAUSED", "true or false")?.unwrap_or(false),
            metrics: Some(metrics).filter(|namespace| namespace != "off"),
            bedrock_endpoint,
            guardrail: guardrail(&lookup)?,
            streaming: streaming(&lookup)?,
            base_path: lookup("BASE_PATH")
                .map(|path| format!("/{}", path.trim_matches('/')))
                .unwrap_or_default(),
            sites: sites(&lookup)?,
            catalog,
        })
    }
}

fn calibration(lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<Calibration>, String> {
    let read = |path: String| {
        let wrong = |why: String| format!("ROUTER_FILE={path:?} cannot be used: {why}");
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        Calibration::parse(&text).map_err(wrong)
    };
    lookup("ROUTER_FILE").map(read).transpose()
}

fn sites(lookup: &impl Fn(&str) -> Option<String>) -> Result<Vec<HeaderValue>, String> {
    let named = lookup("CORS_ORIGIN").unwrap_or_default();
    let named = named.split(',').map(str::trim);
    let read = |site: &str| {
        let is_origin = site == "*" || (site.contains("://") && !site.ends_with('/'));
        let value = HeaderValue::from_str(site).ok().filter(|_| is_origin);
        value.ok_or_else(|| {
            format!("CORS_ORIGIN holds {site:?}, which is not an origin such as https://example.com, or *")
        })
    };
    named.filter(|site| !site.is_empty()).map(read).collect()
}

fn number<T: FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &str,
    wanted: &str,
) -> Result<Option<T>, String> {
    let read = |text: String| {
        text.trim()
            .parse()
            .map_err(|_| format!("{name}={text:?} is not {wanted}"))
    };
    lookup(name).map(read).transpose()
}

fn word<T: DeserializeOwned>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &str,
    wanted: &str,
) -> Result<Option<T>, String> {
    let read = |text: String| {
        let value = serde_json::from_value(Value::String(text.trim().to_lowercase()));
        value.map_err(|_| format!("{name}={text:?} is not one of {wanted}"))
    };
    lookup(name).map(read).transpose()
}

fn money(lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Usd>, String> {
    let amount = |text: String| match Usd::parse(text.trim()) {
        Ok(amount) if amount > Usd::ZERO => Ok(amount),
        Ok(_) | Err(_) => Err(format!(
            "{name}={text:?} is not an amount of US dollars above zero"
        )),
    };
    lookup(name).map(amount).transpose()
}

fn url(lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<String>, String> {
    let read = |text: String| match text.trim() {
        url if url.starts_with("http://") || url.starts_with("https://") => Ok(url.to_owned()),
        _ => Err(format!(
            "{name}={text:?} is not a URL that begins with http:// or https://"
        )),
    };
    lookup(name).map(read).transpose()
}

fn streaming(lookup: &impl Fn(&str) -> Option<String>) -> Result<bool, String> {
    match lookup("RESPONSE_MODE").as_deref().map(str::trim) {
        None | Some("buffered") => Ok(false),
        Some("stream") => Ok(true),
        Some(other) => Err(format!(
            "RESPONSE_MODE={other:?} is not one of buffered, stream"
        )),
    }
}

fn guardrail(lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<GuardrailConfig>, String> {
    let read = |text: String| {
        let (id, version) = text.trim().rsplit_once(':').unwrap_or((text.trim(), ""));
        let wrong = |(_, why)| format!("GUARDRAIL={text:?} is not id:version; {why}");
        check_guardrail(id, version).map_err(wrong)?;
        Ok(GuardrailConfig {
            stream_processing_mode: None,
            guardrail_identifier: id.to_owned(),
            guardrail_version: version.to_owned(),
            trace: None,
        })
    };
    lookup("GUARDRAIL").map(read).transpose()
}

fn list(lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Vec<String> {
    let text = lookup(name).unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Bare ids, whatever names the operator used; an ARN stays as it is.
fn disabled(
    lookup: &impl Fn(&str) -> Option<String>,
    catalog: &Catalog,
) -> Result<Vec<String>, String> {
    let id = |name: String| match catalog.named(&name) {
        Named::Model(reference) => Ok(reference.model.id.to_string()),
        Named::Opaque => Ok(name),
        Named::Unknown(_) => Err(format!(
            "DISABLED_MODELS holds {name:?}, which is no model's name"
        )),
    };
    list(lookup, "DISABLED_MODELS")
        .into_iter()
        .map(id)
        .collect()
}

fn arns(
    lookup: &impl Fn(&str) -> Option<String>,
    catalog: &Catalog,
) -> Result<Vec<(String, String)>, String> {
    let pair = |item: String| {
        let (arn, model) = item
            .split_once('=')
            .ok_or_else(|| format!("MODEL_ARNS holds {item:?}, which is not arn=model"))?;
        match catalog.named(model) {
            Named::Model(_) if arn.starts_with("arn:") => {
                Ok((arn.trim().to_owned(), model.trim().to_owned()))
            }
            Named::Model(_) => Err(format!(
                "MODEL_ARNS holds {item:?}, which does not begin with an ARN"
            )),
            Named::Opaque | Named::Unknown(_) => Err(format!(
                "MODEL_ARNS holds {item:?}, whose model is not known"
            )),
        }
    };
    list(lookup, "MODEL_ARNS").into_iter().map(pair).collect()
}

fn catalog(lookup: &impl Fn(&str) -> Option<String>) -> Result<Cow<'static, Catalog>, String> {
    let (models, routes) = (lookup("CATALOG_FILE"), lookup("ROUTES_FILE"));
    if models.is_none() && routes.is_none() {
        return Ok(Cow::Borrowed(Catalog::built_in()));
    }
    let (models, routes) = match (models, routes) {
        (Some(models), Some(routes)) => (
            read("CATALOG_FILE", &models)?,
            read("ROUTES_FILE", &routes)?,
        ),
        (Some(_), None) | (None, _) => {
            return Err("CATALOG_FILE and ROUTES_FILE go together: each must fit the other".into());
        }
    };
    load(&models, &routes)
        .map(Cow::Owned)
        .map_err(|error| describe("CATALOG_FILE and ROUTES_FILE", &error))
}

fn read(name: &str, path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| describe(&format!("{name}={path:?}"), &error))
}

fn describe(what: &str, error: &impl Display) -> String {
    format!("{what} cannot be used: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Residency;

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let region = [("AWS_REGION", "us-east-1")];
        let find = |name: &str| {
            variables
                .iter()
                .chain(&region)
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(find)
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = config(&[("DATA_RESIDENCY", "")]).unwrap();
        assert_eq!(config.policy.residency, Residency::Geo);
        assert_eq!(config.policy.max_cost.unwrap().to_string(), "1");
        assert_eq!(config.metrics.as_deref(), Some("BedrockRouter"));
        assert_eq!(config.base_path, "");
    }

    #[test]
    fn what_is_set_is_read() {
        let config = config(&[
            ("DATA_RESIDENCY", "global"),
            ("DEFAULT_BUDGET", "Lower-Cost"),
            ("DISABLED_MODELS", "opus, nova-lite,"),
            ("MODEL_ARNS", "arn:aws:x=opus"),
            ("PAUSED", "true"),
            ("METRICS_NAMESPACE", "off"),
            ("BASE_PATH", "/api/"),
        ])
        .unwrap();
        assert_eq!(config.policy.residency, Residency::Global);
        assert_eq!(config.default_budget, Budget::LowerCost);
        assert_eq!(
            config.policy.disabled,
            ["anthropic.claude-opus-5-5", "amazon.nova-lite-v1:0"]
        );
        assert_eq!(
            config.policy.arns,
            [("arn:aws:x".to_owned(), "opus".to_owned())]
        );
        assert!(config.paused && config.metrics.is_none());
        assert_eq!(config.base_path, "/api");
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn what_is_wrong_is_said() {
        for (name, value, complaint) in [
            ("AWS_REGION", " ", "AWS_REGION is not set"),
            (
                "CORS_ORIGIN",
                "example.com",
                "CORS_ORIGIN holds \"example.com\", which is not an origin such as https://example.com, or *",
            ),
            (
                "MAX_TOKENS",
                "ten",
                "MAX_TOKENS=\"ten\" is not a whole number above zero",
            ),
            (
                "MAX_COST_USD",
                "-1",
                "MAX_COST_USD=\"-1\" is not an amount of US dollars above zero",
            ),
            (
                "DATA_RESIDENCY",
                "mars",
                "DATA_RESIDENCY=\"mars\" is not one of in-region, geo or global",
            ),
            ("PAUSED", "maybe", "PAUSED=\"maybe\" is not true or false"),
            (
                "MODEL_ARNS",
                "opus",
                "MODEL_ARNS holds \"opus\", which is not arn=model",
            ),
            (
                "MODEL_ARNS",
                "x=opus",
                "MODEL_ARNS holds \"x=opus\", which does not begin with an ARN",
            ),
            (
                "MODEL_ARNS",
                "arn:x=nope",
                "MODEL_ARNS holds \"arn:x=nope\", whose model is not known",
            ),
            (
                "DISABLED_MODELS",
                "nope",
                "DISABLED_MODELS holds \"nope\", which is no model's name",
            ),
            (
                "CATALOG_FILE",
                "x",
                "CATALOG_FILE and ROUTES_FILE go together: each must fit the other",
            ),
        ] {
            assert_eq!(config(&[(name, value)]).unwrap_err(), complaint);
        }
    }

    #[test]
    fn configured_files_take_the_place_of_the_built_in_ones() {
        let here = env!("CARGO_MANIFEST_DIR");
        let (models, routes) = (format!("{here}/models.json"), format!("{here}/routes.json"));
        let loaded = config(&[("CATALOG_FILE", &models), ("ROUTES_FILE", &routes)]).unwrap();
        assert_eq!(
            loaded.catalog.models.len(),
            Catalog::built_in().models.len()
        );
        let missing =
            config(&[("CATALOG_FILE", "/nowhere"), ("ROUTES_FILE", &routes)]).unwrap_err();
        assert!(
            missing.starts_with("CATALOG_FILE=\"/nowhere\" cannot be used:"),
            "{missing}"
        );
    }
}
