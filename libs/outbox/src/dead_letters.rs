//! Dead letters: what a consumer gave up on, in a table of the consumer's own service. One never holds back what comes
//! after it. An operator lists them and has them replayed.

use lethe_ids::{EventId, TenantId};
use lethe_service::{Database, Trace};
use sqlx::Row;
use time::OffsetDateTime;

use crate::{Bus, Consume, ConsumeError, Notification, consumer};

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
    /// The handler refused it again.
    #[error("the consumer did not take it: {0}")]
    Refused(&'static str),
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

/// Hands a dead letter to the handler of its consumer once more. When that took it, the letter goes.
///
/// # Errors
/// [`ReplayError`]; the letter then waits on.
pub async fn replay<H: Consume>(bus: &Bus, handler: &H, letter: &DeadLetter) -> Result<(), ReplayError> {
    let mut tx = bus.db.tenant(letter.tenant).await?;
    let row = sqlx::query(
        "select kind, payload, trace_parent, put_at, attempts from dead_letters
          where tenant_id = $1 and consumer = $2 and event_id = $3",
    )
    .bind(letter.tenant.uuid())
    .bind(&letter.consumer)
    .bind(letter.event_id.uuid())
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(ReplayError::Missing)?;
    drop(tx);
    let notification = Notification {
        event_id: letter.event_id,
        tenant: letter.tenant,
        kind: row.try_get(0)?,
        payload: row.try_get::<Vec<u8>, _>(1)?.into(),
        at: row.try_get(3)?,
        attempt: row.try_get::<i32, _>(4)?.unsigned_abs() + 1,
        trace: row.try_get::<Option<String>, _>(2)?.as_deref().and_then(Trace::parse),
        span: tracing::Span::none(),
    };
    let notification = consumer::with_span("replay_dead_letter", notification);
    match handler.consume(vec![notification]).await.into_iter().next() {
        Some(Ok(())) => {}
        Some(Err(ConsumeError::Retry(reason, _) | ConsumeError::Reject(reason))) => {
            return Err(ReplayError::Refused(reason));
        }
        Some(Err(ConsumeError::Unavailable(_))) => return Err(ReplayError::Refused("UNAVAILABLE")),
        None => return Err(ReplayError::Refused(consumer::NO_ANSWER)),
    }
    // After the effect: a crash in between replays once more, which is harmless like any second delivery.
    let mut tx = bus.db.tenant(letter.tenant).await?;
    sqlx::query("delete from dead_letters where tenant_id = $1 and consumer = $2 and event_id = $3")
        .bind(letter.tenant.uuid())
        .bind(&letter.consumer)
        .bind(letter.event_id.uuid())
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
