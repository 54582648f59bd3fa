//! Rows of `erasure_steps`.

use lethe_ids::ErasureId;
use lethe_service::TenantTx;
use sqlx::{FromRow, Row, postgres::PgRow};

use super::damaged;
use crate::domain::{Code, Stage, Step};

/// A step's row.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// What the order of the steps needs to know.
    pub stage: Stage,
    /// What the participant answered, encoded.
    pub answer: Option<Vec<u8>>,
}

impl FromRow<'_, PgRow> for StepRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            stage: Stage {
                step: row.try_get::<&str, _>("step")?.parse().map_err(|_| damaged("step"))?,
                participant: usize::try_from(row.try_get::<i16, _>("position")?).ok(),
                done_at: row.try_get("done_at")?,
                attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
                waits_for: row.try_get::<Option<&str>, _>("waits_for")?.map(Code::of_reason),
                next_attempt_at: row.try_get("next_attempt_at")?,
            },
            answer: row.try_get("answer")?,
        })
    }
}

/// The position of a step's row.
pub(super) fn position(participant: Option<usize>) -> i16 {
    participant.and_then(|position| i16::try_from(position).ok()).unwrap_or(-1)
}

/// Lays out all steps of an erasure with so many participants.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn plan(tx: &mut TenantTx, id: ErasureId, participants: usize) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    for step in Step::ALL {
        let positions =
            if step.is_participants() { (0..participants).map(Some).collect() } else { vec![None] };
        for participant in positions {
            sqlx::query(
                "insert into erasure_steps (tenant_id, erasure_id, step, position) values ($1, $2, $3, $4)",
            )
            .bind(tenant)
            .bind(id.uuid())
            .bind(step.text())
            .bind(position(participant))
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// All steps of an erasure, in a fixed order.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn steps(tx: &mut TenantTx, id: ErasureId) -> Result<Vec<StepRow>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(
        "select step, position, attempts, waits_for, next_attempt_at, done_at, answer from erasure_steps
         where tenant_id = $1 and erasure_id = $2 order by position, step",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_all(&mut **tx)
    .await
}
