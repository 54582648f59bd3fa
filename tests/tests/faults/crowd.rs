//! Ten thousand at the log-in at once: each is answered, the process keeps its size, and who is in goes on.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use lethe_tests::{Api, alone};
use serde_json::json;
use tokio::time::Instant;

use super::stage::Stage;

const CROWD: usize = 10_000;
/// Each has as many streams as it may.
const CONNECTIONS: usize = 50;

#[tokio::test]
async fn ten_thousand_at_once_at_the_log_in_are_answered_and_disturb_nobody() {
    let _alone = alone().await;
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let before = stage.resident_mib();
    let clients: Vec<Api> = (0..CONNECTIONS).map(|_| Api::multiplexed(&url)).collect();
    let tenant = stage.run.tenant.clone();
    let crowd = stream::iter(0..CROWD)
        .map(|number| {
            let email = format!("nobody-{number}@example.com");
            let guess = json!({"tenant": tenant, "email": email, "password": "wrong and long enough"});
            let api = clients[number % clients.len()].clone();
            async move { api.post("/v1/sessions", guess).await }
        })
        .buffer_unordered(CROWD)
        .collect::<Vec<_>>();
    let mut slowest = Duration::ZERO;
    let inside = async {
        loop {
            let began = Instant::now();
            let answer = owner.get("/v1/self").await;
            assert!(matches!(answer.status.as_u16(), 200 | 503 | 504), "{}", answer.status);
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let crowd = tokio::select! {
        crowd = crowd => crowd,
        () = inside => unreachable!("he asks until the crowd is gone"),
    };
    let mut answered = BTreeMap::<(u16, String), usize>::new();
    for answer in crowd {
        let (status, code) = answer.problem();
        if matches!(status, 429 | 503) {
            let wait: u32 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
            assert!(wait > 0);
        }
        *answered.entry((status, code.to_owned())).or_default() += 1;
    }
    let grown = stage.resident_mib().saturating_sub(before);
    assert_eq!(answered.values().sum::<usize>(), CROWD);
    // 504: its turn did not come within the gateway's own limit, where the machine has other things to do too.
    assert!(answered.keys().all(|(status, _)| matches!(status, 401 | 429 | 503 | 504)), "{answered:?}");
    assert!(answered.len() > 1, "somebody was looked at, and somebody refused: {answered:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    assert!(grown < 512, "{grown} MiB more");
    owner.get("/v1/self").await.ok();
}
