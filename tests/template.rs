//! The template, the README and the code say the same.

use shared::catalog::{Catalog, Kind, Status};

use crate::lambda::{event, events};

fn file(name: &str) -> String {
    std::fs::read_to_string(events().join("..").join(name)).unwrap()
}

#[test]
fn the_template_may_invoke_what_the_routes_and_the_catalog_say() {
    let template = file("template.yaml");
    let filled = local::iam::fill(&template, Catalog::built_in()).unwrap();
    assert_eq!(filled, template, "run `make iam`");
}

#[test]
fn every_living_model_that_a_caller_may_name_is_in_a_list() {
    let template = file("template.yaml");
    let living = Catalog::built_in().models.iter().filter(|model| {
        let asked = match model.kind {
            Kind::Text => model.capabilities.converse == Some(true),
            // What comes asynchronously only is not asked.
            Kind::Embedding => !model.id.contains("marengo"),
            Kind::Image | Kind::Rerank => true,
            Kind::ImageEdit => false,
        };
        let is_here = model.lifecycle.elsewhere.is_none();
        asked && is_here && model.lifecycle.status != Status::EndOfLife
    });
    for model in living {
        let id = &model.id;
        let has = |what: &str| template.contains(&format!("{what}{id}\""));
        assert!(has("foundation-model/"), "template.yaml lacks {id}");
        let has_profiles = !model.profiles.is_empty();
        assert_eq!(
            has("inference-profile/*."),
            has_profiles,
            "profiles of {id}"
        );
    }
}

#[test]
fn a_model_that_is_routed_to_without_a_permission_is_noticed() {
    let (models, routes) = (file("shared/models.json"), file("shared/routes.json"));
    let other = "anthropic.claude-opus-4-8";
    let changed = routes.replacen(
        "\"candidates\": [",
        &format!("\"candidates\": [\"{other}\", "),
        1,
    );
    let changed = changed.replacen(
        "\"quality\": {",
        &format!("\"quality\": {{\"{other}\": 1, "),
        1,
    );
    let catalog = shared::catalog::load(&models, &changed).unwrap();
    let template = file("template.yaml");
    let filled = local::iam::fill(&template, &catalog).unwrap();
    let here = |text: &str| text.contains(&format!("${{AWS::Region}}::foundation-model/{other}\""));
    assert!(here(&filled) && !here(&template));
}

#[test]
fn every_route_is_in_the_template_the_readme_and_an_event() {
    let (template, readme) = (file("template.yaml"), file("README.md"));
    let names = [
        "invoke-rest",
        "route-rest",
        "compare-rest",
        "openai-chat-rest",
        "openai-models-rest",
        "openai-model-rest",
        "converse-rest",
        "converse-stream-rest",
        "estimate-rest",
        "images-rest",
        "rerank-rest",
        "models-rest",
        "model-rest",
        "health-rest",
        "openapi-rest",
        "embeddings-rest",
        "openai-embeddings-rest",
    ];
    let routes: Vec<_> = local::stack::routes().collect();
    assert_eq!(names.len(), routes.len());
    for (route, name) in routes.into_iter().zip(names) {
        let (method, path) = route.split_once(' ').unwrap();
        // A model may be named by an ARN, which holds slashes.
        let path = match path.starts_with("/model/") {
            true => "/model/{proxy+}".to_owned(),
            false => path.replace("{id}", "{id+}"),
        };
        let method_there =
            template.contains(&format!("Method: {method}\n            Path: {path}\n"));
        assert!(
            method_there || template.contains(&format!("            Path: {path}\n")),
            "template.yaml lacks {route}"
        );
        assert!(
            readme.contains(&format!("`{route}`")),
            "README.md lacks {route}"
        );
        let event = event(name);
        assert!(
            event.contains(&format!("\"resource\": \"{path}\"")) && event.contains(method),
            "{name} is not {route}"
        );
    }
}

#[test]
fn every_setting_is_in_the_readme() {
    let (readme, config) = (file("README.md"), file("shared/src/config.rs"));
    let table = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// | `"));
    let mut settings = 0;
    for name in table.filter_map(|line| line.split('`').next()) {
        assert!(
            readme.contains(&format!("`{name}`")),
            "README.md lacks {name}"
        );
        settings += 1;
    }
    assert!(settings > 10);
}
