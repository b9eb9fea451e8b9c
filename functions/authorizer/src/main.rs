//! The cold start of the authorizer, and one question after the other.

use authorizer::{Question, answer};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|event: LambdaEvent<Question>| async move {
        answer(&event.payload)
    }))
    .await
}
