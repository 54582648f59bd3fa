//! Log-in records: that somebody tried, and from where (sealed).

use lethe_ids::{LogInRecordId, MemberId, SubjectId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::Row;
use time::OffsetDateTime;

/// A record as it is kept.
#[derive(Clone)]
pub struct LogInRecordRow {
    /// Its id.
    pub id: LogInRecordId,
    /// Whose account.
    pub member: MemberId,
    /// When.
    pub at: OffsetDateTime,
    /// "password".
    pub method: String,
    /// Whether it opened a session.
    pub succeeded: bool,
    /// Sealed: `domain::client::Client`.
    pub client: Vec<u8>,
}

/// Inserts a record that is sealed under the member's `unit`; nothing when that is not his any more: he is being erased.
pub async fn insert(tx: &mut TenantTx, row: &LogInRecordRow, unit: UnitId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into log_in_records (tenant_id, log_in_record_id, member_id, at, method, succeeded, client)
         select $1, $2, $3, $4, $5, $6, $7 from members
          where tenant_id = $1 and member_id = $3 and unit_id = $8 and erased < 2 for share",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.member.uuid())
    .bind(row.at)
    .bind(&row.method)
    .bind(row.succeeded)
    .bind(&row.client)
    .bind(unit.uuid())
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A listed record, with what opens its client.
pub struct Listed {
    /// The record.
    pub row: LogInRecordRow,
    /// The member's subject.
    pub subject: SubjectId,
    /// The member's profile unit.
    pub unit: UnitId,
}

/// A member's records, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    member: MemberId,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<Listed>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select r.log_in_record_id, r.at, r.method, r.succeeded, r.client, m.subject_id::uuid, m.unit_id
           from log_in_records r join members m using (tenant_id, member_id)
          where r.tenant_id = $1 and r.member_id = $2
            and ($3::timestamptz is null or (r.at, r.log_in_record_id) < ($3, $4::uuid))
          order by r.at desc, r.log_in_record_id desc limit $5",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                row: LogInRecordRow {
                    id: LogInRecordId::new(row.try_get(0)?),
                    member,
                    at: row.try_get(1)?,
                    method: row.try_get(2)?,
                    succeeded: row.try_get(3)?,
                    client: row.try_get(4)?,
                },
                subject: SubjectId::new(row.try_get(5)?),
                unit: UnitId::new(row.try_get(6)?),
            })
        })
        .collect()
}
