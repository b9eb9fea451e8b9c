//! The router's cold start.

use router::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(|config, client| router::routes(App::new(config, client))).await
}
