//! Hold: from its answer on nothing deletes the contact, or the conversation. Placed under the lock of the head, so that
//! whoever deletes was either there before or meets it; behind a fence nothing can be held any more.

use lethe_ids::{ContactId, ConversationId, HoldId, TenantId};
use lethe_proto::erasure::{HoldRequest, HoldResponse, hold_request::What};
use lethe_service::{TenantTx, id};
use tonic::Request;

use crate::{
    domain::Invalid,
    error::Error,
    state::State,
    store::{head, hold, merge},
};

pub(super) async fn hold(state: &State, request: Request<HoldRequest>) -> Result<HoldResponse, Error> {
    let request = request.into_inner();
    let tenant: TenantId = id("tenant_id", &request.tenant_id)?;
    let hold_id: HoldId = id("hold_id", &request.hold_id)?;
    let mut tx = state.tx(tenant).await?;
    if let Some(answer) = before(&mut tx, hold_id).await? {
        return answer;
    }
    let (contact, conversation) = match request.what {
        Some(What::ContactId(text)) => (id::<ContactId>("contact_id", &text)?, None),
        Some(What::ConversationId(text)) => {
            let conversation: ConversationId = id("conversation_id", &text)?;
            let contact = hold::contact_of(&mut tx, conversation).await?;
            (contact.ok_or(Error::NotFound("conversation"))?, Some(conversation))
        }
        None => return Err(Invalid::new("contact_id", "or conversation_id must be there").into()),
    };
    let locked = match conversation {
        Some(conversation) => head::lock_for(&mut tx, contact, conversation).await?,
        None => head::lock(&mut tx, contact).await?,
    };
    // It may have changed hands before the lock.
    let now = match conversation {
        Some(conversation) => hold::contact_of(&mut tx, conversation).await?,
        None => Some(contact),
    };
    if now != Some(contact) && (now.is_some() || locked.is_some()) {
        return Err(Error::Contended);
    }
    if locked.is_none() {
        if let Some(survivor) = merge::survivor_of(&mut tx, contact).await? {
            return Err(Error::Merged(survivor));
        }
        let noun = if conversation.is_some() { "conversation" } else { "contact" };
        let is_there = head::is_there(&mut tx, contact).await?;
        return Err(if is_there { Error::BeingErased } else { Error::NotFound(noun) });
    }
    if !hold::insert(&mut tx, hold_id, contact, conversation, state.clock.now()).await? {
        return before(&mut tx, hold_id).await?.ok_or(Error::Contended)?;
    }
    tx.commit().await?;
    Ok(HoldResponse {})
}

/// What is answered for a hold whose id is known.
async fn before(tx: &mut TenantTx, hold: HoldId) -> Result<Option<Result<HoldResponse, Error>>, Error> {
    let released = hold::is_released(tx, hold).await?;
    Ok(released.map(|released| if released { Err(Error::HoldReleased) } else { Ok(HoldResponse {}) }))
}
