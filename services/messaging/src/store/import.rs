//! Imports and their reports.

use lethe_ids::{ConversationId, ImportId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::import::Refusal;

/// An import as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ImportRow {
    import_id: Uuid,
    /// `ImportState`.
    pub(crate) state: i16,
    pub(crate) created_at: OffsetDateTime,
    /// When it last took a chunk.
    pub(crate) updated_at: OffsetDateTime,
    /// When it was finished or expired.
    pub(crate) finished_at: Option<OffsetDateTime>,
    pub(crate) next_chunk: i32,
    pub(crate) lines: i64,
    pub(crate) imported: i64,
    pub(crate) already_there: i64,
    pub(crate) refused: i64,
    /// Of the last chunk.
    pub(crate) last_mac: Option<Uuid>,
    pub(crate) last_imported: i32,
    pub(crate) last_already_there: i32,
    pub(crate) last_refused: i32,
}

impl ImportRow {
    /// Which import.
    pub(crate) fn id(&self) -> ImportId {
        ImportId::new(self.import_id)
    }
}

/// Until the transaction ends nobody else begins an import: so the number of open ones is kept.
pub(crate) async fn lock_open(tx: &mut TenantTx) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('imports' || $1::uuid::text, 0))")
        .bind(tenant.uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query_scalar("select count(*) from imports where tenant_id = $1 and state = 1")
        .bind(tenant.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// The imports of the tenant `$1` for which `$condition` is so.
macro_rules! columns {
    ($condition:literal) => {
        concat!(
            "select import_id, state, created_at, updated_at, finished_at, next_chunk, lines, imported, already_there,
                    refused, last_mac, last_imported, last_already_there, last_refused
               from imports where tenant_id = $1 and ",
            $condition
        )
    };
}

/// Inserts an import; it is open.
pub(crate) async fn insert(tx: &mut TenantTx, import: ImportId, at: OffsetDateTime) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("insert into imports (tenant_id, import_id, created_at, updated_at) values ($1, $2, $3, $3)")
        .bind(tenant.uuid())
        .bind(import.uuid())
        .bind(at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One import.
pub(crate) async fn find(tx: &mut TenantTx, import: ImportId) -> sqlx::Result<Option<ImportRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("import_id = $2"))
        .bind(tenant.uuid())
        .bind(import.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The same, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut TenantTx, import: ImportId) -> sqlx::Result<Option<ImportRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("import_id = $2 for update"))
        .bind(tenant.uuid())
        .bind(import.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The newest imports older than `before`.
pub(crate) async fn list(tx: &mut TenantTx, before: Uuid, most: i64) -> sqlx::Result<Vec<ImportRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("import_id < $2 order by import_id desc limit $3"))
        .bind(tenant.uuid())
        .bind(before)
        .bind(most)
        .fetch_all(&mut **tx)
        .await
}

/// What a chunk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// With the blank ones.
    pub(crate) lines: i64,
    pub(crate) imported: i32,
    pub(crate) already_there: i32,
    pub(crate) refused: i32,
}

/// Notes that the next chunk was taken. The caller holds the lock.
pub(crate) async fn advance(
    tx: &mut TenantTx,
    import: ImportId,
    mac: Uuid,
    counts: Counts,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update imports
            set next_chunk = next_chunk + 1, lines = lines + $4, imported = imported + $5,
                already_there = already_there + $6, refused = refused + $7, last_mac = $3, last_imported = $5,
                last_already_there = $6, last_refused = $7, updated_at = $8
          where tenant_id = $1 and import_id = $2",
    )
    .bind(tenant.uuid())
    .bind(import.uuid())
    .bind(mac)
    .bind(counts.lines)
    .bind(counts.imported)
    .bind(counts.already_there)
    .bind(counts.refused)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends an open import: `state` is finished or expired. `false` when it is open no more.
pub(crate) async fn end(
    tx: &mut TenantTx,
    import: ImportId,
    state: i16,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let ended = sqlx::query(
        "update imports set state = $3, finished_at = $4 where tenant_id = $1 and import_id = $2 and state = 1",
    )
    .bind(tenant.uuid())
    .bind(import.uuid())
    .bind(state)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Adds to the report: lines of the file and why they were refused.
pub(crate) async fn refuse(tx: &mut TenantTx, import: ImportId, rows: &[(i64, Refusal)]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let lines: Vec<i64> = rows.iter().map(|(line, _)| *line).collect();
    let column = |text: fn(&Refusal) -> &str| rows.iter().map(|(_, row)| text(row)).collect::<Vec<_>>();
    sqlx::query(
        "insert into refused_rows (tenant_id, import_id, line, field, code, reason)
         select $1, $2, r.line, r.field, r.code, r.reason
           from unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) as r (line, field, code, reason)",
    )
    .bind(tenant.uuid())
    .bind(import.uuid())
    .bind(lines)
    .bind(column(|row| &row.field))
    .bind(column(|row| &row.code))
    .bind(column(|row| &row.reason))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A line of the report.
#[derive(Debug, FromRow)]
pub(crate) struct RefusedRow {
    pub(crate) line: i64,
    pub(crate) field: String,
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// Refused rows after the line `after`.
pub(crate) async fn list_refused(
    tx: &mut TenantTx,
    import: ImportId,
    after: i64,
    most: i64,
) -> sqlx::Result<Vec<RefusedRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select line, field, code, reason from refused_rows
          where tenant_id = $1 and import_id = $2 and line > $3 order by line limit $4",
    )
    .bind(tenant.uuid())
    .bind(import.uuid())
    .bind(after)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}

/// Deletes at most `most` refused rows of an import that ended; the import itself when there is none.
pub(crate) async fn forget(tx: &mut TenantTx, import: ImportId, most: i64) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let gone = sqlx::query(
        "delete from refused_rows where tenant_id = $1 and import_id = $2 and line in
           (select line from refused_rows where tenant_id = $1 and import_id = $2 limit $3)",
    )
    .bind(tenant.uuid())
    .bind(import.uuid())
    .bind(most)
    .execute(&mut **tx)
    .await?;
    if gone.rows_affected() == 0 {
        sqlx::query("delete from imports where tenant_id = $1 and import_id = $2 and state <> 1")
            .bind(tenant.uuid())
            .bind(import.uuid())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// What was said elsewhere stands as sent: these messages were the tenant's, and the conversation was read up to `seq`.
pub(crate) async fn settle(
    tx: &mut TenantTx,
    conversation: ConversationId,
    outbound: &[Uuid],
    seq: i64,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update messages set direction = 2, delivery = 2, sent_at = created_at
          where tenant_id = $1 and message_id = any ($2)",
    )
    .bind(tenant.uuid())
    .bind(outbound)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "update conversations set read_seq = greatest(read_seq, $3) where tenant_id = $1 and conversation_id = $2",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// When the last message of a conversation was said.
pub(crate) async fn last_said(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select created_at from messages where tenant_id = $1 and conversation_id = $2
          order by accepted_seq desc limit 1",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .fetch_optional(&mut **tx)
    .await
}
