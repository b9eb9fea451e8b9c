//! `POST /rerank`: documents in the order of their relevance to a query.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::bedrock::{Attempt, Fault, Outcome};
use shared::catalog::{Kind, Rerank};
use shared::cost::{Cost, Usage};
use shared::error::Error;
use shared::http::described::{Refusals, Unanswered, Undecided};
use shared::http::{Call, Payload, bounds, json, parse};
use shared::routing::{Specialist, Wanted, estimate_tokens};
use shared::telemetry::{Record, whole_ms};
use shared::usd::Usd;
use utoipa::ToSchema;

use crate::App;
use crate::specialist::able;

/// What is looked for, and where.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RerankRequest {
    /// The question.
    #[schema(min_length = 1)]
    query: String,
    /// The documents.
    #[schema(min_items = 1, max_items = 1000)]
    documents: Vec<String>,
    /// Only so many of the best; all if absent.
    #[schema(minimum = 1)]
    top_n: Option<usize>,
    /// `auto`, or any name of a model.
    #[schema(example = "auto")]
    model: Option<String>,
    /// Refuse a model that is gone, in place of asking its successor.
    #[serde(default)]
    strict_model: bool,
    /// The most it may cost, in US dollars.
    #[schema(exclusive_minimum = 0)]
    max_cost_usd: Option<Usd>,
    /// The most time it may take, in milliseconds.
    #[schema(minimum = 100, maximum = 86400000)]
    timeout_ms: Option<u64>,
}

/// The documents by relevance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reranked<'a> {
    /// The Lambda request id.
    id: &'a str,
    /// The best first.
    results: Vec<Relevance>,
    /// The id that was invoked.
    model_id: &'a str,
    /// The model's short name.
    model: &'a str,
    /// The Region that was called.
    region: &'a str,
    /// What is billed.
    usage: Queries,
    /// Exact cost; null where the price is unknown.
    cost: Option<Cost>,
    /// Milliseconds from request to answer.
    latency_ms: u64,
    /// Every call.
    attempts: Vec<Attempt>,
    /// What the caller should know.
    warnings: Vec<String>,
}

/// A document's place and relevance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Relevance {
    /// Its place in the request, from 0.
    index: usize,
    /// From 0 to 1; scores of different queries cannot be compared.
    #[serde(alias = "relevance_score")]
    score: f64,
}

/// What a call is billed as: up to a hundred documents are a query, and a long document counts as several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Queries {
    queries: u64,
    /// A document is so long that its parts were counted by our own estimate of its tokens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

/// Orders the documents.
#[utoipa::path(post, path = "/rerank", tag = "models", summary = "Documents by relevance to a query",
    request_body(content = RerankRequest, examples(
        ("documents" = (summary = "Three documents", value = json!({
            "query": "How do I watch over a Kubernetes cluster?",
            "documents": ["How to set up monitoring alerts", "Best Italian restaurants nearby", "Configure Kubernetes probes"] }))),
        ("best" = (summary = "The best one, by a model of your choice", value = json!({
            "query": "pasta", "documents": ["kubernetes", "pasta and pizza"], "topN": 1, "model": "cohere-rerank" }))),
    )),
    responses((status = 200, description = "The order", body = Reranked), Refusals, Undecided, Unanswered))]
pub async fn rerank(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = call.record("/rerank");
    let request = body.0.and_then(|body| parse::<RerankRequest>(&body));
    let answer = match request {
        Ok(request) => app.rerank(&call, &request, &mut record).await,
        Err(error) => Err(error),
    };
    call.conclude(answer, record, app.config.metrics.as_deref())
}

impl App {
    async fn rerank(
        &self,
        call: &Call,
        request: &RerankRequest,
        record: &mut Record,
    ) -> Result<Response, Error> {
        let timeout = bounds(request.max_cost_usd, request.timeout_ms)?;
        let wanted = Wanted::of(request.model.as_deref(), request.strict_model);
        let found = self.specialists(Kind::Rerank, wanted)?;
        let facts = facts(&found.first)?;
        request.check(facts)?;
        let usage = request.queries(facts);
        let price = |place: &Specialist<'_>| Some(place.prices?.per_query? * usage.queries);
        let places = able([found.first].into_iter().chain(found.others), |place| {
            place.afford(price(place), request.max_cost_usd, &self.config.policy)
        })?;
        let asked = self
            .ask_in_turn(
                &places,
                |place| request.body(place),
                |body| request.read(body),
                || call.time_left_within(timeout),
                record,
            )
            .await?;
        let cost = price(asked.place).map(|input| Cost::of(input, Usd::ZERO));
        record.spend(&Usage::default(), cost.map(|cost| cost.total_usd));
        let mut warnings = found.warnings;
        warnings.extend(asked.warnings());
        if cost.is_none() {
            warnings.push(format!("the price of {} is not known", asked.place.id));
        }
        let answer = Reranked {
            id: &call.request_id,
            results: asked.answer,
            model_id: &asked.place.id,
            model: &asked.place.model.name,
            region: &asked.place.region,
            usage,
            cost,
            latency_ms: whole_ms(call.started.elapsed()),
            attempts: asked.attempts,
            warnings,
        };
        Ok(json(StatusCode::OK, &answer, &call.request_id))
    }
}

fn facts<'a>(place: &Specialist<'a>) -> Result<&'a Rerank, Error> {
    let name = &place.model.name;
    place
        .model
        .rerank
        .as_ref()
        .ok_or_else(|| Error::invalid("model", format!("nothing is known of how {name} is asked")))
}

impl RerankRequest {
    fn check(&self, facts: &Rerank) -> Result<(), Error> {
        if self.query.trim().is_empty() {
            return Err(Error::invalid("query", "there is nothing to look for"));
        }
        let most = usize::try_from(facts.max_documents).unwrap_or(usize::MAX);
        match self.documents.len() {
            0 => return Err(Error::invalid("documents", "there are no documents")),
            all if all > most => {
                let words = format!("{all} documents are more than the model's {most}");
                return Err(Error::invalid("documents", words));
            }
            _ => {}
        }
        if let Some(at) = self
            .documents
            .iter()
            .position(|document| document.trim().is_empty())
        {
            return Err(Error::invalid(
                format!("documents[{at}]"),
                "there is nothing in it",
            ));
        }
        if self.top_n == Some(0) {
            return Err(Error::invalid("topN", "topN must be 1 at least"));
        }
        Ok(())
    }

    fn wanted(&self) -> usize {
        self.top_n.unwrap_or(usize::MAX).min(self.documents.len())
    }

    /// What the call is billed as, by Bedrock's price page: documents of which query and text together pass 512 tokens count as
    /// several, a hundred of them are one query.
    fn queries(&self, facts: &Rerank) -> Queries {
        let per_document = u64::from(facts.tokens_per_document);
        let query = u64::from(estimate_tokens(&self.query));
        // How a query is counted that leaves documents no room, no page says: half of the room is theirs at least.
        let room = per_document
            .saturating_sub(query)
            .max(per_document / 2)
            .max(1);
        let (mut documents, mut estimated) = (0, query * 2 > per_document);
        for document in &self.documents {
            // A token is a byte at least.
            let is_surely_short = self.query.len() + document.len()
                <= usize::try_from(per_document).unwrap_or(usize::MAX);
            let tokens = if is_surely_short {
                1
            } else {
                u64::from(estimate_tokens(document))
            };
            // The estimate may be off by a fifth.
            estimated |= tokens * 5 > room * 4;
            documents += tokens.div_ceil(room).max(1);
        }
        Queries {
            queries: documents.div_ceil(u64::from(facts.documents_per_query).max(1)),
            estimated,
        }
    }

    fn body(&self, place: &Specialist<'_>) -> Result<Vec<u8>, Fault> {
        #[derive(Serialize)]
        struct Body<'a> {
            query: &'a str,
            documents: &'a [String],
            top_n: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            api_version: Option<u8>,
        }
        let is_cohere = place
            .model
            .rerank
            .as_ref()
            .is_some_and(|facts| facts.body == "cohere");
        let body = Body {
            query: &self.query,
            documents: &self.documents,
            top_n: self.wanted(),
            api_version: is_cohere.then_some(2),
        };
        serde_json::to_vec(&body).map_err(|error| Fault::new(Outcome::Failed, error.to_string()))
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Relevance>, Fault> {
        #[derive(Deserialize)]
        struct Reply {
            results: Vec<Relevance>,
        }
        let reply: Reply = serde_json::from_slice(body).map_err(Fault::unreadable)?;
        let mut results = reply.results;
        let mut seen = HashSet::new();
        let is_whole = results.iter().all(|one| {
            one.index < self.documents.len() && one.score.is_finite() && seen.insert(one.index)
        });
        if !is_whole || results.len() != self.wanted() {
            return Err(Fault::unreadable(format!(
                "{} results came for {} documents, or not each once",
                results.len(),
                self.wanted()
            )));
        }
        results.sort_by(|a, b| {
            b.score
                .partial_cmp(&a.score)
                .unwrap_or(Ordering::Equal)
                .then(a.index.cmp(&b.index))
        });
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(documents: &[&str]) -> RerankRequest {
        RerankRequest {
            query: "q".into(),
            documents: documents
                .iter()
                .map(|&document| document.to_owned())
                .collect(),
            top_n: None,
            model: None,
            strict_model: false,
            max_cost_usd: None,
            timeout_ms: None,
        }
    }

    const FACTS: Rerank = Rerank {
        max_documents: 1000,
        documents_per_query: 100,
        tokens_per_document: 512,
        body: std::borrow::Cow::Borrowed("cohere"),
    };

    #[test]
    fn a_hundred_documents_are_a_query_and_a_long_one_is_several() {
        let long = "word ".repeat(1300);
        for (documents, queries, estimated) in [
            (vec!["short"; 1], 1, false),
            (vec!["short"; 100], 1, false),
            (vec!["short"; 101], 2, false),
            (vec!["short"; 350], 4, false),
            (vec![long.as_str(); 50], 2, true),
        ] {
            assert_eq!(
                request(&documents).queries(&FACTS),
                Queries { queries, estimated },
                "{}",
                documents.len()
            );
        }
    }

    #[test]
    fn results_are_each_document_once_and_sorted() {
        let request = request(&["a", "b"]);
        let read = |text: &str| request.read(text.as_bytes());
        let sorted = read(r#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}"#).unwrap();
        assert_eq!(
            sorted.iter().map(|one| one.index).collect::<Vec<_>>(),
            [1, 0]
        );
        for wrong in [
            "{}",
            r#"{"results": [{"index": 0, "relevance_score": 0.1}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 0, "relevance_score": 0.2}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.2}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": null}]}"#,
        ] {
            assert_eq!(
                read(wrong).unwrap_err().outcome,
                Outcome::Unreadable,
                "{wrong}"
            );
        }
    }
}
