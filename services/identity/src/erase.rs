//! Identity's part in an erasure: audit events that name the contact are given the erasure's id in its place. Who acted, when
//! and how often stays; whom it was about can no longer be shown, nor proven (the leaf's second salt goes).
//!
//! Nothing here is believed by `verify.rs`, which shares no code with it.

use aws_lc_rs::digest;
use lethe_ambient::{Clock, Entropy};
use lethe_ids::{AuditId, ContactId, ConversationId, ErasureId, ScopeId, TenantId};
use lethe_keyring::{Place, Purpose, open_with, seal_with};
use lethe_service::Database;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::{Invalid, audit::contact_hash},
    store::{
        self,
        fence::{About, FenceRow},
    },
};

/// Events that one transaction changes.
const BATCH: i64 = 1_000;

/// What is to be erased, as retention says it.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) id: ScopeId,
    pub(crate) tenant: TenantId,
    pub(crate) erasure: ErasureId,
    pub(crate) contact: ContactId,
    /// The other ids that the person was a contact under.
    pub(crate) others: Vec<ContactId>,
    /// Conversations of a contact who lives on; `None` when the contact itself goes.
    pub(crate) part: Option<Vec<ConversationId>>,
}

impl Scope {
    /// Which events are about it.
    fn about(&self) -> About {
        match &self.part {
            None => About::Contacts([self.contact].into_iter().chain(self.others.clone()).collect()),
            Some(part) => About::Targets(part.iter().map(ConversationId::to_string).collect()),
        }
    }

    /// The same of the person's other ids.
    fn other_hashes(&self) -> Vec<[u8; 32]> {
        match self.part {
            None => self.others.iter().map(|other| contact_hash(self.tenant, *other)).collect(),
            Some(_) => Vec::new(),
        }
    }

    /// What writers of audit events look for. They look for contacts: an event about a conversation of one who lives on is
    /// written as it is, and found by the verification after it.
    fn hash(&self) -> [u8; 32] {
        match self.part {
            None => contact_hash(self.tenant, self.contact),
            Some(_) => contact_hash(self.tenant, ContactId::new(self.id.uuid())),
        }
    }
}

/// What there was when the fence was committed: every row of ours that names the contact.
#[derive(Serialize, Deserialize)]
struct Census {
    contact: ContactId,
    /// The other ids of the person.
    #[serde(default)]
    others: Vec<ContactId>,
    audit_events: Vec<AuditId>,
    /// Of a part: the conversations.
    part: Option<Vec<String>>,
}

fn place(scope: &Scope) -> Place {
    Place {
        tenant: scope.tenant,
        unit: scope.erasure.uuid(),
        purpose: Purpose::Census,
        record: scope.id.uuid(),
        version: 1,
    }
}

/// How many events name the contact.
pub(crate) async fn count(db: &Database, scope: &Scope) -> Result<i64, Error> {
    let mut tx = db.tenant(scope.tenant).await?;
    Ok(store::fence::count_events(&mut tx, &scope.about()).await?)
}

/// Commits the fence and the census, once: a second call answers what the first one froze.
pub(crate) async fn fence(
    db: &Database,
    clock: &Clock,
    entropy: &Entropy,
    scope: &Scope,
    census_key: &[u8; 32],
) -> Result<FenceRow, Error> {
    let hash = scope.hash();
    let mut tx = db.tenant(scope.tenant).await?;
    // Writers that looked before us are done after this line, and those after us see the fence.
    let others = scope.other_hashes();
    let mut locks: Vec<&[u8; 32]> = [&hash].into_iter().chain(&others).collect();
    locks.sort_unstable();
    for hash in locks {
        store::fence::close(&mut tx, hash).await?;
    }
    if let Some(fence) = store::fence::get(&mut tx, scope.id).await? {
        same(scope, &fence)?;
        return Ok(fence);
    }
    let audit_events = store::fence::list_events(&mut tx, &scope.about()).await?;
    let count = i64::try_from(audit_events.len()).unwrap_or(i64::MAX);
    let part = scope.part.as_ref().map(|part| part.iter().map(ConversationId::to_string).collect());
    let census = serde_json::to_vec(&Census {
        contact: scope.contact,
        others: scope.others.clone(),
        audit_events,
        part,
    })
    .map_err(|_| Error::Corrupt("census"))?;
    let row = FenceRow {
        scope: scope.id,
        erasure: scope.erasure,
        contact_hash: hash,
        other_hashes: others,
        census_digest: digest::digest(&digest::SHA256, &census).as_ref().to_vec(),
        census: seal_with(census_key, entropy, place(scope), &census),
        audit_events: count,
        replaced: 0,
        fenced_at: clock.now(),
        purged_at: None,
    };
    store::fence::insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(row)
}

/// Replaces the contact in every event that names it, and answers the fence with what was done over all calls.
pub(crate) async fn purge(
    db: &Database,
    clock: &Clock,
    scope: &Scope,
    census_key: &[u8; 32],
) -> Result<FenceRow, Error> {
    let mut tx = db.tenant(scope.tenant).await?;
    let fence = store::fence::get(&mut tx, scope.id).await?.ok_or(Error::NotFenced)?;
    drop(tx);
    same(scope, &fence)?;
    let census = open_with(census_key, place(scope), &fence.census).map_err(Error::Census)?;
    let census: Census = serde_json::from_slice(&census).map_err(|_| Error::Corrupt("census"))?;
    let about = match census.part {
        None => About::Contacts([census.contact].into_iter().chain(census.others).collect()),
        Some(targets) => About::Targets(targets),
    };
    loop {
        let mut tx = db.tenant(scope.tenant).await?;
        let replaced = store::fence::alias_events(&mut tx, &about, scope.erasure, BATCH).await?;
        store::fence::note_purge(&mut tx, scope.id, replaced, clock.now()).await?;
        tx.commit().await?;
        if replaced == 0 {
            break;
        }
    }
    let mut tx = db.tenant(scope.tenant).await?;
    store::fence::get(&mut tx, scope.id).await?.ok_or(Error::NotFenced)
}

/// A scope's id is never used for anything else.
fn same(scope: &Scope, fence: &FenceRow) -> Result<(), Error> {
    if fence.erasure != scope.erasure || fence.contact_hash != scope.hash() {
        return Err(Invalid::new("scope", "is another one than was fenced").into());
    }
    Ok(())
}
