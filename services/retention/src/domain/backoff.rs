//! How long a step that failed waits before it is tried again.

use std::time::Duration;

/// Doubles from `first` to `most`, and never gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Backoff {
    /// The wait after `attempts` failures.
    pub fn after(self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_most() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(600) };
        let waits: Vec<_> = [0, 1, 2, 3, 10, 11, u32::MAX].map(|n| backoff.after(n).as_secs()).to_vec();
        assert_eq!(waits, [1, 1, 2, 4, 512, 600, 600]);
    }
}
