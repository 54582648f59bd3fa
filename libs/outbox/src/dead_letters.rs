//! Dead letters: what a consumer gave up on, in a table of the consumer's own service. One never holds back what comes
//! after it. An operator lists them and has them replayed.

use std::time::Duration;

use lethe_ids::{EventId, TenantId};
use lethe_service::{BuildError, Database, Trace};
use sqlx::Row;
use time::OffsetDateTime;

use crate::{
    Bus, Notification,
    event::{NATS_MESSAGE_ID, Outgoing},
};

/// How long the bus may take to acknowledge a replayed event.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

/// A dead letter, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose.
    pub tenant: TenantId,
    /// The consumer that gave up.
    pub consumer: String,
    /// The event.
    pub event_id: EventId,
    /// `messaging.message.changed`.
    pub kind: String,
    /// Why, as a code.
    pub reason: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// When it was given up.
    pub died_at: OffsetDateTime,
}

/// Why a replay did not work.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such dead letter, or it was replayed before.
    #[error("there is no such dead letter")]
    Missing,
    /// The bus did not take it.
    #[error("the bus did not take the event")]
    BusAway(#[source] BuildError),
    /// PostgreSQL did not do as asked.
    #[error("PostgreSQL did not do as asked")]
    Sql(#[from] sqlx::Error),
}

/// The oldest `limit` dead letters that wait for an operator, across tenants.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn dead_letters(db: &Database, limit: u32) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let rows = sqlx::query(
        "select tenant_id, consumer, event_id, kind, reason, attempts, died_at from dead_letters
          order by died_at, event_id limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(db.jobs())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(DeadLetter {
                tenant: TenantId::new(row.try_get(0)?),
                consumer: row.try_get(1)?,
                event_id: EventId::new(row.try_get(2)?),
                kind: row.try_get(3)?,
                reason: row.try_get(4)?,
                attempts: row.try_get::<i32, _>(5)?.unsigned_abs(),
                died_at: row.try_get(6)?,
            })
        })
        .collect()
}

/// Puts a dead letter's event on the bus once more, as it was, and takes the letter away. Whoever consumes its kind gets it
/// again, which is harmless like any second delivery; who gave it up and fails again writes a new letter.
///
/// # Errors
/// [`ReplayError`]; the letter then waits on.
pub async fn replay(
    bus: &Bus,
    tenant: TenantId,
    consumer: &str,
    event_id: EventId,
) -> Result<(), ReplayError> {
    let mut tx = bus.db.tenant(tenant).await?;
    let row = sqlx::query(
        "select kind, payload, trace_parent, put_at, xmin::text from dead_letters
          where tenant_id = $1 and consumer = $2 and event_id = $3",
    )
    .bind(tenant.uuid())
    .bind(consumer)
    .bind(event_id.uuid())
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(ReplayError::Missing)?;
    drop(tx);
    let written: String = row.try_get(4)?;
    let event = Outgoing {
        tenant,
        event_id,
        created_at: row.try_get(3)?,
        seq: 0,
        kind: row.try_get(0)?,
        payload: row.try_get(1)?,
        trace_parent: row.try_get(2)?,
    };
    // It has its version already. An id of NATS's own would be taken for a duplicate within the stream's window.
    let mut headers = event.headers();
    headers.insert(NATS_MESSAGE_ID, bus.entropy.uuid4().to_string());
    let subject = event.subject();
    let published = async {
        bus.nats.jetstream().publish_with_headers(subject, headers, event.payload.into()).await?.await
    };
    match tokio::time::timeout(PUBLISHED_WITHIN, published).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(ReplayError::BusAway(error.into())),
        Err(late) => return Err(ReplayError::BusAway(late.into())),
    }
    // After the bus has it: a crash in between replays once more. A letter that was written anew meanwhile stays.
    let mut tx = bus.db.tenant(tenant).await?;
    sqlx::query(
        "delete from dead_letters where tenant_id = $1 and consumer = $2 and event_id = $3 and xmin::text = $4",
    )
    .bind(tenant.uuid())
    .bind(consumer)
    .bind(event_id.uuid())
    .bind(written)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Writes a dead letter down. Twice is as once.
pub(crate) async fn bury(
    bus: &Bus,
    consumer: &str,
    notification: &Notification,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let mut tx = bus.db.tenant(notification.tenant).await?;
    sqlx::query(
        "insert into dead_letters
             (tenant_id, consumer, event_id, kind, payload, trace_parent, put_at, reason, attempts, died_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, consumer, event_id) do update
            set reason = excluded.reason, attempts = excluded.attempts, died_at = excluded.died_at",
    )
    .bind(notification.tenant.uuid())
    .bind(consumer)
    .bind(notification.event_id.uuid())
    .bind(&notification.kind)
    .bind(notification.payload.as_ref())
    .bind(notification.trace.map(Trace::text))
    .bind(notification.at)
    .bind(reason)
    .bind(i32::try_from(notification.attempt).unwrap_or(i32::MAX))
    .bind(bus.clock.now())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
