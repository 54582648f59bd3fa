//! Waiting on a condition, with a limit.

use std::time::{Duration, Instant};

/// Asks again and again until `condition` holds.
///
/// # Panics
/// When it does not hold within `limit`.
pub async fn within(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "after {limit:?}: not true that {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}
