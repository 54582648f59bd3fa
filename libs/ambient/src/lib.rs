//! What a process would otherwise reach out for: time, entropy, tasks. All are values that are handed in, so a test
//! fixes them. Clippy bans the reaching out everywhere else (`clippy.toml`).

mod clock;
mod entropy;
mod planted;
mod sensitive;
mod tasks;

pub use clock::Clock;
pub use entropy::Entropy;
pub use planted::{Planted, planted};
pub use sensitive::Sensitive;
pub use tasks::Tasks;
