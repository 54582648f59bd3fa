//! Secrets are made before the first row that uses them; where that row never came, the secret has no owner and goes
//! after an hour. The service says which of its secrets have rows; one that was seen in use is not asked about again.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    time::Duration,
};

use lethe_ambient::Tasks;
use lethe_ids::{SubjectId, TenantId, UnitId};
use lethe_service::{Job, Progress, parts::BuildError};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Keyring;

/// How old a secret without an owner gets.
pub const UNOWNED_FOR: Duration = Duration::from_secs(3600);
/// How often the sweep runs.
const INTERVAL: Duration = Duration::from_secs(300);
/// How many secrets it looks at in one round.
const BATCH: i64 = 1000;

/// A secret's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretId {
    /// A subject's.
    Subject(SubjectId),
    /// A unit's.
    Unit(UnitId),
}

impl SecretId {
    fn uuid(self) -> Uuid {
        match self {
            Self::Subject(id) => id.uuid(),
            Self::Unit(id) => id.uuid(),
        }
    }
}

impl Keyring {
    /// The job that destroys what nobody uses. `owned` answers which of a tenant's secrets have rows.
    pub fn sweep_job<F, W>(&self, tasks: &Tasks, owned: F) -> Job
    where
        F: Fn(TenantId, Vec<SecretId>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Vec<SecretId>, BuildError>> + Send,
    {
        let keyring = self.clone();
        let owned = std::sync::Arc::new(owned);
        Job::every("keyring.sweep_unowned", tasks, INTERVAL, None, move || {
            let (keyring, owned) = (keyring.clone(), std::sync::Arc::clone(&owned));
            async move {
                let swept = keyring.sweep(&*owned).await?;
                Ok::<_, BuildError>(if swept.more { Progress::More } else { Progress::Idle })
            }
        })
    }

    /// One round of the sweep.
    ///
    /// # Errors
    /// When keystore or `owned` fail; what was done stays done.
    pub async fn sweep<F, W>(&self, owned: &F) -> Result<Swept, BuildError>
    where
        F: Fn(TenantId, Vec<SecretId>) -> W,
        W: Future<Output = Result<Vec<SecretId>, BuildError>>,
    {
        let now = self.0.clock.now();
        let unseen = self.0.store.unseen(now - UNOWNED_FOR, BATCH).await?;
        let full = unseen.len() == usize::try_from(BATCH).unwrap_or(usize::MAX);
        let mut tenants: HashMap<TenantId, Vec<SecretId>> = HashMap::new();
        for (tenant, id, kind) in unseen {
            let id = match kind {
                1 => SecretId::Subject(SubjectId::new(id)),
                _ => SecretId::Unit(UnitId::new(id)),
            };
            tenants.entry(tenant).or_default().push(id);
        }
        let (mut swept, mut failed) = (Swept { destroyed: 0, owned: 0, more: false }, None);
        for (tenant, ids) in tenants {
            match self.sweep_of(tenant, ids, owned, now).await {
                Ok((gone, kept)) => {
                    swept.destroyed += gone;
                    swept.owned += kept;
                }
                // A tenant that cannot be swept keeps the others from nothing.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Without any progress a full batch would come again at once.
        swept.more = full && swept.destroyed + swept.owned > 0;
        Ok(swept)
    }

    /// A tenant's part of a round: how many it destroyed, and how many are in use.
    async fn sweep_of<F, W>(
        &self,
        tenant: TenantId,
        ids: Vec<SecretId>,
        owned: &F,
        now: OffsetDateTime,
    ) -> Result<(u64, u64), BuildError>
    where
        F: Fn(TenantId, Vec<SecretId>) -> W,
        W: Future<Output = Result<Vec<SecretId>, BuildError>>,
    {
        let in_use: HashSet<SecretId> = owned(tenant, ids.clone()).await?.into_iter().collect();
        let (keep, go): (Vec<SecretId>, Vec<SecretId>) = ids.iter().partition(|id| in_use.contains(id));
        let uuids = |ids: &[SecretId]| ids.iter().map(|id| id.uuid()).collect::<Vec<_>>();
        let gone = self.0.store.sweep(tenant, &uuids(&keep), &uuids(&go), now).await?;
        if gone > 0 {
            tracing::info!(%tenant, gone, "destroyed secrets that nobody used");
        }
        Ok((gone, keep.len() as u64))
    }
}

/// What one round of the sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Secrets destroyed.
    pub destroyed: u64,
    /// Secrets seen in use.
    pub owned: u64,
    /// Whether there may be more to look at.
    pub more: bool,
}
