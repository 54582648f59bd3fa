//! Sealed headers and wrapped keys seen in raw bytes: each once, with how often and where first in each store.

use std::collections::{BTreeMap, HashMap};

use lethe_keyring::{header::Header, kms::BLOB_LEN, wrapped::Wrapped};

use crate::Place;

/// Most different headers, and most different keys, that are kept.
const MOST: usize = 4_000_000;

/// Where something was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    /// How often.
    pub count: u64,
    /// By store: where first.
    pub first: BTreeMap<String, Place>,
}

/// What was gathered.
#[derive(Debug, Default)]
pub struct Harvest {
    /// Headers of sealed values.
    pub headers: HashMap<Header, Sightings>,
    /// Secrets as a keystore wraps them.
    pub wrapped: HashMap<Wrapped, Sightings>,
    /// Tenant keys as the local key service wraps them.
    pub tenant_keys: HashMap<[u8; BLOB_LEN], Sightings>,
    /// Seen, but not kept: there were too many different ones.
    pub dropped: u64,
}

impl Harvest {
    pub(crate) fn header(&mut self, header: Header, place: &Place) {
        sight(&mut self.headers, header, place, &mut self.dropped);
    }

    pub(crate) fn wrapped(&mut self, wrapped: Wrapped, place: &Place) {
        sight(&mut self.wrapped, wrapped, place, &mut self.dropped);
    }

    pub(crate) fn tenant_key(&mut self, blob: [u8; BLOB_LEN], place: &Place) {
        sight(&mut self.tenant_keys, blob, place, &mut self.dropped);
    }
}

fn sight<K: std::hash::Hash + Eq>(
    all: &mut HashMap<K, Sightings>,
    what: K,
    place: &Place,
    dropped: &mut u64,
) {
    if all.len() >= MOST && !all.contains_key(&what) {
        *dropped += 1;
        return;
    }
    let sightings = all.entry(what).or_default();
    sightings.count += 1;
    if !sightings.first.contains_key(&place.store) {
        sightings.first.insert(place.store.clone(), place.clone());
    }
}
