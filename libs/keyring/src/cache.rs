//! Keys in memory: bounded, for minutes by the handed-in clock, wiped when they go. An eviction also stops whatever is
//! on its way into the cache from before it, so that a destroyed key cannot slip back in behind its erasure.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use lethe_ids::{SubjectId, TenantId, UnitId};
use moka::{policy::EvictionPolicy, sync::Cache};
use zeroize::Zeroizing;

use crate::{Sealer, crypto::KEY_LEN};

/// Most units of one subject that are kept; the next one empties its shelf.
const UNITS_OF_A_SUBJECT: usize = 1024;

pub(crate) type Secret = Zeroizing<[u8; KEY_LEN]>;

/// A subject's secret, and the sealers of its units made from it.
pub(crate) struct Shelf {
    pub(crate) secret: Secret,
    units: RwLock<HashMap<UnitId, Sealer>>,
    /// Milliseconds since 1970.
    until: i64,
}

pub(crate) struct Sealers {
    shelves: Cache<(TenantId, SubjectId), Arc<Shelf>>,
    lifetime: i64,
    /// How many evictions there were. Held for reading while something is put in.
    evictions: RwLock<u64>,
}

/// What [`Sealers::put`] needs to know: nothing loaded before an eviction is put in after it.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Sealers {
    pub(crate) fn new(subjects: u64, seconds: u32) -> Self {
        // The wall clock of the cache is only there to drop what nobody asks for again.
        let longest = std::time::Duration::from_secs(seconds.into());
        let shelves = Cache::builder()
            .max_capacity(subjects)
            .time_to_live(longest)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { shelves, lifetime: i64::from(seconds) * 1000, evictions: RwLock::new(0) }
    }

    pub(crate) fn shelf(&self, tenant: TenantId, subject: SubjectId, now: i64) -> Option<Arc<Shelf>> {
        self.shelves.get(&(tenant, subject)).filter(|shelf| now < shelf.until)
    }

    pub(crate) fn sealer(
        &self,
        tenant: TenantId,
        (subject, unit): (SubjectId, UnitId),
        now: i64,
    ) -> Option<Sealer> {
        let shelf = self.shelf(tenant, subject, now)?;
        let units = shelf.units.read().unwrap_or_else(PoisonError::into_inner);
        units.get(&unit).cloned()
    }

    /// Taken before a load begins.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(*self.evictions.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts in a subject's secret and a sealer of it, unless there was an eviction since `ticket`.
    pub(crate) fn put(
        &self,
        ticket: Ticket,
        tenant: TenantId,
        secret: &Secret,
        sealers: impl IntoIterator<Item = Sealer>,
        (subject, now): (SubjectId, i64),
    ) {
        let evictions = self.evictions.read().unwrap_or_else(PoisonError::into_inner);
        if *evictions != ticket.0 {
            return;
        }
        let shelf = self.shelf(tenant, subject, now).unwrap_or_else(|| {
            let shelf = Arc::new(Shelf {
                secret: secret.clone(),
                units: RwLock::default(),
                until: now + self.lifetime,
            });
            self.shelves.insert((tenant, subject), Arc::clone(&shelf));
            shelf
        });
        let mut units = shelf.units.write().unwrap_or_else(PoisonError::into_inner);
        if units.len() >= UNITS_OF_A_SUBJECT {
            units.clear();
        }
        units.extend(sealers.into_iter().map(|sealer| (sealer.unit(), sealer)));
    }

    pub(crate) fn evict(&self, tenant: TenantId, subjects: &[SubjectId]) {
        *self.evictions.write().unwrap_or_else(PoisonError::into_inner) += 1;
        for subject in subjects {
            self.shelves.invalidate(&(tenant, *subject));
        }
    }
}
