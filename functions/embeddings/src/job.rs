//! From a request in either dialect to the vectors: which model, in which shape, at what cost.

use std::time::{Duration, Instant};

use shared::bedrock::{Fault, Outcome, in_region};
use shared::catalog::{Embedding, Kind};
use shared::cost::{Cost, Usage};
use shared::error::Error;
use shared::http::{Call, way_out};
use shared::routing::{Specialist, Wanted, estimate_tokens, specialists};
use shared::telemetry::{self, Record};
use shared::usd::Usd;

use crate::App;
use crate::batch::{Batched, Way, embed};
use crate::dialect::{Dialect, Purpose, Shape, Truncate};
use crate::input::{Given, Input, Inputs};
use crate::vectors::{Encoding, Vector};

/// What a caller asks for, in whichever dialect.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) given: Given,
    pub(crate) model: Option<String>,
    pub(crate) strict: bool,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) dimensions: Option<u32>,
    pub(crate) normalize: Option<bool>,
    pub(crate) truncate: Truncate,
    pub(crate) encoding: Encoding,
    pub(crate) max_cost: Option<Usd>,
    pub(crate) timeout: Option<Duration>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Embedded<'a> {
    pub(crate) place: Specialist<'a>,
    pub(crate) shape: Shape,
    /// The vectors, each once.
    pub(crate) vectors: Vec<Option<Vector>>,
    /// By place in the request: which vector stands there.
    pub(crate) slots: Vec<usize>,
    /// By vector: why there is none.
    pub(crate) faults: Vec<Option<Fault>>,
    pub(crate) usage: Usage,
    pub(crate) estimated: bool,
    pub(crate) cost: Option<Cost>,
    pub(crate) calls: u32,
    pub(crate) throttled: u32,
    pub(crate) warnings: Vec<String>,
}

/// A job that can be done: by whom, in which shape, and of what.
struct Plan<'a> {
    place: Specialist<'a>,
    dialect: Dialect,
    shape: Shape,
    /// Inputs per call, and tokens per input.
    batch: usize,
    most_tokens: Option<u32>,
    inputs: Inputs,
    images: usize,
    warnings: Vec<String>,
}

impl App {
    /// Makes the vectors of a job. There is one at least; else it is an error.
    pub(crate) async fn embed(
        &self,
        call: &Call,
        job: Job,
        record: &mut Record,
    ) -> Result<Embedded<'_>, Error> {
        if self.config.paused {
            return Err(Error::Paused);
        }
        let (max_cost, timeout) = (job.max_cost, job.timeout);
        let plan = self.plan(job)?;
        let Plan { place, shape, .. } = &plan;
        let answer = shape.encoding.bytes(shape.dimensions) * plan.inputs.slots.len() as u64;
        let advice = "ask for base64, for fewer dimensions, or for fewer inputs at once";
        let way_out = way_out(answer, self.config.streaming, advice)?;
        let time = call.time_to_ask(timeout, way_out);
        if time.is_zero() {
            return Err(no_time(way_out));
        }
        let estimate = estimate(place, &plan.inputs.unique);
        place.afford(estimate, max_cost, &self.config.policy)?;
        record.model_id = Some(place.id.clone());
        let way = Way {
            client: in_region(&self.client, &place.region),
            id: place.id.clone(),
            dialect: plan.dialect,
            shape: plan.shape,
            batch: plan.batch,
            most_tokens: plan.most_tokens,
        };
        let done = embed(way, plan.inputs.unique, Instant::now() + time).await;
        let usage = Usage::of(done.input_tokens, 0);
        let cost = cost(&plan.place, &done, plan.images);
        // What cannot be read is billed all the same.
        if done.input_tokens > 0 || done.vectors.iter().any(Option::is_some) {
            record.spend(&usage, cost.map(|cost| cost.total_usd));
        }
        if done.vectors.iter().all(Option::is_none) {
            return Err(Error::bedrock(worst(done.faults), Vec::new()));
        }
        let mut warnings = plan.warnings;
        warn(&mut warnings, plan.inputs.cut, &done, &plan.place, cost);
        Ok(Embedded {
            place: plan.place,
            shape: plan.shape,
            vectors: done.vectors,
            slots: plan.inputs.slots,
            faults: done.faults,
            usage,
            estimated: done.estimated,
            cost,
            calls: done.calls,
            throttled: done.throttled,
            warnings,
        })
    }

    /// Finds the model and checks everything against it.
    fn plan(&self, job: Job) -> Result<Plan<'_>, Error> {
        let found = specialists(
            &self.config.catalog,
            &self.config.policy,
            Kind::Embedding,
            Wanted::of(job.model.as_deref(), job.strict),
            telemetry::today(),
        )?;
        let (place, mut warnings) = (found.first, found.warnings);
        let (facts, dialect) = spoken(&place)?;
        let shape = shape(&job, &place, facts, dialect, &mut warnings)?;
        let has_images = !job.given.images.is_empty();
        let takes_images = !facts.image_formats.is_empty();
        if has_images && takes_images && !job.given.texts.is_empty() && !dialect.pairs() {
            let words = format!(
                "{} makes no vector of a text and an image together; send one of the two",
                place.model.name
            );
            return Err(Error::invalid("images", words));
        }
        let inputs = job.given.inputs(place.model, facts, shape.truncate)?;
        Ok(Plan {
            dialect,
            shape,
            batch: batch(facts, has_images),
            most_tokens: facts.max_input_tokens,
            images: inputs
                .unique
                .iter()
                .filter(|input| input.image.is_some())
                .count(),
            inputs,
            warnings,
            place,
        })
    }
}

/// There is no time to ask before the answer would have to leave.
fn no_time(way_out: Duration) -> Error {
    let detail = format!(
        "the answer alone needs {} seconds to leave, and there is no more time than that; ask for fewer inputs at once, or for base64",
        way_out.as_secs()
    );
    Error::AnswerTooLarge { detail }
}

/// What is known of the model's vectors, and the dialect that it is asked in.
fn spoken<'a>(place: &Specialist<'a>) -> Result<(&'a Embedding, Dialect), Error> {
    let spoken = place
        .model
        .embedding
        .as_ref()
        .and_then(|facts| Some((facts, Dialect::of(facts)?)));
    spoken.ok_or_else(|| {
        let words = format!(
            "{} answers asynchronously only, which this route does not",
            place.model.name
        );
        Error::invalid("model", words)
    })
}

/// Checks what the vectors are to be against what the model can make.
fn shape(
    job: &Job,
    place: &Specialist<'_>,
    facts: &Embedding,
    dialect: Dialect,
    warnings: &mut Vec<String>,
) -> Result<Shape, Error> {
    let name = &place.model.name;
    let dimensions = job.dimensions.unwrap_or(facts.default_dimensions);
    if !facts.dimensions.contains(&dimensions) {
        let known: Vec<_> = facts.dimensions.iter().map(u32::to_string).collect();
        let words = format!(
            "{name} makes vectors of {} dimensions, not of {dimensions}",
            known.join(", ")
        );
        return Err(Error::invalid("dimensions", words));
    }
    let element = job.encoding.element();
    if element != "float" && !facts.types.iter().any(|known| known == element) {
        let known: Vec<_> = facts
            .types
            .iter()
            .filter(|known| *known != "float")
            .map(AsRef::as_ref)
            .collect();
        let words = match known.as_slice() {
            [] => format!("{name} makes floats only; encoding may be float or base64"),
            known => format!(
                "{name} makes no {element}; encoding may be float, base64, {}",
                known.join(", ")
            ),
        };
        return Err(Error::invalid("encoding", words));
    }
    if job.normalize == Some(true) && element != "float" {
        warnings.push(format!("normalize does nothing for {element}"));
    }
    if job.purpose.is_some() && !dialect.knows_purpose() {
        warnings.push(format!("{name} makes the same vectors for every purpose"));
    }
    Ok(Shape {
        dimensions,
        chosen: facts.dimensions.len() > 1,
        normalize: job.normalize,
        purpose: job.purpose.unwrap_or_default(),
        truncate: job.truncate,
        encoding: job.encoding,
    })
}

fn batch(facts: &Embedding, has_images: bool) -> usize {
    let most = if has_images {
        facts.max_images.unwrap_or(1)
    } else {
        facts.max_batch
    };
    usize::try_from(most).unwrap_or(1)
}

/// What the inputs will cost, by our estimate of their tokens.
fn estimate(place: &Specialist<'_>, inputs: &[Input]) -> Option<Usd> {
    let texts = inputs.iter().filter_map(|input| input.text.as_deref());
    let tokens = texts.map(|text| u64::from(estimate_tokens(text))).sum();
    let images = inputs.iter().filter(|input| input.image.is_some()).count();
    price(place, tokens, images as u64)
}

fn price(place: &Specialist<'_>, tokens: u64, images: u64) -> Option<Usd> {
    let prices = place.prices?;
    let texts = if tokens == 0 {
        Usd::ZERO
    } else {
        prices.standard.as_ref()?.input?.times(tokens)
    };
    let images = if images == 0 {
        Usd::ZERO
    } else {
        prices.per_input_image? * images
    };
    Some(texts + images)
}

/// What it has cost; an image that failed is not billed.
fn cost(place: &Specialist<'_>, done: &Batched, images: usize) -> Option<Cost> {
    let failed = done.faults.iter().flatten().count();
    let images = images.saturating_sub(failed) as u64;
    price(place, done.input_tokens, images).map(|input| Cost::of(input, Usd::ZERO))
}

/// Of all faults the one to tell when nothing came: one that passes, if there is one.
fn worst(faults: Vec<Option<Fault>>) -> Fault {
    let mut faults: Vec<_> = faults.into_iter().flatten().collect();
    let telling = faults
        .iter()
        .position(|fault| fault.outcome.passes())
        .unwrap_or(0);
    if faults.is_empty() {
        return Fault::new(Outcome::Failed, "no call ended");
    }
    faults.swap_remove(telling)
}

fn warn(
    warnings: &mut Vec<String>,
    mut cut: Vec<usize>,
    done: &Batched,
    place: &Specialist<'_>,
    cost: Option<Cost>,
) {
    cut.extend(&done.cut);
    cut.sort_unstable();
    cut.dedup();
    if !cut.is_empty() {
        warnings.push(format!(
            "{} of the texts were longer than the model takes, and were cut as truncate says",
            cut.len()
        ));
    }
    if done.scaled > 0 {
        warnings.push(format!(
            "{} of the vectors did not come with the length of 1; they were scaled to it",
            done.scaled
        ));
    }
    let failed = done.faults.iter().flatten().count();
    if failed > 0 {
        warnings.push(format!(
            "{failed} of {} inputs failed; errors says why",
            done.faults.len()
        ));
    }
    if cost.is_none() {
        warnings.push(format!(
            "the price of {} is not known for all that was used",
            place.id
        ));
    }
}
