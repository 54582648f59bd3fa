//! This service as a participant of its own erasures: fence, census and eraser.
//!
//! What retention holds about a person is a random id: in the rows of erasures, and in the keys and fingerprints of the
//! requests for them. The eraser takes the id out of the former and deletes the latter; the erasures themselves stay, as
//! evidence. The fence keeps the bare id on purpose, so that no erasure is asked for it again.

use lethe_ambient::Entropy;
use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, TenantId};
use lethe_keyring::{Place, Purpose, seal_with};
use lethe_proto::erasure::{FenceResponse, PurgeResponse, Tally};
use lethe_service::{Database, timestamp};
use prost::Message;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    certificate::Digest,
    domain::Mode,
    error::Error,
    store::{self, OwnRows, Whose},
};

/// The tables' names, in tallies and findings.
pub(crate) const STORE: &str = "postgres";

/// What is to be erased.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Random, never used again.
    pub scope: ScopeId,
    /// Whose tenant.
    pub tenant: TenantId,
    /// For which erasure.
    pub erasure: ErasureId,
    /// Whose rows.
    pub contact: ContactId,
    /// The other ids that the person was a contact under.
    pub others: Vec<ContactId>,
    /// How much of the contact.
    pub mode: Mode,
    /// Of a mode that is a part: which conversations.
    pub conversations: Vec<ConversationId>,
}

impl Scope {
    /// Whose rows are to go.
    pub(crate) fn whose(&self) -> Whose<'_> {
        match self.mode.is_whole() {
            true => Whose::Contact(self.contact, &self.others),
            false => Whose::Part(self.erasure, &self.conversations),
        }
    }
}

/// The list that the fence freezes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Census {
    /// Erasures that named the contact or the conversation.
    pub erasures: Vec<Uuid>,
    /// Keys of the requests for them.
    pub idempotency_keys: Vec<String>,
}

/// Where the sealed census stands.
pub(crate) fn place(scope: &Scope) -> Place {
    Place {
        tenant: scope.tenant,
        unit: scope.erasure.uuid(),
        purpose: Purpose::Census,
        record: scope.scope.uuid(),
        version: 1,
    }
}

/// What there is, as tallies.
pub(crate) fn tallies(rows: &OwnRows) -> Vec<Tally> {
    let tally = |kind: &str, count: usize| Tally {
        store: STORE.to_owned(),
        kind: kind.to_owned(),
        count: count as u64,
    };
    vec![tally("erasures", rows.erasures.len()), tally("idempotency_keys", rows.idempotency_keys.len())]
}

/// Commits the fence with its census; the second call answers what the first did.
///
/// # Errors
/// When PostgreSQL fails, or it is fenced for another scope.
pub(crate) async fn fence(
    db: &Database,
    entropy: &Entropy,
    scope: &Scope,
    census_key: &[u8; 32],
    now: OffsetDateTime,
) -> Result<FenceResponse, Error> {
    let mut tx = db.tenant(scope.tenant).await?;
    if let Some(fence) = store::fence_of(&mut tx, scope.scope).await? {
        return FenceResponse::decode(&fence.answer[..]).map_err(|_| Error::Damaged);
    }
    let rows = store::own_rows(&mut tx, scope.whose()).await?;
    let answer_tallies = tallies(&rows);
    let census = Census { erasures: rows.erasures, idempotency_keys: rows.idempotency_keys };
    let census = serde_json::to_vec(&census).map_err(|_| Error::Damaged)?;
    let answer = FenceResponse {
        census_digest: Digest::of(&census).0.to_vec().into(),
        tallies: answer_tallies,
        fenced_at: Some(timestamp(now)),
        ..FenceResponse::default()
    };
    let fence = store::Fence {
        scope: scope.scope,
        erasure: scope.erasure,
        contact: scope.contact,
        others: if scope.mode.is_whole() { scope.others.clone() } else { Vec::new() },
        mode: scope.mode,
        conversation: match scope.mode {
            Mode::Conversation => scope.conversations.first().copied(),
            _ => None,
        },
        fenced_at: now,
        census: seal_with(census_key, entropy, place(scope), &census),
        answer: answer.encode_to_vec(),
    };
    store::fence(&mut tx, || entropy.uuid4(), &fence).await?;
    // Two calls at once: the one that came second answers what the first froze.
    let kept = store::fence_of(&mut tx, scope.scope).await?.ok_or(Error::ScopeNotFenced)?;
    tx.commit().await?;
    FenceResponse::decode(&kept.answer[..]).map_err(|_| Error::Damaged)
}

/// Takes the contact, or the part of it, out of the rows that name it. Needs the fence; may be called again.
///
/// # Errors
/// [`Error::ScopeNotFenced`] before [`fence`].
pub(crate) async fn purge(db: &Database, scope: &Scope, now: OffsetDateTime) -> Result<PurgeResponse, Error> {
    let mut tx = db.tenant(scope.tenant).await?;
    let fence = store::fence_of(&mut tx, scope.scope).await?.ok_or(Error::ScopeNotFenced)?;
    if fence.contact != scope.contact || fence.erasure != scope.erasure {
        return Err(Error::ScopeNotFenced);
    }
    store::lock_open(&mut tx, scope.whose()).await?;
    if store::is_another_being_fenced(&mut tx, scope.whose()).await? {
        return Err(Error::OtherErasureBeingFenced);
    }
    store::unlink(&mut tx, scope.whose(), now).await?;
    tx.commit().await?;
    // The fence lets nothing in, so what was unlinked over all calls is what the census had.
    let fenced = FenceResponse::decode(&fence.answer[..]).map_err(|_| Error::Damaged)?;
    Ok(PurgeResponse { evidence: fenced.tallies, purged_at: Some(timestamp(now)) })
}
