//! Lambda stops a function between calls. Meanwhile its connections are closed at the other end; the next call must not pay for that.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::bedrock::{Bedrock, Wire};
use crate::event;
use crate::function::Function;

const FROZEN: Duration = Duration::from_secs(60);

/// Freezes a router for a minute while its connections go, by every wire, and looks at the first answer after it.
pub(crate) async fn check(bootstrap: &Path, folder: &Path) {
    let (http, reset, http1, http2) = tokio::join!(
        thaw(bootstrap, folder, Wire::Http, false),
        thaw(bootstrap, folder, Wire::Http, true),
        thaw(bootstrap, folder, Wire::TlsHttp1, false),
        thaw(bootstrap, folder, Wire::Tls, false),
    );
    for (name, time) in [
        ("HTTP, closed", http),
        ("HTTP, reset", reset),
        ("TLS, HTTP/1.1", http1),
        ("TLS, HTTP/2", http2),
    ] {
        println!("{name:<15} answered {time:.1?} after a minute's freeze, at the first attempt");
    }
}

async fn thaw(bootstrap: &Path, folder: &Path, wire: Wire, reset: bool) -> Duration {
    let folder = folder.join(format!("freeze-{wire:?}"));
    std::fs::create_dir_all(&folder).unwrap();
    let bedrock = Bedrock::start(wire, &folder).await;
    if reset {
        bedrock.will_reset();
    }
    let mut function = Function::start(bootstrap, &bedrock, &[]).await;
    let event = event(false);
    for _ in 0..3 {
        function.time(&event).await;
    }
    function.freeze();
    bedrock.hang_up();
    tokio::time::sleep(FROZEN).await;
    let asked = bedrock.requests();
    function.thaw();
    let began = std::time::Instant::now();
    let answer = function.invoke(&event).await;
    let time = began.elapsed();
    answer.must_be_good();
    let whole: Value = serde_json::from_str(&answer.text()).unwrap();
    let body: Value = serde_json::from_str(whole["body"].as_str().unwrap()).unwrap();
    let attempts = &body["routing"]["attempts"];
    assert_eq!(
        attempts.as_array().map(Vec::len),
        Some(1),
        "{wire:?}: {attempts}"
    );
    assert_eq!(bedrock.requests() - asked, 1, "{wire:?}");
    time
}
