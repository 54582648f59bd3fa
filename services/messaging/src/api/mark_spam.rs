//! MarkSpam, and what it shares with its opposite. A marked conversation is in no list and no search that does not ask for
//! it; nothing of it is deleted.

use lethe_ids::{ConversationId, TenantId};
use lethe_proto::messaging::{Conversation, MarkSpamRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{
        conversation, head,
        spam::{self, Mark},
    },
};

pub(super) async fn mark_spam(
    state: &State,
    request: Request<MarkSpamRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let conversation = id("conversation_id", &request.get_ref().conversation_id)?;
    set(state, (call.tenant, Some(&call)), "MarkSpam", conversation, Mark::Marked).await
}

/// Writes the mark and answers the conversation. Once it stands, saying it again changes nothing.
pub(crate) async fn set(
    state: &State,
    (tenant, call): (TenantId, Option<&Call>),
    action: &'static str,
    conversation: ConversationId,
    mark: Mark,
) -> Result<Conversation, Error> {
    let mut tx = state.tx(tenant).await?;
    let none = || Error::NotFound("conversation");
    let contact = conversation::find(&mut tx, conversation).await?.ok_or_else(none)?.contact();
    let head = head::require_for(&mut tx, contact, conversation, "conversation").await?;
    // The detector does not judge what may only be kept.
    let may = call.is_some() || head.restriction == 0;
    let seq = head::count_up(&mut tx, contact).await?;
    if may && spam::set(&mut tx, conversation, mark, seq).await? {
        super::open_conversation::changed(state, &mut tx, call, action, (conversation, contact), seq).await?;
        state.commit(tx).await?;
    } else {
        // The sequence goes back with the rest.
        drop(tx);
    }
    super::get_conversation::read(state, tenant, conversation).await
}
