//! The rights ledger: append-only objects outside every instance that is backed up. A restored backup is replayed from it
//! before it opens, so an erasure's entry is durable before the first secret dies.
//!
//! Each tenant has a chain of its own, `v1/<tenant>/<number>.json`, numbered from 1 without gaps. An entry carries the
//! SHA-256 of the whole object before it. Objects are made with create-if-absent: two writers that want the same number are
//! told apart by the store, not by a lock, and the loser takes the next number.

mod entry;
mod objects;

use lethe_ids::TenantId;
use time::OffsetDateTime;

pub use entry::{Census, Entry, Erasure, Record, SuppressedAddress, Suppression};
pub use objects::{Objects, ObjectsConfig, PutError};

use crate::certificate::{Digest, LedgerReference};

/// How often an append makes way for other writers before it gives up.
const MOST_RACES: usize = 64;

/// Why the ledger was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store is away or full.
    #[error("the ledger's store failed")]
    Store(#[from] std::io::Error),
    /// An object is missing, unreadable or does not carry the digest of the one before.
    #[error("the chain of {tenant} is broken at entry {number}")]
    Broken {
        /// Whose chain.
        tenant: TenantId,
        /// The first number that does not fit.
        number: u64,
    },
    /// Other writers were faster each time.
    #[error("too many writers at once")]
    Crowded,
}

/// Writes and reads the ledger. Clones share its store.
#[derive(Debug, Clone)]
pub struct Ledger {
    objects: Objects,
}

/// An entry with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Number and digest.
    pub reference: LedgerReference,
    /// What it says.
    pub entry: Entry,
}

impl Ledger {
    /// A ledger in these objects.
    pub fn new(objects: Objects) -> Self {
        Self { objects }
    }

    /// Records that an erasure was confirmed and fenced, or that addresses stay blocked. Durable when it returns; a second
    /// call for the same, no longer after `since` than a saga lasts, answers the entry of the first.
    ///
    /// # Errors
    /// When the store fails, or the end of the chain is damaged.
    pub async fn record(
        &self,
        record: Record,
        since: OffsetDateTime,
        recorded_at: OffsetDateTime,
    ) -> Result<LedgerReference, LedgerError> {
        let tenant = record.tenant();
        let mut head = self.head(tenant).await?;
        if let Some(placed) = self.find(tenant, head, &record, since).await? {
            // An earlier try may have died between making the entry and making it durable.
            self.objects.make_durable(&key(tenant, placed.entry.number)).await?;
            return Ok(placed.reference);
        }
        for _ in 0..MOST_RACES {
            let previous = match head {
                0 => Digest([0; 32]),
                number => self.read(tenant, number).await?.reference.digest,
            };
            let number = head + 1;
            let (erasure, suppression) = match record.clone() {
                Record::Erasure(erasure) => (Some(erasure), None),
                Record::Suppression(suppression) => (None, Some(suppression)),
            };
            let entry = Entry { version: 1, number, previous, recorded_at, erasure, suppression };
            let bytes = entry.encode();
            let digest = Digest::of(&bytes);
            match self.objects.put_if_absent(&key(tenant, number), bytes).await {
                Ok(()) => return Ok(LedgerReference { number, digest }),
                Err(PutError::Exists) => head = number,
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(LedgerError::Crowded)
    }

    /// The tenant's whole chain from its beginning, each link checked: what a restore replays.
    ///
    /// # Errors
    /// [`LedgerError::Broken`] at the first entry that does not fit.
    pub async fn replay(&self, tenant: TenantId) -> Result<Vec<Placed>, LedgerError> {
        let head = self.head(tenant).await?;
        let (mut chain, mut previous) = (Vec::new(), Digest([0; 32]));
        for number in 1..=head {
            let placed = self.read(tenant, number).await?;
            if placed.entry.previous != previous {
                return Err(LedgerError::Broken { tenant, number });
            }
            previous = placed.reference.digest;
            chain.push(placed);
        }
        Ok(chain)
    }

    /// Looks for the record's entry from the end, no further back than `since`.
    async fn find(
        &self,
        tenant: TenantId,
        head: u64,
        record: &Record,
        since: OffsetDateTime,
    ) -> Result<Option<Placed>, LedgerError> {
        for number in (1..=head).rev() {
            let placed = self.read(tenant, number).await?;
            if record.is_in(&placed.entry) {
                return Ok(Some(placed));
            }
            if placed.entry.recorded_at < since {
                break;
            }
        }
        Ok(None)
    }

    /// The number of the last entry; 0 when there is none.
    async fn head(&self, tenant: TenantId) -> Result<u64, LedgerError> {
        let numbers = self.objects.list(&prefix(tenant)).await?;
        Ok(numbers.iter().filter_map(|key| key.strip_suffix(".json")?.parse().ok()).max().unwrap_or(0))
    }

    async fn read(&self, tenant: TenantId, number: u64) -> Result<Placed, LedgerError> {
        let broken = || LedgerError::Broken { tenant, number };
        let bytes = self.objects.get(&key(tenant, number)).await?.ok_or_else(broken)?;
        let entry = Entry::decode(&bytes)
            .filter(|entry| entry.number == number && entry.tenant() == Some(tenant))
            .ok_or_else(broken)?;
        Ok(Placed { reference: LedgerReference { number, digest: Digest::of(&bytes) }, entry })
    }
}

/// The folder of a tenant's chain.
fn prefix(tenant: TenantId) -> String {
    format!("v1/{tenant}/")
}

fn key(tenant: TenantId, number: u64) -> String {
    // Padded, so that a listing is in order.
    format!("{}{number:012}.json", prefix(tenant))
}
