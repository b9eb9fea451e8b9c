//! The OpenAPI document of all functions, made from their types.

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{OpenApi as Described, RefOr, Schema};
use utoipa::{Modify, OpenApi};

/// The document, made from the types.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn document() -> Result<String, String> {
    let text = whole()
        .to_pretty_json()
        .map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// What all functions have to tell, set right.
fn whole() -> Described {
    let mut document = router::openapi::Document::openapi();
    document.merge(embeddings::openapi::Document::openapi());
    for modifier in [&Sigv4 as &dyn Modify, &OpenAnswers, &OneKey] {
        modifier.modify(&mut document);
    }
    document
}

/// Requests are signed with AWS Signature Version 4; the extension is API Gateway's own.
struct Sigv4;

impl Modify for Sigv4 {
    fn modify(&self, document: &mut Described) {
        let extension = ExtensionsBuilder::new()
            .add("x-amazon-apigateway-authtype", "awsSigv4")
            .build();
        let mut key = ApiKeyValue::with_description(
            "Authorization",
            "AWS Signature Version 4, service execute-api",
        );
        key.extensions = Some(extension);
        if let Some(components) = &mut document.components {
            components.add_security_scheme("sigv4", SecurityScheme::ApiKey(ApiKey::Header(key)));
        }
    }
}

/// The catalog's types are strict when its file is read; in answers, more fields may come, and they stand among others.
struct OpenAnswers;

impl Modify for OpenAnswers {
    fn modify(&self, document: &mut Described) {
        let schemas = document
            .components
            .iter_mut()
            .flat_map(|components| &mut components.schemas);
        for (name, schema) in schemas {
            let RefOr::T(Schema::Object(object)) = schema else {
                continue;
            };
            let of_the_catalog = [
                "Model",
                "Limits",
                "Capabilities",
                "Prices",
                "TokenPrices",
                "LongContext",
                "Profile",
                "Lifecycle",
                "Embedding",
                "Images",
                "Rerank",
                "Sources",
            ];
            let is_closed = matches!(
                object.additional_properties.as_deref(),
                Some(AdditionalProperties::FreeForm(false))
            );
            if of_the_catalog.contains(&name.as_str()) && is_closed {
                object.additional_properties = None;
            }
        }
    }
}

/// A union is an object with one key, and no other.
struct OneKey;

impl Modify for OneKey {
    fn modify(&self, document: &mut Described) {
        let schemas = document
            .components
            .iter_mut()
            .flat_map(|components| components.schemas.values_mut());
        schemas.for_each(close_unions);
    }
}

fn close_unions(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::OneOf(union)) => {
            for part in &mut union.items {
                if let RefOr::T(Schema::Object(part)) = part
                    && part.properties.len() == 1
                    && part.required.len() == 1
                {
                    part.additional_properties =
                        Some(Box::new(AdditionalProperties::FreeForm(false)));
                }
                close_unions(part);
            }
        }
        RefOr::T(Schema::Array(list)) => {
            if let ArrayItems::RefOrSchema(items) = &mut list.items {
                close_unions(items);
            }
        }
        RefOr::T(Schema::Object(object)) => object.properties.values_mut().for_each(close_unions),
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use router::openapi::FINISHED;

    use super::*;

    #[test]
    fn what_is_served_is_what_the_types_say() {
        assert!(
            document().unwrap() == FINISHED,
            "openapi.json is not what the types say; run `make openapi`"
        );
    }

    #[test]
    fn every_route_is_described() {
        let described: Vec<_> = whole()
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = [("GET", item.get.is_some()), ("POST", item.post.is_some())];
                methods
                    .into_iter()
                    .filter(|(_, is)| *is)
                    .map(move |(method, _)| format!("{method} {path}"))
            })
            .collect();
        let mut routes: Vec<_> = crate::stack::routes().map(str::to_owned).collect();
        routes.sort_unstable_by_key(|route| {
            route
                .split_once(' ')
                .map(|(method, path)| (path.to_owned(), method.to_owned()))
        });
        assert_eq!(described, routes);
    }
}
