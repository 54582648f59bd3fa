//! How often an event was begun with. The bus counts deliveries; but a process that is restarted while a store is away
//! is handed everything again without having tried anything. So tries are counted here, in the consumer's own database,
//! from the second delivery on: when that database is away nothing is counted, and nothing is begun.

use std::collections::{BTreeMap, HashMap};

use lethe_ids::{EventId, TenantId};
use lethe_service::{Database, TenantTx};

use crate::Notification;

/// Notes that these events are begun with once more. Answers how often each was, the first delivery included.
pub(super) async fn begin(
    db: &Database,
    consumer: &str,
    events: &[&Notification],
) -> Result<HashMap<EventId, u32>, sqlx::Error> {
    let mut tries = HashMap::new();
    for (tenant, ids) in by_tenant(events) {
        let mut tx = db.tenant(tenant).await?;
        let begun: Vec<(uuid::Uuid, i32)> = note(&mut tx, consumer, &ids, 1).await?;
        tx.commit().await?;
        let counted =
            begun.into_iter().map(|(id, tries)| (EventId::new(id), tries.max(0).unsigned_abs() + 1));
        tries.extend(counted);
    }
    Ok(tries)
}

/// Takes back the latest try of these events: what they needed was away.
pub(super) async fn forgive(
    db: &Database,
    consumer: &str,
    events: &[&Notification],
) -> Result<(), sqlx::Error> {
    for (tenant, ids) in by_tenant(events) {
        let mut tx = db.tenant(tenant).await?;
        note(&mut tx, consumer, &ids, -1).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Forgets events that are over.
pub(super) async fn forget(
    db: &Database,
    consumer: &str,
    events: &[&Notification],
) -> Result<(), sqlx::Error> {
    for (tenant, ids) in by_tenant(events) {
        let mut tx = db.tenant(tenant).await?;
        sqlx::query("delete from tries where tenant_id = $1 and consumer = $2 and event_id = any ($3)")
            .bind(tenant.uuid())
            .bind(consumer)
            .bind(&ids)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn note(
    tx: &mut TenantTx,
    consumer: &str,
    ids: &[uuid::Uuid],
    by: i32,
) -> Result<Vec<(uuid::Uuid, i32)>, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "insert into tries (tenant_id, consumer, event_id, tries) select $1, $2, id, $4 from unnest($3::uuid[]) id
             on conflict (tenant_id, consumer, event_id) do update set tries = tries.tries + excluded.tries
         returning event_id, tries",
    )
    .bind(tenant.uuid())
    .bind(consumer)
    .bind(ids)
    .bind(by)
    .fetch_all(&mut **tx)
    .await
}

/// The ids by tenant, each once and ascending, so that two who note the same ones wait for each other in one order.
fn by_tenant(events: &[&Notification]) -> BTreeMap<TenantId, Vec<uuid::Uuid>> {
    let mut tenants: BTreeMap<TenantId, Vec<uuid::Uuid>> = BTreeMap::new();
    for event in events {
        tenants.entry(event.tenant).or_default().push(event.event_id.uuid());
    }
    for ids in tenants.values_mut() {
        ids.sort_unstable();
        ids.dedup();
    }
    tenants
}
