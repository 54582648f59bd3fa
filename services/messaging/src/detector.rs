//! The spam detector: remembers for some minutes how often a contact wrote and what it repeated, in this process's memory
//! and as hashes under a key that ends with it; asks whether the tenant wants to know; and marks.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lethe_ids::{ContactId, ConversationId, TenantId};
use moka::sync::Cache;
use time::OffsetDateTime;

use crate::{
    api::mark_detected,
    domain::spam::{Lately, MARKED_FROM, score},
    error::Error,
    state::State,
    store::spam::{self, Mark},
};

/// Contacts remembered at a time, of tenants that detect.
const CONTACTS: u64 = 50_000;
/// Messages remembered of each.
const MESSAGES: usize = 32;
const MINUTE: time::Duration = time::Duration::minutes(1);
const TEN_MINUTES: time::Duration = time::Duration::minutes(10);

type Said = Arc<Mutex<Vec<(OffsetDateTime, u64)>>>;

/// What is remembered.
pub(crate) struct Detector {
    tenants: Cache<TenantId, bool>,
    contacts: Cache<(TenantId, ContactId), Said>,
    key: RandomState,
}

impl Detector {
    pub(crate) fn new() -> Self {
        Self {
            tenants: Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build(),
            contacts: Cache::builder().max_capacity(CONTACTS).time_to_idle(Duration::from_secs(600)).build(),
            key: RandomState::new(),
        }
    }

    /// The tenant's settings are read again.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.tenants.invalidate(&tenant);
    }

    /// Adds a message to what the contact did lately.
    fn note(&self, tenant: TenantId, contact: ContactId, text: &str, at: OffsetDateTime) -> Lately {
        let said = self.contacts.get_with((tenant, contact), Said::default);
        let hash = self.key.hash_one(text);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(when, _)| at - *when <= TEN_MINUTES);
        if said.len() >= MESSAGES {
            said.remove(0);
        }
        said.push((at, hash));
        let count = |fits: &dyn Fn(&(OffsetDateTime, u64)) -> bool| {
            u32::try_from(said.iter().filter(|one| fits(one)).count()).unwrap_or(u32::MAX)
        };
        Lately { repeats: count(&|(_, of)| *of == hash), burst: count(&|(when, _)| at - *when <= MINUTE) }
    }
}

impl State {
    /// Looks at an inbound message that was accepted, and marks its conversation where the tenant wants that. A failure is
    /// the operator's to see: the message stands.
    pub(crate) async fn detect_spam(
        &self,
        tenant: TenantId,
        (contact, conversation): (ContactId, ConversationId),
        text: &str,
        at: OffsetDateTime,
    ) {
        if let Err(error) = self.detect(tenant, (contact, conversation), text, at).await {
            tracing::warn!(%error, "a message was not looked at for spam");
        }
    }

    async fn detect(
        &self,
        tenant: TenantId,
        (contact, conversation): (ContactId, ConversationId),
        text: &str,
        at: OffsetDateTime,
    ) -> Result<(), Error> {
        let detects = match self.detector.tenants.get(&tenant) {
            Some(detects) => detects,
            None => {
                let mut tx = self.tx(tenant).await?;
                let (detects, _) = spam::settings(&mut tx).await?;
                self.detector.tenants.insert(tenant, detects);
                detects
            }
        };
        if !detects {
            return Ok(());
        }
        let score = score(text, self.detector.note(tenant, contact, text, at));
        if score >= MARKED_FROM {
            let mark = Mark::Detected(score);
            mark_detected(self, (tenant, None), "DetectSpam", conversation, mark).await?;
        }
        Ok(())
    }
}
