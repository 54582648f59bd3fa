//! Where the stream stands, against what was marked. A stream that is another one than before (another time of creation),
//! or whose last sequence is below what was marked, has lost events: its life ends and a new one begins.

use std::time::Duration;

use sqlx::Row;
use tokio::time::Instant;

use super::{Relay, RelayError};
use crate::{ensure_stream, incarnation};

/// A life of the stream: what was published in it is marked with its number.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) no: i32,
    /// When NATS created the stream.
    pub(super) identity: String,
    /// Its last sequence when we looked.
    pub(super) last: u64,
}

/// How long NATS may take to describe the stream.
const ANSWER: Duration = Duration::from_secs(3);

impl Relay {
    /// The present life's number, looked at anew when that is due or the connection was made again.
    pub(super) async fn position(&mut self) -> Result<i32, RelayError> {
        let connects = self.connected();
        if let Some(life) = &self.life
            && Instant::now() < self.check_at
            && connects == self.connects
        {
            return Ok(life.no);
        }
        // First what was marked, then the stream: in good health the stream is never behind.
        let marked = sqlx::query(
            "select stream_no, identity, last_seq from stream_positions order by stream_no desc limit 1",
        )
        .fetch_optional(self.bus.db.jobs())
        .await?;
        let stream =
            tokio::time::timeout(ANSWER, ensure_stream(&self.bus.nats, self.area, &self.config.stream))
                .await
                .map_err(|_| RelayError::BusAway)?
                .map_err(|error| RelayError::Stream(error.into()))?;
        let info = stream.cached_info();
        let identity = info.created.unix_timestamp_nanos().to_string();
        let last = info.state.last_sequence;
        self.incarnation = incarnation(&self.bus.db).await?;
        let no = match marked {
            None => self.begin(0, &identity, 0, last).await?,
            Some(row) => {
                let (no, before, position): (i32, String, i64) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                if before != identity {
                    self.begin(no, &identity, 0, last).await?
                } else if last < position.unsigned_abs() {
                    self.begin(no, &identity, self.surely_kept(last), last).await?
                } else {
                    no
                }
            }
        };
        self.life = Some(Life { no, identity, last });
        self.connects = connects;
        self.check_at = Instant::now() + Duration::from_millis(self.config.check_ms);
        Ok(no)
    }

    /// The bus gave out a place that was taken before: it forgot what was there.
    pub(super) async fn fell_behind(&mut self, life: i32, first: u64) -> Result<(), RelayError> {
        if let Some(Life { identity, last, .. }) = self.life.take() {
            let kept = self.surely_kept(first.saturating_sub(1));
            self.begin(life, &identity, kept, last.min(kept)).await?;
        }
        Ok(())
    }

    /// Before the first relay notices that the stream fell back to `last`, each of the others may have published a batch.
    fn surely_kept(&self, last: u64) -> u64 {
        last.saturating_sub(16 * u64::from(self.config.batch))
    }

    /// Ends the life `was` of which `kept` is left, and begins the next one at `at`.
    async fn begin(&self, was: i32, identity: &str, kept: u64, at: u64) -> Result<i32, RelayError> {
        let no: i32 = sqlx::query_scalar("select stream_begin_v1($1, $2, $3, $4)")
            .bind(was)
            .bind(identity)
            .bind(i64::try_from(kept).unwrap_or(i64::MAX))
            .bind(i64::try_from(at).unwrap_or(i64::MAX))
            .fetch_one(self.bus.db.jobs())
            .await?;
        if was > 0 {
            tracing::warn!(
                area = self.area,
                life = no,
                kept,
                "the stream lost events: they are published again"
            );
        }
        self.lost.notify_one();
        Ok(no)
    }
}
