//! MergeContacts: one person who was two contacts. The survivor takes over the merged one's subjects with all that is sealed
//! under them, in one transaction; an id that leads to the survivor is left.
//!
//! Nothing of messages, ratings and consents is sealed anew: each says in its header whose secret it is under, and the
//! survivor is all of these subjects now. What the two had one each of is: the profile, where empty fields are filled, and
//! the picture, where the survivor has none. The rest of the merged one's profile goes with its row.

use lethe_ids::{ConsentId, ContactId, TenantId};
use lethe_keyring::Sealer;
use lethe_outbox::{Event, kind};
use lethe_proto::{
    event::ConversationChanged,
    messaging::{ConsentAct, Contact, MergeContactsRequest},
};
use lethe_service::{TenantTx, id};
use tonic::Request;

use crate::{
    domain::{Invalid, channel::Code},
    error::Error,
    seal,
    state::{ATTEMPTS, Call, State, Target},
    store::{
        consent,
        contact::{self, ContactRow},
        head, merge, opt_out,
        picture::{self, PictureRow},
    },
};

/// What the history of consents says of one that a merge withdrew.
const SOURCE: &str = "merge";

pub(super) async fn merge_contacts(
    state: &State,
    request: Request<MergeContactsRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let survivor: ContactId = id("contact_id", &request.contact_id)?;
    let merged: ContactId = id("merged_contact_id", &request.merged_contact_id)?;
    if survivor == merged {
        return Err(Invalid::new("merged_contact_id", "must be another contact").into());
    }
    for _ in 0..ATTEMPTS {
        let Some(both) = read(state, call.tenant, survivor, merged).await? else {
            return super::get_contact::read(state, call.tenant, survivor).await;
        };
        if unite(state, &call, &both).await? {
            return super::get_contact::read(state, call.tenant, survivor).await;
        }
    }
    Err(Error::Contended)
}

/// Both as they are before.
struct Both {
    survivor: ContactRow,
    merged: ContactRow,
    /// The merged one's, where the survivor has none.
    picture: Option<PictureRow>,
}

/// Reads both; `None` when they are one already.
async fn read(
    state: &State,
    tenant: TenantId,
    survivor: ContactId,
    merged: ContactId,
) -> Result<Option<Both>, Error> {
    let mut tx = state.tx(tenant).await?;
    let survivor = contact::require(&mut tx, survivor).await?;
    let merged = match contact::require(&mut tx, merged).await {
        Err(Error::Merged(into)) if into == survivor.id() => return Ok(None),
        other => other?,
    };
    let picture = match survivor.has_picture {
        false => picture::find(&mut tx, merged.id()).await?,
        true => None,
    };
    // Before anything is prepared; what counts is asked once more under the locks.
    refuse(state, &mut tx, (survivor.id(), merged.id())).await?;
    Ok(Some(Both { survivor, merged, picture }))
}

/// Refuses what must not be merged now.
async fn refuse(
    state: &State,
    tx: &mut TenantTx,
    (survivor, merged): (ContactId, ContactId),
) -> Result<(), Error> {
    let mut ids = merge::ids_of(tx, survivor).await?;
    ids.extend(merge::ids_of(tx, merged).await?);
    merge::refuse_if_bound(tx, &ids).await?;
    if merge::conversations(tx, merged).await? > i64::from(state.config.conversations.most_merged) {
        return Err(Error::TooMany("conversations"));
    }
    Ok(())
}

/// Makes them one. `false` when one of both changed since it was read.
async fn unite(state: &State, call: &Call, both: &Both) -> Result<bool, Error> {
    let (tenant, at) = (call.tenant, state.clock.now());
    let (survivor, merged) = (both.survivor.id(), both.merged.id());
    let sealer = state.sealer(tenant, both.survivor.subject(), both.survivor.unit(), "contact").await?;
    let theirs = state.open_profile(tenant, &both.merged).await?;
    let profile =
        state.open_profile(tenant, &both.survivor).await?.united(&theirs).map_err(Error::TooMany)?;
    let version = both.survivor.sealed_version + 1;
    let sealed = seal::seal_profile(&sealer, survivor, version, &profile);
    let picture = reseal_picture(state, tenant, &sealer, both).await?;
    // The survivor is found by all addresses before the change is there; the merged one's subject by none after it. Where
    // that is cut off, the marks have the keyring's job do it.
    let addresses = profile.addresses();
    let mark = state.add_addresses(tenant, both.survivor.subject(), &addresses).await?;
    let their_mark = state.add_addresses(tenant, both.merged.subject(), &theirs.addresses()).await?;
    let macs = state.suppression_macs(tenant, &addresses).await?;

    let mut tx = state.tx(tenant).await?;
    let listed = macs.lock_and_ask(&mut tx).await?;
    // Heads in the order of their ids: two merges of the same contacts do not wait for each other.
    let mut opted_out = listed;
    for contact in [survivor.min(merged), survivor.max(merged)] {
        let head = match head::require(&mut tx, contact).await {
            // The same merge was faster elsewhere.
            Err(Error::Merged(into)) if into == survivor => return Ok(false),
            head => head?,
        };
        // What is restricted is kept as it is (GDPR Art. 18(2)).
        if head.restriction != 0 {
            return Err(Error::Restricted);
        }
        opted_out |= head.opted_out;
    }
    for row in [&both.survivor, &both.merged] {
        if contact::version(&mut tx, row.id()).await? != Some(row.version) {
            return Ok(false);
        }
    }
    refuse(state, &mut tx, (survivor, merged)).await?;
    withdraw(state, &mut tx, &sealer, (survivor, merged)).await?;
    if let Some(picture) = &picture {
        picture::put(&mut tx, survivor, picture).await?;
    }
    let banned = both.survivor.banned || both.merged.banned || macs.are_banned(&mut tx).await?;
    merge::unite(&mut tx, survivor, merged, at).await?;
    if opted_out {
        head::set_opted_out(&mut tx, survivor, true).await?;
        macs.add(&mut tx).await?;
        // Others with one of the addresses follow.
        opt_out::ask_spread(&mut tx, survivor, at).await?;
    }
    if banned {
        macs.ban(&mut tx).await?;
        head::set_banned(&mut tx, survivor, true).await?;
    }
    let seq = head::count_up(&mut tx, survivor).await?;
    contact::rectify(&mut tx, survivor, (&sealed, version), seq, at).await?;
    state.contact_changed(&mut tx, survivor, seq).await?;
    let moved = merge::hand_over(&mut tx, survivor, merged).await?;
    for (conversation, seq) in &moved {
        let payload = ConversationChanged {
            conversation_id: conversation.to_string(),
            contact_id: survivor.to_string(),
            version: None,
            imported: false,
        };
        let (aggregate, seq) = (survivor.uuid(), seq.unsigned_abs());
        state
            .outbox
            .put(&mut tx, &Event { kind: kind::CONVERSATION_CHANGED, aggregate, seq, payload })
            .await?;
    }
    for contact in [survivor, merged] {
        let id = contact.to_string();
        state.audit(&mut tx, call, "MergeContacts", &Target { kind: "contact", id: &id, contact }).await?;
    }
    state.commit(tx).await?;
    let moved: Vec<_> = moved.into_iter().map(|(conversation, _)| conversation).collect();
    state.routes.evict(tenant, &moved);
    state.settle_addresses(tenant, both.survivor.subject(), &addresses, Some(mark)).await?;
    state.settle_addresses(tenant, both.merged.subject(), &[], Some(their_mark)).await?;
    Ok(true)
}

/// The merged one's picture as the survivor's.
async fn reseal_picture(
    state: &State,
    tenant: TenantId,
    sealer: &Sealer,
    both: &Both,
) -> Result<Option<PictureRow>, Error> {
    let Some(picture) = &both.picture else { return Ok(None) };
    let theirs = state.sealer(tenant, both.merged.subject(), both.merged.unit(), "contact").await?;
    let content = seal::open_picture(&theirs, both.merged.id(), picture)?;
    let version = i32::try_from(both.survivor.version + 1).map_err(|_| Error::Corrupt("contacts.version"))?;
    let sealed = seal::seal_picture(sealer, both.survivor.id(), version, &content);
    Ok(Some(PictureRow { media_type: picture.media_type, picture: sealed, version }))
}

/// Where one of both had withdrawn a consent and the other's is the later word, the person's word is the withdrawal.
async fn withdraw(
    state: &State,
    tx: &mut TenantTx,
    sealer: &Sealer,
    (survivor, merged): (ContactId, ContactId),
) -> Result<(), Error> {
    for purpose in merge::withdrawn_by_one(tx, survivor, merged).await? {
        let consent = ConsentId::new(state.entropy.uuid7(&state.clock));
        let sealed = seal::seal_source(sealer, consent, SOURCE);
        let act = (purpose, ConsentAct::Withdrawn.number());
        consent::insert(tx, survivor, consent, act, &sealed, state.clock.now()).await?;
    }
    Ok(())
}
