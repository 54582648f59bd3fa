//! Publishing again what the bus lost. The rows of a life that ended, past what was kept of it, lose their mark, and the
//! relay finds them like new ones. This goes through the partitions block by block and waits whenever much is queued, so
//! that new events are not held up and memory stays small whatever the size of the loss.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lethe_service::{Job, Progress};
use sqlx::{Row, types::time::OffsetDateTime};

use super::{RelayConfig, Signals};
use crate::{Bus, Outbox};

/// Pages of 8 KiB in one statement: some thousand rows.
const BLOCKS: i64 = 64;

/// The job. Only the relay that holds slot 0 does it.
pub(super) fn job(bus: &Bus, config: &Arc<RelayConfig>, signals: Signals, outbox: &Outbox) -> Job {
    let Signals { keeper, lost, deep } = signals;
    let (bus, config, outbox) = (bus.clone(), config.clone(), outbox.clone());
    let interval = Duration::from_millis(config.check_ms);
    let tasks = bus.tasks.clone();
    Job::every("requeue_outbox", &tasks, interval, Some(lost), move || {
        let requeue = Requeue {
            bus: bus.clone(),
            config: config.clone(),
            keeper: keeper.clone(),
            deep: deep.clone(),
            outbox: outbox.clone(),
        };
        async move { requeue.round().await }
    })
}

struct Requeue {
    bus: Bus,
    config: Arc<RelayConfig>,
    keeper: Arc<AtomicBool>,
    deep: Arc<AtomicBool>,
    outbox: Outbox,
}

/// A piece of the outbox; the default partition has no bounds.
struct Partition {
    id: i64,
    low: Option<OffsetDateTime>,
    high: Option<OffsetDateTime>,
    blocks: i64,
}

impl Requeue {
    /// One life that ended, if there is one that is not dealt with.
    async fn round(&self) -> Result<Progress, sqlx::Error> {
        if !self.keeper.load(Ordering::Relaxed) {
            return Ok(Progress::Idle);
        }
        let ended = sqlx::query(
            "select stream_no, kept_until from stream_positions
              where kept_until is not null and not requeued order by stream_no limit 1",
        )
        .fetch_optional(self.bus.db.jobs())
        .await?;
        let Some(ended) = ended else { return Ok(Progress::Idle) };
        let (life, kept): (i32, i64) = (ended.try_get(0)?, ended.try_get(1)?);
        let mut requeued = 0;
        for partition in self.partitions().await? {
            let mut block = 0;
            while block < partition.blocks {
                if !self.room().await? {
                    return Ok(Progress::Idle);
                }
                requeued += self.blocks(&partition, block, life, kept).await?;
                block += BLOCKS;
                self.deep.store(true, Ordering::Relaxed);
                self.outbox.wake();
            }
        }
        sqlx::query("update stream_positions set requeued = true where stream_no = $1 and kept_until = $2")
            .bind(life)
            .bind(kept)
            .execute(self.bus.db.jobs())
            .await?;
        tracing::info!(life, requeued, "lost events are queued again");
        Ok(Progress::More)
    }

    async fn partitions(&self) -> Result<Vec<Partition>, sqlx::Error> {
        let rows = sqlx::query(
            "select partition::oid::bigint, low, high, pg_relation_size(partition) / 8192 as blocks
               from outbox_partitions_v1() order by low desc nulls last",
        )
        .fetch_all(self.bus.db.jobs())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Partition {
                    id: row.try_get(0)?,
                    low: row.try_get(1)?,
                    high: row.try_get(2)?,
                    blocks: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Waits until few enough events are queued. `false`: we are no longer the one to do it.
    async fn room(&self) -> Result<bool, sqlx::Error> {
        let full = i32::try_from(self.config.requeue_backlog).unwrap_or(i32::MAX);
        loop {
            if !self.keeper.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let queued: i32 = sqlx::query_scalar("select outbox_backlog_v1($1)")
                .bind(full)
                .fetch_one(self.bus.db.jobs())
                .await?;
            if queued < full {
                return Ok(true);
            }
            if !self.bus.tasks.rest(Duration::from_millis(self.config.poll_ms)).await {
                return Ok(false);
            }
        }
    }

    /// Takes the mark from what was lost in a run of pages.
    async fn blocks(&self, of: &Partition, from: i64, life: i32, kept: i64) -> Result<u64, sqlx::Error> {
        let done = sqlx::query(
            "update outbox set stream_no = null, stream_seq = null
              where tableoid = $1::bigint::oid
                and created_at >= coalesce($2::timestamptz, '-infinity') and created_at < coalesce($3::timestamptz, 'infinity')
                and ctid >= $4::text::tid and ctid < $5::text::tid
                and stream_no = $6 and stream_seq > $7",
        )
        .bind(of.id)
        .bind(of.low)
        .bind(of.high)
        .bind(format!("({from},0)"))
        .bind(format!("({},0)", from + BLOCKS))
        .bind(life)
        .bind(kept)
        .execute(self.bus.db.jobs())
        .await?;
        Ok(done.rows_affected())
    }
}
