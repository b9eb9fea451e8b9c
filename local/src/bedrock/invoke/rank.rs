//! Rerank models.

use serde_json::{Map, Value, json};
use shared::catalog::Model;

use super::super::list;
use super::meaning::likeness;
use super::{Reply, malformed, only, sized, text};

pub(super) fn rank(model: &Model, fields: &Map<String, Value>) -> Reply {
    let is_cohere = model.provider == "Cohere";
    let own: &[&str] = if is_cohere {
        &["query", "documents", "top_n", "api_version"]
    } else {
        &["query", "documents", "top_n"]
    };
    only("#", fields, own)?;
    if is_cohere && fields.get("api_version") != Some(&json!(2)) {
        return Err(malformed("#/api_version", "expected minimum value: 2"));
    }
    let query = text(fields, "query", usize::MAX)?;
    let body = Value::Object(fields.clone());
    let documents = list(&body, "documents");
    if documents.is_empty() || documents.len() > 1000 {
        let words = format!("expected item count: 1 to 1000, found: {}", documents.len());
        return Err(malformed("#/documents", &words));
    }
    let mut results = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let document = document.as_str().unwrap_or_default();
        sized(&format!("#/documents/{index}"), document, usize::MAX)?;
        results.push((index, likeness(query, document)));
    }
    let top = match fields.get("top_n") {
        None => documents.len(),
        Some(top) => {
            let top = top
                .as_u64()
                .and_then(|top| usize::try_from(top).ok())
                .unwrap_or(0);
            if top == 0 || top > documents.len() {
                return Err(malformed("#/top_n", "expected a number of documents"));
            }
            top
        }
    };
    results.sort_by(|a, b| b.1.total_cmp(&a.1));
    results.truncate(top);
    let results: Value = results
        .iter()
        .map(|(index, score)| json!({ "index": index, "relevance_score": score }))
        .collect();
    Ok((json!({ "results": results }), None))
}
