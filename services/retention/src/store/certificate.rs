//! Rows of `certificates`, and the columns of `erasures` that belong to them.

use lethe_ids::{CertificateId, ErasureId};
use lethe_service::TenantTx;
use time::OffsetDateTime;

use super::advance::Lease;

/// Keeps a certificate. The first also keeps the commitment with its nonce, and dates the erasure.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert_certificate(
    tx: &mut TenantTx,
    lease: Lease,
    (id, sequence): (CertificateId, u32),
    envelope: &[u8],
    certified_at: OffsetDateTime,
    opening: Option<(&[u8; 32], &[u8; 32])>,
) -> Result<(), sqlx::Error> {
    let (tenant, erasure) = (lease.tenant.uuid(), lease.erasure.uuid());
    sqlx::query(
        "insert into certificates (tenant_id, certificate_id, erasure_id, sequence, envelope, certified_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(erasure)
    .bind(i16::try_from(sequence).unwrap_or(i16::MAX))
    .bind(envelope)
    .bind(certified_at)
    .execute(&mut **tx)
    .await?;
    if let Some((commitment, nonce)) = opening {
        sqlx::query(
            "update erasures set commitment = $4, nonce = $5, certified_at = $6
             where tenant_id = $1 and erasure_id = $2 and lease_token = $3",
        )
        .bind(tenant)
        .bind(erasure)
        .bind(lease.token)
        .bind(&commitment[..])
        .bind(&nonce[..])
        .bind(certified_at)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The envelope of an erasure's certificate with that sequence.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn certificate(
    tx: &mut TenantTx,
    erasure: ErasureId,
    sequence: u32,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar(
        "select envelope from certificates where tenant_id = $1 and erasure_id = $2 and sequence = $3",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .bind(i16::try_from(sequence).unwrap_or(i16::MAX))
    .fetch_optional(&mut **tx)
    .await
}

/// The envelope of an erasure's newest certificate.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn newest_certificate(
    tx: &mut TenantTx,
    erasure: ErasureId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar(
        "select envelope from certificates where tenant_id = $1 and erasure_id = $2 order by sequence desc limit 1",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Takes the nonce out of its row: only one transaction that commits ever has it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn take_nonce(tx: &mut TenantTx, erasure: ErasureId) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let taken: Option<Option<Vec<u8>>> = sqlx::query_scalar(
        "with kept as (
             select nonce from erasures where tenant_id = $1 and erasure_id = $2 and nonce is not null for update)
         update erasures e set nonce = null from kept
         where e.tenant_id = $1 and e.erasure_id = $2 returning kept.nonce",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(taken.flatten())
}
