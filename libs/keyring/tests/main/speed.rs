//! What the hot path costs. Not a bar for a shared machine, but a tripwire: a hit that takes a trip to a database is a
//! thousand times slower.
//!
//! Measured in the dev profile: a hit 1.9 µs, seal 1 KiB 1.9 µs, open 1 KiB 14 µs (wiping the text, unoptimised).

use std::time::{Duration, Instant};

use lethe_keyring::Purpose;
use uuid::Uuid;

use crate::world::{TENANT, World, subject, unit};

#[tokio::test]
async fn a_hit_stays_in_memory() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    const ROUNDS: u32 = 10_000;
    let text = vec![b'x'; 1024];
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    }
    let hit = begin.elapsed() / ROUNDS;
    let sealer = keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    let begin = Instant::now();
    let mut sealed = Vec::new();
    for _ in 0..ROUNDS {
        sealed = sealer.seal(Purpose::MessageText, Uuid::nil(), 1, &text);
    }
    let seal = begin.elapsed() / ROUNDS;
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        sealer.open(Purpose::MessageText, Uuid::nil(), 1, &sealed).unwrap();
    }
    let open = begin.elapsed() / ROUNDS;
    println!("hit {hit:?}, seal 1 KiB {seal:?}, open 1 KiB {open:?}");
    for cost in [hit, seal, open] {
        assert!(cost < Duration::from_micros(500), "{cost:?}");
    }
}
