//! `Job::every`: at once while there is more, later when idle, slower when it fails, and it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};
use tokio::{sync::Notify, time::Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// Runs a job whose n-th round answers by `round`, and stops when `rounds` have been; answers how long it took.
async fn run(
    rounds: u32,
    wake: Option<Arc<Notify>>,
    round: fn(u32) -> Result<Progress, std::io::Error>,
) -> Duration {
    let tasks = Tasks::new();
    let (count, done) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let (counted, finished) = (count.clone(), done.clone());
    let job = Job::every("test.job", &tasks, INTERVAL, wake, move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        if number + 1 == rounds {
            finished.notify_one();
        }
        async move { round(number) }
    });
    let started = Instant::now();
    tasks.spawn(job.name, job.run);
    done.notified().await;
    let took = started.elapsed();
    assert!(
        tasks.shut_down(Duration::from_millis(1)).await,
        "it ends when it is asked to, whatever it waits for"
    );
    took
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_at_once_while_there_is_more_and_rests_when_idle() {
    assert_eq!(run(10, None, |_| Ok(Progress::More)).await, Duration::ZERO);
    assert_eq!(run(4, None, |_| Ok(Progress::Idle)).await.as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_waits_longer_after_each_failure_and_never_more_than_half_a_minute() {
    let fail = |_| Err(std::io::Error::other("away"));
    assert_eq!(run(4, None, fail).await.as_secs(), 1 + 2 + 4);
    assert_eq!(run(9, None, fail).await.as_secs(), 1 + 2 + 4 + 8 + 16 + 30 + 30 + 30);
    // One success, and it begins again.
    let once = |round| if round == 3 { Ok(Progress::Idle) } else { Err(std::io::Error::other("away")) };
    assert_eq!(run(6, None, once).await.as_secs(), 1 + 2 + 4 + 1 + 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_woken_when_idle_but_not_out_of_a_backoff() {
    let wake = Arc::new(Notify::new());
    wake.notify_one();
    assert_eq!(run(3, Some(wake.clone()), |_| Ok(Progress::Idle)).await.as_secs(), 1);
    wake.notify_one();
    assert_eq!(run(3, Some(wake), |_| Err(std::io::Error::other("away"))).await.as_secs(), 3);
}

/// A store that fell silent is waited for a quarter of an hour; then the round begins anew.
#[tokio::test(start_paused = true)]
async fn a_round_that_never_ends_is_given_up() {
    let tasks = Tasks::new();
    let (first, done) = (AtomicU32::new(0), Arc::new(Notify::new()));
    let finished = done.clone();
    let job = Job::every("test.job", &tasks, INTERVAL, None, move || {
        let is_first = first.fetch_add(1, Ordering::Relaxed) == 0;
        let finished = finished.clone();
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            finished.notify_one();
            Ok::<_, std::io::Error>(Progress::Idle)
        }
    });
    let started = Instant::now();
    tasks.spawn(job.name, job.run);
    done.notified().await;
    assert_eq!(started.elapsed().as_secs(), 900 + 1);
    assert!(tasks.shut_down(Duration::from_millis(1)).await);
}
