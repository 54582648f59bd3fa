//! How far each contact's changes are visible.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lethe_ids::{ContactId, TenantId};
use lethe_service::{Database, TenantTx};
use sqlx::{Row, postgres::types::PgInterval};
use uuid::Uuid;

use crate::domain::progress::Progress;

/// The progress of those of `contacts` that have any.
pub(crate) async fn read(
    tx: &mut TenantTx,
    contacts: &BTreeSet<ContactId>,
) -> Result<BTreeMap<ContactId, Progress>, sqlx::Error> {
    let tenant = tx.tenant();
    let contacts: Vec<Uuid> = contacts.iter().map(|contact| contact.uuid()).collect();
    let rows = sqlx::query(
        "select contact_id, incarnation, upto, ahead, withheld from progress
          where tenant_id = $1 and contact_id = any($2)",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            let ahead: Vec<i64> = row.try_get(3)?;
            let progress = Progress {
                incarnation: row.try_get::<i32, _>(1)?.unsigned_abs(),
                upto: row.try_get::<i64, _>(2)?.unsigned_abs(),
                ahead: ahead.into_iter().map(i64::unsigned_abs).collect(),
                withheld: row.try_get(4)?,
            };
            Ok((ContactId::new(row.try_get(0)?), progress))
        })
        .collect()
}

/// Writes the progress of these contacts.
pub(crate) async fn write(
    tx: &mut TenantTx,
    progress: &BTreeMap<ContactId, Progress>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (mut contacts, mut incarnations, mut uptos) = (Vec::new(), Vec::new(), Vec::new());
    let (mut aheads, mut withhelds) = (Vec::new(), Vec::new());
    for (contact, progress) in progress {
        contacts.push(contact.uuid());
        incarnations.push(i32::try_from(progress.incarnation).unwrap_or(i32::MAX));
        uptos.push(number(progress.upto));
        let ahead: Vec<String> = progress.ahead.iter().map(u64::to_string).collect();
        aheads.push(format!("{{{}}}", ahead.join(",")));
        withhelds.push(progress.withheld);
    }
    sqlx::query(
        "insert into progress (tenant_id, contact_id, incarnation, upto, ahead, withheld, gap_since)
         select $1, n.contact, n.incarnation, n.upto, n.ahead::bigint[], n.withheld,
                case when n.ahead <> '{}' then now() end
           from unnest($2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::boolean[])
                as n (contact, incarnation, upto, ahead, withheld)
         on conflict (tenant_id, contact_id) do update
            set incarnation = excluded.incarnation, upto = excluded.upto, ahead = excluded.ahead,
                withheld = excluded.withheld,
                gap_since = case when excluded.gap_since is not null
                                 then coalesce(progress.gap_since, excluded.gap_since) end",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .bind(incarnations)
    .bind(uptos)
    .bind(aheads)
    .bind(withhelds)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many rows a contact has: one or none.
pub(crate) async fn count(tx: &mut TenantTx, contact: ContactId) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let rows: i64 =
        sqlx::query_scalar("select count(*) from progress where tenant_id = $1 and contact_id = $2")
            .bind(tenant.uuid())
            .bind(contact.uuid())
            .fetch_one(&mut **tx)
            .await?;
    Ok(rows.unsigned_abs())
}

/// Deletes a contact's row. Answers how many went.
pub(crate) async fn remove(tx: &mut TenantTx, contact: ContactId) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let gone = sqlx::query("delete from progress where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(gone.rows_affected())
}

/// Contacts whose gap is older than `age`, over all tenants, the oldest first.
pub(crate) async fn gaps(
    db: &Database,
    age: Duration,
    limit: u32,
) -> Result<Vec<(TenantId, ContactId)>, sqlx::Error> {
    let age =
        PgInterval { months: 0, days: 0, microseconds: i64::try_from(age.as_micros()).unwrap_or(i64::MAX) };
    let rows = sqlx::query(
        "select tenant_id, contact_id from progress where gap_since < now() - $1::interval order by gap_since limit $2",
    )
    .bind(age)
    .bind(i64::from(limit))
    .fetch_all(db.jobs())
    .await?;
    rows.iter().map(|row| Ok((TenantId::new(row.try_get(0)?), ContactId::new(row.try_get(1)?)))).collect()
}
