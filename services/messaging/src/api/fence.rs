//! Fence: from its answer on no writer adds to the contact, or to the part of it, and no reader finds it. Two transactions: the
//! fence goes up under the lock that every writer takes first, and takes as long whatever the contact has; then the census is
//! frozen. What was written before the fence is in it, what comes after is refused. What a legal hold covers is noted with the
//! fence: nothing can be held afterwards.

use lethe_ids::{ContactId, ConversationId, TenantId};
use lethe_outbox::{Actor, Audit, Event, kind};
use lethe_proto::{
    erasure::{FenceRequest, FenceResponse},
    event::ConversationChanged,
};
use lethe_service::{CallContext, TenantTx, timestamp};
use sqlx::types::Json;
use tonic::Request;
use uuid::Uuid;

use crate::{
    census::{Census, Counted, RESEALED, census_key},
    domain::keyword::Keyword,
    error::Error,
    scope::{Mode, Scope},
    state::{ATTEMPTS, State},
    store::{
        contact,
        fence::{self, FenceRow, Frozen, NewFence},
        hold, merge,
        opt_out::Listed,
        reach::{self, Reach, Whose},
    },
    suppression::Macs,
};

pub(super) async fn fence(state: &State, request: Request<FenceRequest>) -> Result<FenceResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let request = request.into_inner();
    let scope = Scope::of(request.scope)?;
    let key = census_key(&request.census_key)?;
    // Once more than it may be raised anew: the last look finds what the last try raised.
    for _ in 0..=ATTEMPTS {
        let mut tx = state.tx(scope.tenant).await?;
        if let Some(row) = fence::find(&mut tx, scope.id).await? {
            return freeze(state, tx, &scope, &key, row).await;
        }
        // The contact may have been merged since the erasure was asked for: then who it is now is erased.
        let owner = merge::owner_of(&mut tx, scope.contact).await?;
        drop(tx);
        let suppressed = match scope.suppress {
            true => match state.suppress(scope.tenant, owner).await {
                Err(Error::Merged(_)) => continue,
                suppressed => suppressed?,
            },
            false => None,
        };
        raise(state, &scope, owner, suppressed.as_ref(), &request_id).await?;
    }
    Err(Error::Contended)
}

/// Addresses that are to stay blocked, and the version of the contact that they were read from.
struct Suppressed {
    version: i64,
    macs: Macs,
}

impl State {
    /// What STOP does, for the person: the contact and whoever shares an address with it are opted out. Answers the addresses,
    /// which the fence lists once more, in its own transaction.
    async fn suppress(&self, tenant: TenantId, contact: ContactId) -> Result<Option<Suppressed>, Error> {
        let held = {
            let mut tx = self.tx(tenant).await?;
            hold::is_contact_held(&mut tx, contact).await?
        };
        if held {
            return Err(Error::Held);
        }
        match self.obey(tenant, None, "Suppress", contact, Keyword::Stop, None).await {
            Err(Error::NotFound(_)) => return Ok(None),
            // Nobody will ever read the addresses that were to be suppressed.
            Err(error) if error.is_about_one_value() => {
                tracing::error!(%error, "a contact is erased whose profile does not open: nothing is suppressed");
                return Ok(None);
            }
            done => done?,
        };
        self.spread(tenant, contact, None, usize::MAX).await?;
        let mut tx = self.tx(tenant).await?;
        let Some(row) = contact::find(&mut tx, contact).await? else { return Ok(None) };
        drop(tx);
        let profile = self.open_profile(tenant, &row).await?;
        let macs = self.suppression_macs(tenant, &profile.addresses()).await?;
        Ok(Some(Suppressed { version: row.version, macs }))
    }
}

/// Raises the fence around who the contact is now. Not when that changed meanwhile, or its addresses did, or the same call was
/// faster elsewhere: then it is to be looked at again.
async fn raise(
    state: &State,
    scope: &Scope,
    owner: ContactId,
    suppressed: Option<&Suppressed>,
    request_id: &str,
) -> Result<(), Error> {
    let mut tx = state.tx(scope.tenant).await?;
    if let Some(suppressed) = suppressed {
        suppressed.macs.lock_and_ask(&mut tx).await?;
    }
    let (seq, part) = raise_head(&mut tx, scope, owner).await?;
    // Asked under the lock of the head, which a merge takes too.
    if merge::owner_of(&mut tx, scope.contact).await? != owner {
        return Ok(());
    }
    let mut contacts = merge::ids_of(&mut tx, owner).await?;
    if seq.is_none() && scope.is_whole() {
        // Gone, by another erasure of the person, asked for under another id: what that one found is to be gone for this one, too.
        contacts = fence::erased_with(&mut tx, owner).await?.unwrap_or(contacts);
    }
    if let Some(suppressed) = suppressed {
        if contact::version(&mut tx, owner).await? != Some(suppressed.version) {
            return Ok(());
        }
        suppressed.macs.add(&mut tx).await?;
    }
    let (_, reach) = reach(&mut tx, scope, &contacts, &part).await?;
    let held = held(&mut tx, scope, owner, &reach).await?;
    let new = NewFence {
        scope: scope.id,
        erasure: scope.erasure,
        contact: scope.contact,
        at: state.clock.now(),
        mode: scope.mode,
        conversations: &part,
        held: &held,
        suppressed: suppressed.map_or(&[], |suppressed| suppressed.macs.listed()),
        contacts: &contacts,
    };
    if !fence::insert(&mut tx, &new).await? {
        return Ok(());
    }
    if scope.is_whole() {
        state.lay_notices(&mut tx, (scope.id, None), owner, new.at).await?;
    }
    say(state, &mut tx, scope, owner, seq, &part).await?;
    // About the erasure: an event that named the contact would bring its id back where it was erased.
    let id = scope.erasure.to_string();
    let audit = Audit {
        actor: Actor::Service("retention"),
        action: "Fence",
        target_kind: "erasure",
        target_id: &id,
        contact: None,
        request_id,
    };
    state.outbox.audit(&mut tx, &audit).await?;
    state.commit(tx).await?;
    Ok(())
}

/// Freezes the census of a fence that stands, unless a call before did, and answers what it has.
async fn freeze(
    state: &State,
    mut tx: TenantTx,
    scope: &Scope,
    key: &[u8; 32],
    row: FenceRow,
) -> Result<FenceResponse, Error> {
    if (row.contact(), row.mode()) != (scope.contact, scope.mode) {
        return Err(Error::NotFenced);
    }
    if fence::frozen(&mut tx, scope.id).await?.is_none() {
        let (contacts, part) = (row.contacts(), row.conversations());
        let (whose, reach) = reach(&mut tx, scope, &contacts, &part).await?;
        let mut tables = reach::rows_of(&mut tx, whose).await?;
        tables.extend(resealed(&mut tx, scope, &reach).await?);
        let census = Census::new(&contacts, &reach.subjects, &reach.units, &reach.conversations, tables);
        let (census_digest, sealed) = census.seal(scope, key, &state.entropy);
        let tallies = Json(census.counts());
        fence::freeze(&mut tx, scope.id, &Frozen { census: sealed, census_digest, tallies }).await?;
    }
    let frozen = fence::frozen(&mut tx, scope.id).await?.ok_or(Error::NotFenced)?;
    tx.commit().await?;
    let census = Census::open(scope, key, &frozen.census)?;
    // Nothing of it stays in this process's memory. It may be another than the one that fenced: it forgets too.
    state.keyring.evict(scope.tenant, &census.subjects());
    state.routes.evict(scope.tenant, &census.conversations());
    Ok(FenceResponse {
        census_digest: frozen.census_digest.into(),
        tallies: frozen.tallies.iter().map(Counted::tally).collect(),
        fenced_at: Some(timestamp(row.fenced_at)),
        conversation_ids: row.conversations().iter().map(ConversationId::to_string).collect(),
        suppressions: row.suppressed.iter().map(Listed::suppression).collect(),
        contact_ids: if scope.is_whole() { many(&row.contacts()) } else { Vec::new() },
    })
}

/// Raises it at the head. Answers the sequence of that change, and of a part which conversations it is.
async fn raise_head(
    tx: &mut TenantTx,
    scope: &Scope,
    owner: ContactId,
) -> Result<(Option<i64>, Vec<ConversationId>), Error> {
    if scope.is_whole() {
        return Ok((fence::raise(tx, owner).await?, Vec::new()));
    }
    // The lock comes first: which e-mail there is, is asked under it.
    let seq = fence::raise_part(tx, owner, &scope.conversations).await?;
    if scope.mode == Mode::Conversation {
        return Ok((seq, scope.conversations.clone()));
    }
    let emails = fence::emails_of(tx, owner).await?;
    fence::raise_part(tx, owner, &emails).await?;
    Ok((seq, emails))
}

/// What the census lists, and what that is sealed under.
pub(super) async fn reach<'a>(
    tx: &mut TenantTx,
    scope: &Scope,
    contacts: &'a [ContactId],
    part: &'a [ConversationId],
) -> Result<(Whose<'a>, Reach), Error> {
    if !scope.is_whole() {
        let reach = reach::of_part(tx, part).await?;
        return Ok((Whose::Part(contacts, part), reach));
    }
    let reach = reach::of(tx, contacts, &[]).await?;
    Ok((
        match scope.mode {
            Mode::ContactOnly => Whose::ContactOnly(contacts),
            _ => Whose::Everything(contacts),
        },
        reach,
    ))
}

/// The conversations that are held one by one.
///
/// # Errors
/// [`Error::Held`] when all that is to be erased is held: nothing is fenced then.
async fn held(
    tx: &mut TenantTx,
    scope: &Scope,
    owner: ContactId,
    reach: &Reach,
) -> Result<Vec<ConversationId>, Error> {
    if hold::is_contact_held(tx, owner).await? {
        return Err(Error::Held);
    }
    let held = hold::held_of(tx, &reach.conversations).await?;
    if scope.mode == Mode::Conversation && !held.is_empty() {
        return Err(Error::Held);
    }
    Ok(held)
}

/// Where the messages are kept: those that are to be sealed anew.
pub(super) async fn resealed(
    tx: &mut TenantTx,
    scope: &Scope,
    reach: &Reach,
) -> Result<Option<(String, Vec<Uuid>)>, Error> {
    if scope.mode != Mode::ContactOnly {
        return Ok(None);
    }
    let texts = reach::texts_of(tx, &reach.conversations).await?;
    Ok((!texts.is_empty()).then(|| (RESEALED.to_owned(), texts)))
}

/// Tells the readers, whose copies are to go: of the contact, or of each conversation.
async fn say(
    state: &State,
    tx: &mut TenantTx,
    scope: &Scope,
    owner: ContactId,
    seq: Option<i64>,
    part: &[ConversationId],
) -> Result<(), Error> {
    let Some(seq) = seq else { return Ok(()) };
    if scope.is_whole() {
        return state.contact_changed(tx, owner, seq).await;
    }
    for conversation in part {
        let payload = ConversationChanged {
            conversation_id: conversation.to_string(),
            contact_id: owner.to_string(),
            version: None,
            imported: false,
        };
        let (aggregate, seq) = (owner.uuid(), seq.unsigned_abs());
        state.outbox.put(tx, &Event { kind: kind::CONVERSATION_CHANGED, aggregate, seq, payload }).await?;
    }
    Ok(())
}

/// All ids of a person who was several contacts.
pub(super) fn many(contacts: &[ContactId]) -> Vec<String> {
    match contacts {
        [_] => Vec::new(),
        contacts => contacts.iter().map(ContactId::to_string).collect(),
    }
}
