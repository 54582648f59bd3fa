//! Disbelieves [`Keyring::destroy`]: counts what is really left, as the verify role, by statements of its own that share
//! nothing with the ones that deleted.

use lethe_ids::{SubjectId, TenantId, UnitId};
use sqlx::Row;
use uuid::Uuid;

use crate::{KeyError, Keyring};

/// What is left of secrets that were destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remains {
    /// Secrets still there: the ids asked for, and any unit of the subjects.
    pub secrets: u64,
    /// Ids asked for that have no tombstone.
    pub without_tombstone: u64,
    /// Rows of the blind index that still point to the subjects.
    pub blind_index_rows: u64,
}

impl Remains {
    /// Nothing is left, and nothing can come back.
    pub fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

impl Keyring {
    /// Reads back what the keystore holds of destroyed secrets.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    pub async fn verify_destroyed(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
        units: &[UnitId],
    ) -> Result<Remains, KeyError> {
        let subjects: Vec<Uuid> = subjects.iter().map(|id| id.uuid()).collect();
        let ids: Vec<Uuid> = subjects.iter().copied().chain(units.iter().map(|id| id.uuid())).collect();
        let mut tx = self.0.store.database.verify_tenant(tenant).await?;
        let row = sqlx::query(
            "select
               (select count(*) from secrets where tenant_id = $1
                  and (secret_id = any ($2) or subject_id = any ($3))),
               (select count(*) from unnest($2) wanted (id) where not exists
                  (select from tombstones t where t.tenant_id = $1 and t.secret_id = wanted.id)),
               (select count(*) from blind_index where tenant_id = $1 and subject_id = any ($3))",
        )
        .bind(tenant.uuid())
        .bind(ids)
        .bind(subjects)
        .fetch_one(&mut *tx)
        .await?;
        let count = |index| row.try_get::<i64, _>(index).map(i64::cast_unsigned);
        Ok(Remains { secrets: count(0)?, without_tombstone: count(1)?, blind_index_rows: count(2)? })
    }
}
