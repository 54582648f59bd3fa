//! The opt-out list: addresses under the suppression key.

use lethe_ids::ContactId;
use lethe_proto::erasure::Suppression;
use lethe_service::TenantTx;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An address on the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Under the suppression key.
    pub(crate) mac: [u8; 32],
    /// 1 phone, 2 e-mail.
    pub(crate) kind: i16,
    /// Of the suppression key.
    pub(crate) key_version: i32,
    /// Of the rules that made the text.
    pub(crate) normaliser_version: i32,
}

impl Listed {
    /// As it goes to retention.
    pub(crate) fn suppression(&self) -> Suppression {
        Suppression {
            kind: u32::try_from(self.kind).unwrap_or_default(),
            mac: self.mac.to_vec().into(),
            key_version: self.key_version.unsigned_abs(),
            normaliser_version: self.normaliser_version.unsigned_abs(),
        }
    }
}

/// Waits until nobody else in the tenant changes or asks the list about these addresses; until the transaction ends.
/// So a contact created while its address is put on the list either sees the list or is seen. `macs` are sorted.
pub(crate) async fn lock(tx: &mut TenantTx, macs: &[[u8; 32]]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = macs.iter().map(|mac| &mac[..]).collect();
    sqlx::query(
        "select pg_advisory_xact_lock(hashtextextended($1::uuid::text || encode(mac, 'hex'), 0))
           from unnest($2::bytea[]) as mac",
    )
    .bind(tenant.uuid())
    .bind(macs)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether one of these addresses is on the list.
pub(crate) async fn has_any(tx: &mut TenantTx, macs: &[[u8; 32]]) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = macs.iter().map(|mac| &mac[..]).collect();
    sqlx::query_scalar("select exists (select from opt_outs where tenant_id = $1 and mac = any ($2))")
        .bind(tenant.uuid())
        .bind(macs)
        .fetch_one(&mut **tx)
        .await
}

/// Puts addresses on the list.
pub(crate) async fn add(tx: &mut TenantTx, listed: &[Listed]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = listed.iter().map(|one| &one.mac[..]).collect();
    let kinds: Vec<i16> = listed.iter().map(|one| one.kind).collect();
    let keys: Vec<i32> = listed.iter().map(|one| one.key_version).collect();
    let normalisers: Vec<i32> = listed.iter().map(|one| one.normaliser_version).collect();
    sqlx::query(
        "insert into opt_outs (tenant_id, mac, kind, key_version, normaliser_version)
         select $1, mac, kind, key_version, normaliser_version
           from unnest($2::bytea[], $3::smallint[], $4::integer[], $5::integer[])
             as listed (mac, kind, key_version, normaliser_version)
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(macs)
    .bind(kinds)
    .bind(keys)
    .bind(normalisers)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes addresses off the list, under whichever version of the key they stand there.
pub(crate) async fn remove(tx: &mut TenantTx, macs: &[[u8; 32]]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = macs.iter().map(|mac| &mac[..]).collect();
    sqlx::query("delete from opt_outs where tenant_id = $1 and mac = any ($2)")
        .bind(tenant.uuid())
        .bind(macs)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that the others with this contact's addresses are to be opted out, too: as of `at`, so that whoever is at it for
/// an earlier note does not take this one for done.
pub(crate) async fn ask_spread(
    tx: &mut TenantTx,
    contact: ContactId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into opt_out_spreads as s (tenant_id, contact_id, asked_at) values ($1, $2, $3)
         on conflict (tenant_id, contact_id)
         do update set asked_at = greatest(excluded.asked_at, s.asked_at + interval '1 microsecond')",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// When it was noted that they are to be; `None` when they all are.
pub(crate) async fn spread_asked_at(
    tx: &mut TenantTx,
    contact: ContactId,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select asked_at from opt_out_spreads where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// It is tried again after the others.
pub(crate) async fn put_off_spread(
    tx: &mut TenantTx,
    contact: ContactId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update opt_out_spreads set asked_at = greatest($3, asked_at) where tenant_id = $1 and contact_id = $2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// They all are, as of the note of `asked_at`; a later note stays.
pub(crate) async fn end_spread(
    tx: &mut TenantTx,
    contact: ContactId,
    asked_at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("delete from opt_out_spreads where tenant_id = $1 and contact_id = $2 and asked_at = $3")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .bind(asked_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
