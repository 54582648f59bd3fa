//! Which secrets have rows, for the sweep of those that nobody uses.

use std::collections::HashSet;

use lethe_keyring::SecretId;
use lethe_service::TenantTx;
use uuid::Uuid;

/// Those of `asked` that a row of the tenant uses. The ids of fenced contacts are among them: they are the purge's.
pub(crate) async fn owned(tx: &mut TenantTx, asked: &[SecretId]) -> sqlx::Result<Vec<SecretId>> {
    let tenant = tx.tenant();
    let (mut subjects, mut units): (Vec<Uuid>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for id in asked {
        match id {
            SecretId::Subject(id) => subjects.push(id.uuid()),
            SecretId::Unit(id) => units.push(id.uuid()),
        }
    }
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select subject_id::uuid from contact_subjects where tenant_id = $1 and subject_id = any ($2)
         union all
         select unit_id from contacts where tenant_id = $1 and unit_id = any ($3)
         union all
         select unit_id from merged_contacts where tenant_id = $1 and unit_id = any ($3)
         union all
         select unit_id from conversation_units where tenant_id = $1 and unit_id = any ($3)
         union all
         select next_unit_id from conversation_units where tenant_id = $1 and next_unit_id = any ($3)
         union all
         select hold_subject from fences where tenant_id = $1 and hold_subject = any ($2)
         union all
         select endpoint_id from webhook_endpoints where tenant_id = $1 and endpoint_id = any ($2)
         union all
         select unit_id from webhook_endpoints where tenant_id = $1 and unit_id = any ($3)
         union all
         select unit_id from webhook_secrets where tenant_id = $1 and unit_id = any ($3)",
    )
    .bind(tenant.uuid())
    .bind(subjects)
    .bind(units)
    .fetch_all(&mut **tx)
    .await?;
    let found: HashSet<Uuid> = found.into_iter().collect();
    let is_found = |id: &SecretId| match id {
        SecretId::Subject(id) => found.contains(&id.uuid()),
        SecretId::Unit(id) => found.contains(&id.uuid()),
    };
    Ok(asked.iter().copied().filter(is_found).collect())
}
