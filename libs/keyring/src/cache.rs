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
        // Otherwise the key would stay in a queue of the cache, unwiped, until somebody uses it again.
        self.shelves.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use lethe_ambient::Entropy;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_on_its_way_before_an_eviction_is_not_put_in_after_it() {
        let (tenant, subject) = (TenantId::new(Uuid::nil()), SubjectId::new(Uuid::nil()));
        let unit = UnitId::new(Uuid::max());
        let sealers = Sealers::new(10, 60);
        let secret = Zeroizing::new([1; KEY_LEN]);
        let sealer = Sealer::of_secrets(tenant, (subject, &secret), (unit, &secret), &Entropy::seeded(1));
        let before = sealers.ticket();
        sealers.evict(tenant, &[subject]);
        sealers.put(before, tenant, &secret, [sealer.clone()], (subject, 0));
        assert!(sealers.sealer(tenant, (subject, unit), 0).is_none());
        sealers.put(sealers.ticket(), tenant, &secret, [sealer], (subject, 0));
        assert!(sealers.sealer(tenant, (subject, unit), 59_999).is_some());
        assert!(sealers.sealer(tenant, (subject, unit), 60_000).is_none());
        sealers.evict(tenant, &[subject]);
        assert!(sealers.sealer(tenant, (subject, unit), 0).is_none());
    }

    #[test]
    fn the_cache_is_bounded() {
        let tenant = TenantId::new(Uuid::nil());
        let sealers = Sealers::new(10, 60);
        let secret = Zeroizing::new([1; KEY_LEN]);
        for number in 0..1000 {
            let subject = SubjectId::new(Uuid::from_u128(number));
            sealers.put(sealers.ticket(), tenant, &secret, [], (subject, 0));
        }
        sealers.shelves.run_pending_tasks();
        assert!(sealers.shelves.entry_count() <= 10);
        let subject = SubjectId::new(Uuid::from_u128(5000));
        for number in 0..3000 {
            let unit = UnitId::new(Uuid::from_u128(number));
            let sealer = Sealer::of_secrets(tenant, (subject, &secret), (unit, &secret), &Entropy::seeded(1));
            sealers.put(sealers.ticket(), tenant, &secret, [sealer], (subject, 0));
        }
        let shelf = sealers.shelf(tenant, subject, 0).unwrap();
        assert!(shelf.units.read().unwrap().len() <= UNITS_OF_A_SUBJECT);
    }
}
