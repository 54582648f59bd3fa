//! UpdateContact: rectification (GDPR Art. 16). The profile is sealed anew, and the blind index knows the new addresses
//! before the change is there and forgets the old ones after it; where that was cut off, the keyring's job does it.

use lethe_ids::{ContactId, TenantId};
use lethe_proto::messaging::{Contact, UpdateContactRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::profile::Profile,
    error::Error,
    seal,
    state::{ATTEMPTS, Call, State, Target},
    store::{
        contact::{self, ContactRow},
        head, hold, unsigned,
    },
};

pub(super) async fn update_contact(
    state: &State,
    request: Request<UpdateContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let contact: ContactId = id("contact_id", &request.contact_id)?;
    for _ in 0..ATTEMPTS {
        let before = read(state, call.tenant, contact).await?;
        if request.if_version != 0 && request.if_version != unsigned(before.version) {
            return Err(Error::VersionMismatch);
        }
        let profile = state.open_profile(call.tenant, &before).await?.rectified(&request)?;
        if request.label_ids.is_some() {
            let mut tx = state.tx(call.tenant).await?;
            state.require_labels(&mut tx, "label_ids", profile.label_ids()).await?;
        }
        if let Some(after) = rectify(state, &call, &before, &profile).await? {
            return Ok(seal::contact(&after, &profile));
        }
        if request.if_version != 0 {
            return Err(Error::VersionMismatch);
        }
    }
    Err(Error::Contended)
}

async fn read(state: &State, tenant: TenantId, contact: ContactId) -> Result<ContactRow, Error> {
    let mut tx = state.tx(tenant).await?;
    contact::require(&mut tx, contact).await
}

/// Writes the profile in the place of the one that `before` is; `None` when that is not the current one any more.
async fn rectify(
    state: &State,
    call: &Call,
    before: &ContactRow,
    profile: &Profile,
) -> Result<Option<ContactRow>, Error> {
    let (tenant, contact) = (call.tenant, before.id());
    let sealer = state.sealer(tenant, before.subject(), before.unit(), "contact").await?;
    let addresses = profile.addresses();
    let mark = state.add_addresses(tenant, before.subject(), &addresses).await?;
    let macs = state.suppression_macs(tenant, &addresses).await?;
    let version = before.sealed_version + 1;
    let sealed = seal::seal_profile(&sealer, contact, version, profile);

    let mut tx = state.tx(tenant).await?;
    let listed = macs.lock_and_ask(&mut tx).await?;
    let head = head::require(&mut tx, contact).await?;
    hold::refuse_if_contact_held(&mut tx, contact).await?;
    if contact::version(&mut tx, contact).await? != Some(before.version) {
        return Ok(None);
    }
    let seq = head::count_up(&mut tx, contact).await?;
    // Whoever opted out stays so with a new address, and whoever takes a listed address is opted out.
    if listed || head.opted_out {
        head::set_opted_out(&mut tx, contact, true).await?;
        macs.add(&mut tx).await?;
    }
    // So with bans: neither another address lifts one, nor does a banned address go unseen.
    if before.banned || macs.are_banned(&mut tx).await? {
        macs.ban(&mut tx).await?;
        head::set_banned(&mut tx, contact, true).await?;
    }
    contact::rectify(&mut tx, contact, (&sealed, version), seq, state.clock.now()).await?;
    state.contact_changed(&mut tx, contact, seq).await?;
    let id = contact.to_string();
    state.audit(&mut tx, call, "UpdateContact", &Target { kind: "contact", id: &id, contact }).await?;
    let after = contact::find(&mut tx, contact).await?;
    state.commit(tx).await?;
    state.settle_addresses(tenant, before.subject(), &addresses, Some(mark)).await?;
    Ok(after)
}
