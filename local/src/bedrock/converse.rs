//! `POST /model/{id}/converse` and `converse-stream`: checked as Bedrock checks it, answered by nobody.

use serde_json::Value;
use shared::catalog::{Catalog, Kind, Model, Scope, Status};
use shared::telemetry;

use super::{Bedrock, Refusal, answer, check, fitness};

/// Answers a Converse request.
///
/// # Errors
/// The refusal that Bedrock would send.
pub fn converse(bedrock: &Bedrock, id: &str, body: &[u8], stream: bool) -> Result<Value, Refusal> {
    let model = model(&bedrock.catalog, &bedrock.region, id)?;
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Refusal::new("SerializationException", "the body is not JSON"))?;
    if id.contains(":prompt/") {
        return check::stored_prompt(&body)
            .map(|()| answer::reply(model, &body, &mut bedrock.cached()));
    }
    check::request(&body)?;
    if stream
        && body.get("toolConfig").is_some()
        && model.capabilities.streaming_tools == Some(false)
    {
        return Err(Refusal::invalid(
            "This model doesn't support tool use in streaming mode.",
        ));
    }
    fitness::of(model, &body)?;
    Ok(answer::reply(model, &body, &mut bedrock.cached()))
}

/// The model behind an id, if it can be invoked from this Region by that id.
pub(super) fn model<'a>(
    catalog: &'a Catalog,
    region: &str,
    id: &str,
) -> Result<&'a Model, Refusal> {
    // A stored prompt has a model of its own; any that lives will do here.
    if id.contains(":prompt/") {
        let living = catalog.models.iter().find(|model| {
            model.kind == Kind::Text
                && model.capabilities.converse == Some(true)
                && check_alive(model).is_ok()
        });
        return living.ok_or_else(|| Refusal::invalid("The provided model identifier is invalid."));
    }
    let id = id.rsplit('/').next().unwrap_or(id);
    let bare = catalog.models.iter().find(|model| model.id == id);
    let profile = id.split_once('.').and_then(|(prefix, rest)| {
        let model = catalog.models.iter().find(|model| model.id == rest)?;
        Some((Scope::parse(prefix)?, model))
    });
    let unknown = || Refusal::invalid("The provided model identifier is invalid.");
    let (scope, model) = bare
        .map(|model| (Scope::InRegion, model))
        .or(profile)
        .ok_or_else(unknown)?;
    check_alive(model)?;
    let served = model
        .profiles
        .iter()
        .filter(|profile| profile.from.iter().any(|from| from == region));
    let in_region = model.regions.iter().any(|r| r == region);
    match scope {
        Scope::InRegion if in_region => Ok(model),
        Scope::InRegion if served.clone().next().is_some() => Err(Refusal::invalid(format!(
            "Invocation of model ID {id} with on-demand throughput isn\u{2019}t supported. Retry your request with the ID \
             or ARN of an inference profile that contains this model."
        ))),
        Scope::InRegion => Err(unknown()),
        Scope::Geo(_) | Scope::Global => served
            .map(|p| &p.scope)
            .any(|s| *s == scope)
            .then_some(model)
            .ok_or_else(unknown),
    }
}

fn check_alive(model: &Model) -> Result<(), Refusal> {
    let ended = model
        .lifecycle
        .end_of_life
        .is_some_and(|end| end <= telemetry::today());
    if ended || model.lifecycle.status == Status::EndOfLife {
        let message = "This model version has reached the end of its life. Please refer to the AWS documentation for more details.";
        return Err(Refusal::new("ResourceNotFoundException", message));
    }
    Ok(())
}
