//! A rectification that was cut off after its first half leaves a subject findable by an address too many. The keystore
//! has such a subject marked; the service says which addresses it has now, and those stay.

use std::{future::Future, sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::{SubjectId, TenantId};
use lethe_service::{Job, Progress, parts::BuildError};
use time::OffsetDateTime;

use crate::{AddressKind, Keyring, keyring::Mark};

/// How long a change may take before the job ends it, in seconds by the keystore's clock.
const UNSETTLED_FOR_S: u32 = 60;
const INTERVAL: Duration = Duration::from_secs(60);
/// How many subjects one round looks at.
const BATCH: i64 = 500;

impl Keyring {
    /// The job that ends what was begun by [`Keyring::add_addresses`]. `addresses` answers what a subject is findable by
    /// now, normalised; `None` for one that is not there: it is the sweep's or the eraser's.
    pub fn settle_job<F, W>(&self, tasks: &Tasks, addresses: F) -> Job
    where
        F: Fn(TenantId, SubjectId) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Option<Vec<(AddressKind, String)>>, BuildError>> + Send,
    {
        let (keyring, addresses) = (self.clone(), Arc::new(addresses));
        Job::every("keyring.settle_addresses", tasks, INTERVAL, None, move || {
            let (keyring, addresses) = (keyring.clone(), Arc::clone(&addresses));
            async move {
                let settled = keyring.settle(UNSETTLED_FOR_S, &*addresses).await?;
                Ok::<_, BuildError>(if settled > 0 { Progress::More } else { Progress::Idle })
            }
        })
    }

    /// One round over subjects marked for longer than `for_seconds`; answers how many it settled.
    ///
    /// # Errors
    /// When one of them failed: the others are settled all the same.
    pub async fn settle<F, W>(&self, for_seconds: u32, addresses: &F) -> Result<u64, BuildError>
    where
        F: Fn(TenantId, SubjectId) -> W,
        W: Future<Output = Result<Option<Vec<(AddressKind, String)>>, BuildError>>,
    {
        let (mut settled, mut failed) = (0, None);
        for (tenant, subject, mark) in self.0.store.unsettled(for_seconds.into(), BATCH).await? {
            match self.settle_one((tenant, subject), mark, addresses).await {
                Ok(true) => {
                    settled += 1;
                    continue;
                }
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
            // One that cannot be settled is tried again after the others.
            if let Err(error) = self.0.store.put_off_settling(tenant, subject, mark).await {
                failed = Some(error.into());
            }
        }
        failed.map_or(Ok(settled), Err)
    }

    /// Whether it is settled: it is not while nobody is there.
    async fn settle_one<F, W>(
        &self,
        (tenant, subject): (TenantId, SubjectId),
        mark: OffsetDateTime,
        addresses: &F,
    ) -> Result<bool, BuildError>
    where
        F: Fn(TenantId, SubjectId) -> W,
        W: Future<Output = Result<Option<Vec<(AddressKind, String)>>, BuildError>>,
    {
        // Read after the mark: whatever was written before it is seen, and whoever began later settles it himself.
        let Some(present) = addresses(tenant, subject).await? else { return Ok(false) };
        self.settle_addresses(tenant, subject, &present, Some(Mark(mark))).await?;
        Ok(true)
    }
}
