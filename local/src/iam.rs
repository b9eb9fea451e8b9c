//! What the functions may invoke, from the catalog and the routes: the lists of ARNs in `template.yaml`.
//!
//! A list stands between `# <iam NAME>` and `# </iam>`. Everything around it is written by hand.

use std::collections::BTreeSet;

use shared::catalog::{Catalog, Kind, Model, Status};
use shared::telemetry;

/// Fills every list of a template anew.
///
/// # Errors
/// Where a list has no end, or a name that is not known.
pub fn fill(template: &str, catalog: &Catalog) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut lines = template.lines();
    while let Some(line) = lines.next() {
        filled += line;
        filled.push('\n');
        let Some(name) = line.trim().strip_prefix("# <iam ") else {
            continue;
        };
        let name = name.trim_end_matches('>');
        let indent = line.len() - line.trim_start().len();
        for arn in list(name, catalog).ok_or_else(|| format!("no list is called {name:?}"))? {
            filled += &format!(
                "{:indent$}- !Sub \"arn:${{AWS::Partition}}:bedrock:{arn}\"\n",
                ""
            );
        }
        let end = lines.find(|line| line.trim() == "# </iam>");
        filled += end.ok_or_else(|| format!("the list {name:?} has no end"))?;
        filled.push('\n');
    }
    Ok(filled)
}

/// The ARNs of a list, from the Region on.
fn list(name: &str, catalog: &Catalog) -> Option<Vec<String>> {
    let routed = routed(catalog);
    let is_routed = |model: &Model| routed.contains(model.id.as_ref());
    let text = |model: &Model| model.kind == Kind::Text;
    let here = |model: &Model| format!("${{AWS::Region}}::foundation-model/{}", model.id);
    let anywhere = |model: &Model| format!("*::foundation-model/{}", model.id);
    let profiles = |model: &Model| {
        let own = "${AWS::Region}:${AWS::AccountId}";
        format!("{own}:inference-profile/*.{}", model.id)
    };
    let has_profiles = |model: &Model| !model.profiles.is_empty();
    let embeds = |model: &Model| model.kind == Kind::Embedding;
    let by_big = |model: &Model| {
        ["Amazon", "Anthropic", "OpenAI", "Meta"].contains(&model.provider.as_ref())
    };
    let chosen = |model: &Model| text(model) && is_routed(model);
    let rest = |model: &Model| text(model) && !is_routed(model);
    let models = |wanted: &dyn Fn(&Model) -> bool, arn: &dyn Fn(&Model) -> String| {
        let wanted = callable(catalog).filter(|model| wanted(model));
        wanted.map(arn).collect()
    };
    Some(match name {
        "routed" => models(&chosen, &here),
        "routed-profiles" => models(&|model| chosen(model) && has_profiles(model), &profiles),
        "routed-destinations" => models(&|model| chosen(model) && has_profiles(model), &anywhere),
        "rest-1" => models(&|model| rest(model) && by_big(model), &anywhere),
        "rest-2" => models(&|model| rest(model) && !by_big(model), &anywhere),
        "rest-profiles" => models(&|model| rest(model) && has_profiles(model), &profiles),
        "specialists" => models(
            &|model| matches!(model.kind, Kind::Image | Kind::Rerank),
            &anywhere,
        ),
        "embeddings" => models(&embeds, &anywhere),
        "embeddings-profiles" => models(&|model| embeds(model) && has_profiles(model), &profiles),
        _ => return None,
    })
}

/// Models that a caller may name, by id.
fn callable(catalog: &Catalog) -> impl Iterator<Item = &Model> {
    let mut models: Vec<&Model> = catalog
        .models
        .iter()
        .filter(|model| {
            let is_asked = match model.kind {
                Kind::Text => model.capabilities.converse == Some(true),
                // What answers asynchronously only has no route, and neither has what changes images.
                Kind::Embedding => {
                    let body = model.embedding.as_ref().map(|facts| facts.body.as_ref());
                    body.is_some_and(|body| !body.starts_with("marengo"))
                }
                Kind::Image | Kind::Rerank => true,
                Kind::ImageEdit => false,
            };
            let is_here = model.lifecycle.elsewhere.is_none();
            is_asked && is_here && model.lifecycle.status != Status::EndOfLife
        })
        .collect();
    models.sort_by(|a, b| a.id.cmp(&b.id));
    models.into_iter()
}

/// Models that `auto` may choose, those that are compared or estimated when none are named, and those that answer in the place of dead
/// ones.
fn routed(catalog: &Catalog) -> BTreeSet<&str> {
    let usual = catalog.compare.iter().chain(catalog.estimate.iter());
    let usual = usual.filter_map(|at| catalog.model(*at));
    let dead = |model: &&Model| model.lifecycle.status == Status::EndOfLife;
    let successors = catalog.models.iter().filter(dead);
    let successors = successors.filter_map(|model| catalog.successor(model, telemetry::today()));
    let ranked = catalog
        .routes
        .iter()
        .flat_map(|route| route.candidates.iter());
    let models = ranked.filter_map(|ranked| catalog.model(ranked.model));
    let all = models.chain(usual).chain(successors);
    all.map(|model| model.id.as_ref()).collect()
}
