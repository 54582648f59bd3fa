//! Heavy tests wait for one another: what one of them measures is not the other's load.

use tokio::sync::{Mutex, MutexGuard};

static HEAVY: Mutex<()> = Mutex::const_new(());

/// Waits until no other heavy test runs; the next one runs when this is dropped.
pub async fn alone() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}
