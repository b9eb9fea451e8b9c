//! The router's cold start.

use mimalloc::MiMalloc;
use router::App;

// A call makes some 650 small allocations, most of them the SDK's. ARCHITECTURE.md has the measurement.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(|config, client| router::routes(App::new(config, client))).await
}
