//! Keeping the tables: partitions are made ahead and dropped after 72 hours, the inbox and the tries are forgotten after a week. Goes by
//! PostgreSQL's clock, which stamped the rows. What is not published is never dropped, however old.

use std::time::Duration;

use lethe_service::{Job, Progress};
use sqlx::Row;

use super::RelayConfig;
use crate::{Bus, sweep_consumed};

/// Rows in one sweeping statement.
const SWEEP: u32 = 5_000;

/// The job. Any number of processes may do it at once.
pub(super) fn job(bus: &Bus, config: &RelayConfig) -> Job {
    let bus = bus.clone();
    let tasks = bus.tasks.clone();
    let interval = Duration::from_millis(config.keep_ms);
    Job::every("keep_outbox", &tasks, interval, None, move || {
        let bus = bus.clone();
        async move { keep(&bus).await }
    })
}

async fn keep(bus: &Bus) -> Result<Progress, sqlx::Error> {
    let pool = bus.db.jobs();
    sqlx::query("select outbox_make_partitions_v1()").execute(pool).await?;
    let old = sqlx::query(
        "select partition::text from outbox_partitions_v1() p
          where high <= now() - interval '72 hours'
            and not exists (select 1 from outbox o
                             where o.created_at >= p.low and o.created_at < p.high and o.stream_seq is null)",
    )
    .fetch_all(pool)
    .await?;
    for partition in old {
        let name: String = partition.try_get(0)?;
        let dropped: bool = sqlx::query_scalar("select outbox_drop_partition_v1($1::regclass)")
            .bind(&name)
            .fetch_one(pool)
            .await?;
        tracing::info!(partition = name, dropped, "a partition of the outbox is past its time");
    }
    // The default partition is not dropped, so its rows go one by one.
    let stray = sqlx::query(
        "delete from outbox where ctid = any (array(
             select ctid from outbox where tableoid = 'outbox_default'::regclass
                and created_at < now() - interval '72 hours' and stream_seq is not null limit $1))
           and tableoid = 'outbox_default'::regclass",
    )
    .bind(i64::from(SWEEP))
    .execute(pool)
    .await?
    .rows_affected();
    let forgotten = sweep_consumed(&bus.db, SWEEP).await?;
    Ok(if stray.max(forgotten) >= u64::from(SWEEP) { Progress::More } else { Progress::Idle })
}
