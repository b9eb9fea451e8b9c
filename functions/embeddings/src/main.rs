//! The cold start of the embeddings function.

use embeddings::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(|config, client| embeddings::routes(App { config, client })).await
}
