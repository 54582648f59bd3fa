//! Banned addresses, under the suppression key: whoever comes with one begins banned. That a contact is stands in its head.

use lethe_service::TenantTx;

use super::opt_out::Listed;

/// Whether one of these addresses is banned. The caller holds their locks.
pub(crate) async fn has_any(tx: &mut TenantTx, macs: &[[u8; 32]]) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = macs.iter().map(|mac| &mac[..]).collect();
    sqlx::query_scalar("select exists (select from address_bans where tenant_id = $1 and mac = any ($2))")
        .bind(tenant.uuid())
        .bind(macs)
        .fetch_one(&mut **tx)
        .await
}

/// Bans addresses. The caller holds their locks.
pub(crate) async fn add(tx: &mut TenantTx, listed: &[Listed]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    for one in listed {
        sqlx::query(
            "insert into address_bans (tenant_id, mac, kind, key_version, normaliser_version)
             values ($1, $2, $3, $4, $5) on conflict do nothing",
        )
        .bind(tenant.uuid())
        .bind(&one.mac[..])
        .bind(one.kind)
        .bind(one.key_version)
        .bind(one.normaliser_version)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Lifts the bans of addresses, under whichever version of the key they stand there. The caller holds their locks.
pub(crate) async fn remove(tx: &mut TenantTx, macs: &[[u8; 32]]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let macs: Vec<&[u8]> = macs.iter().map(|mac| &mac[..]).collect();
    sqlx::query("delete from address_bans where tenant_id = $1 and mac = any ($2)")
        .bind(tenant.uuid())
        .bind(macs)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
