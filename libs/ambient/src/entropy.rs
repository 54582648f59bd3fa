//! Random bytes and new ids.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::digest;
use uuid::{Builder, Uuid};

use crate::Clock;

/// A source of random bytes: the operating system's by way of AWS-LC, or a seeded sequence in tests.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded { seed: u64, drawn: Arc<AtomicU64> },
}

impl Entropy {
    /// Cryptographically secure bytes.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same bytes for the same seed: tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded { seed, drawn: Arc::new(AtomicU64::new(0)) })
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system has no entropy: nothing safe can go on then.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives entropy"),
            Source::Seeded { seed, drawn } => {
                for chunk in bytes.chunks_mut(32) {
                    let mut input = [0; 16];
                    input[..8].copy_from_slice(&seed.to_be_bytes());
                    input[8..].copy_from_slice(&drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
                    let block = digest::digest(&digest::SHA256, &input);
                    chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
                }
            }
        }
        bytes
    }

    /// A UUID of version 7 (RFC 9562): ordered by `clock`, to the millisecond.
    pub fn uuid7(&self, clock: &Clock) -> Uuid {
        let millis = u64::try_from(clock.millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A UUID of version 4: tells nothing, not even when it was made.
    pub fn uuid4(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_clones_go_on_with_it() {
        let (a, b) = (Entropy::seeded(7), Entropy::seeded(7));
        let first: [u8; 40] = a.bytes();
        assert_eq!(first, b.bytes::<40>());
        assert_ne!(first, a.clone().bytes::<40>());
        assert_ne!(first, Entropy::seeded(8).bytes::<40>());
    }

    #[test]
    fn uuid7_orders_by_the_clock() {
        let (clock, entropy) = (Clock::fixed(time::OffsetDateTime::UNIX_EPOCH), Entropy::seeded(1));
        let first = entropy.uuid7(&clock);
        clock.advance(std::time::Duration::from_millis(1));
        assert!(entropy.uuid7(&clock) > first);
        assert_eq!(first.get_version_num(), 7);
    }
}
