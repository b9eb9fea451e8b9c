//! Asking models that do not converse: one place after the other, until one answers.

use std::time::{Duration, Instant};

use shared::bedrock::{Attempt, Fault, Invoked, Limits, Outcome, in_region, invoke};
use shared::catalog::Kind;
use shared::error::Error;
use shared::routing::{Specialist, Specialists, Wanted, specialists};
use shared::telemetry::{self, Record, whole_ms};

use crate::App;

/// The longest that one place may take: an order comes in seconds.
const LONGEST: Duration = Duration::from_secs(20);

/// An answer, and how it was come by.
#[derive(Debug)]
pub(crate) struct Asked<'a, T> {
    pub(crate) place: &'a Specialist<'a>,
    pub(crate) answer: T,
    /// Every call.
    pub(crate) attempts: Vec<Attempt>,
}

impl<T> Asked<'_, T> {
    /// Of the places that did not answer.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let failed = self
            .attempts
            .iter()
            .filter(|attempt| attempt.outcome != "answered");
        failed.map(|attempt| format!("{} did not answer: {}", attempt.model_id, attempt.outcome))
    }
}

/// The places that will do; where none does, why the first one does not.
pub(crate) fn able<'a>(
    places: impl Iterator<Item = Specialist<'a>>,
    check: impl Fn(&Specialist<'a>) -> Result<(), Error>,
) -> Result<Vec<Specialist<'a>>, Error> {
    let (mut able, mut refusal) = (Vec::new(), None);
    for place in places {
        match check(&place) {
            Ok(()) => able.push(place),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    match refusal {
        Some(error) if able.is_empty() => Err(error),
        Some(_) | None => Ok(able),
    }
}

impl App {
    /// The models of a kind that may serve today.
    pub(crate) fn specialists(
        &self,
        kind: Kind,
        wanted: Wanted<'_>,
    ) -> Result<Specialists<'_>, Error> {
        if self.config.paused {
            return Err(Error::Paused);
        }
        specialists(
            &self.config.catalog,
            &self.config.policy,
            kind,
            wanted,
            telemetry::today(),
        )
    }

    /// Asks one place after the other.
    ///
    /// # Errors
    /// The fault of the last that was asked; one that no other place would cure ends it at once.
    pub(crate) async fn ask_in_turn<'a, T>(
        &self,
        places: &'a [Specialist<'a>],
        body: impl Fn(&Specialist<'_>) -> Result<Vec<u8>, Fault>,
        read: impl Fn(&[u8]) -> Result<T, Fault>,
        time_left: impl Fn() -> Duration,
        record: &mut Record,
    ) -> Result<Asked<'a, T>, Error> {
        let mut attempts = Vec::new();
        let mut last = None;
        for (number, place) in places.iter().enumerate() {
            let time = time_left().min(LONGEST);
            if time.is_zero() {
                break;
            }
            record.model_id = Some(place.id.clone());
            record.fallbacks = number;
            let began = Instant::now();
            let is_last = number + 1 == places.len();
            let limits = Limits {
                time,
                attempts: if is_last { 2 } else { 1 },
            };
            let answer = match body(place) {
                Ok(body) => self.invoke_at(place, body, limits).await,
                Err(fault) => Err(fault),
            };
            let answer = answer.and_then(|body| read(&body));
            attempts.push(Attempt {
                model_id: place.id.clone(),
                outcome: answer
                    .as_ref()
                    .map_or_else(|fault| fault.outcome.kind(), |_| "answered"),
                latency_ms: whole_ms(began.elapsed()),
            });
            match answer {
                Ok(answer) => {
                    return Ok(Asked {
                        place,
                        answer,
                        attempts,
                    });
                }
                Err(fault) if fault.outcome.is_worth_another_model() => last = Some(fault),
                Err(fault) => return Err(Error::bedrock(fault, attempts)),
            }
        }
        let out_of_time = || Fault::new(Outcome::TimedOut, "there was no time left to ask");
        Err(Error::bedrock(last.unwrap_or_else(out_of_time), attempts))
    }

    async fn invoke_at(
        &self,
        place: &Specialist<'_>,
        body: Vec<u8>,
        limits: Limits,
    ) -> Result<Vec<u8>, Fault> {
        let client = in_region(&self.client, &place.region);
        let Invoked { body, .. } = invoke(&client, &place.id, body, limits).await?;
        Ok(body)
    }
}
