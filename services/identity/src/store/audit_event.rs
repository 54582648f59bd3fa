//! The audit log. Rows are appended; the eraser alone changes one, and only what names a contact.

use lethe_ids::{ApiKeyId, AuditId, ContactId, ErasureId, MemberId, OperatorAccessId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::audit::{Actor, AuditEvent, Salts, Target};

/// Appends an event with its leaf. One of this id that is there already stays as it is.
pub async fn insert(tx: &mut TenantTx, event: &AuditEvent, salts: &Salts) -> Result<(), sqlx::Error> {
    write(tx, event, salts, None).await
}

/// Appends an event about a contact that is being erased: the leaf commits to what it was about, the row has the alias, and
/// the second salt is never written.
pub async fn insert_aliased(
    tx: &mut TenantTx,
    event: &AuditEvent,
    salts: &Salts,
    erasure: ErasureId,
) -> Result<(), sqlx::Error> {
    write(tx, event, salts, Some(erasure)).await
}

async fn write(
    tx: &mut TenantTx,
    event: &AuditEvent,
    salts: &Salts,
    erasure: Option<ErasureId>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    let leaf = event.leaf(salts);
    let shown = match erasure {
        Some(erasure) => event.clone().aliased(erasure),
        None => event.clone(),
    };
    sqlx::query(
        "insert into audit_events (tenant_id, audit_id, at, service, actor_kind, actor_id, action, target_kind,
                                   target_id, contact_id, erasure_id, request_id, salt, about_salt, about_commitment, leaf_hash, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::uuid, $11, $12, $13, $14, $15, $16, $17)
         on conflict (tenant_id, audit_id) do nothing",
    )
    .bind(tenant.uuid())
    .bind(shown.id.uuid())
    .bind(shown.at)
    .bind(&shown.service)
    .bind(shown.actor.kind())
    .bind(shown.actor.id())
    .bind(&shown.action)
    .bind(&shown.target.kind)
    .bind(&shown.target.id)
    .bind(shown.target.contact.map(ContactId::uuid))
    .bind(erasure.map(ErasureId::uuid))
    .bind(&shown.request_id)
    .bind(salts.done.as_slice())
    .bind(erasure.is_none().then_some(salts.about.as_slice()))
    .bind(leaf.about.as_slice())
    .bind(leaf.hash.as_slice())
    .bind(&shown.detail)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Which events a list has. Absent parts do not filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `mem_…`, `key_…` or a service's name.
    pub actor_id: Option<String>,
    /// The RPC's or job's name.
    pub action: Option<String>,
    /// The target's id.
    pub target_id: Option<String>,
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
}

/// Events, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select audit_id, at, service, actor_kind, actor_id, action, target_kind, target_id, contact_id::uuid, request_id, detail
           from audit_events
          where tenant_id = $1
            and ($2::timestamptz is null or (at, audit_id) < ($2, $3::uuid))
            and ($5::text is null or actor_id = $5)
            and ($6::text is null or action = $6)
            and ($7::text is null or target_id = $7)
            and ($8::timestamptz is null or at >= $8)
            and ($9::timestamptz is null or at < $9)
          order by at desc, audit_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(&filter.actor_id)
    .bind(&filter.action)
    .bind(&filter.target_id)
    .bind(filter.from)
    .bind(filter.until)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<AuditEvent, sqlx::Error> {
    let actor_id: String = row.try_get("actor_id")?;
    let actor = match row.try_get::<&str, _>("actor_kind")? {
        "member" => actor_id.parse::<MemberId>().map_or(Actor::Service(actor_id), Actor::Member),
        "operator" => actor_id.parse::<OperatorAccessId>().map_or(Actor::Service(actor_id), Actor::Operator),
        "api_key" => actor_id.parse::<ApiKeyId>().map_or(Actor::Service(actor_id), Actor::ApiKey),
        _ => Actor::Service(actor_id),
    };
    Ok(AuditEvent {
        id: AuditId::new(row.try_get("audit_id")?),
        at: row.try_get("at")?,
        service: row.try_get("service")?,
        actor,
        action: row.try_get("action")?,
        target: Target {
            kind: row.try_get("target_kind")?,
            id: row.try_get("target_id")?,
            contact: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId::new),
        },
        request_id: row.try_get("request_id")?,
        detail: row.try_get("detail")?,
    })
}
