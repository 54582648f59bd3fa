//! EditMessage: another text in the place of the old one. The old ciphertext stays in old pages until the backups go.

use lethe_ids::{ContactId, ConversationId, MessageId};
use lethe_keyring::{OpenError, header};
use lethe_outbox::{Event, kind};
use lethe_proto::{
    event::MessageChanged,
    messaging::{Direction, EditMessageRequest, Message},
};
use lethe_service::{TenantTx, id};
use tonic::Request;

use crate::{
    domain::{channel::Code, text::MessageText},
    error::Error,
    seal,
    state::{ATTEMPTS, Call, State, Target},
    store::{head, hold, message},
};

pub(super) async fn edit_message(
    state: &State,
    request: Request<EditMessageRequest>,
) -> Result<Message, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let message: MessageId = id("message_id", &request.message_id)?;
    let text = MessageText::new(request.text)?;
    for _ in 0..ATTEMPTS {
        if let Some(edited) = edit(state, &call, message, &text, request.if_version).await? {
            return Ok(edited);
        }
    }
    Err(Error::Contended)
}

/// `None` when the message changed between reading and writing it.
async fn edit(
    state: &State,
    call: &Call,
    message: MessageId,
    text: &MessageText,
    if_version: u64,
) -> Result<Option<Message>, Error> {
    let mut tx = state.tx(call.tenant).await?;
    let row = message::find(&mut tx, message).await?.ok_or(Error::NotFound("message"))?;
    drop(tx);
    if if_version != 0 && if_version != u64::from(row.version.unsigned_abs()) {
        return Err(Error::VersionMismatch);
    }
    let sealed = row.text.as_deref().ok_or(Error::MessageDeleted)?;
    let header = header::parse(sealed).ok_or(OpenError::Format)?;
    let sealer = state.sealer(call.tenant, header.subject, header.unit, "message").await?;
    let version = row.version + 1;
    let sealed = seal::seal_text(&sealer, message, version, text.expose());

    let mut tx = state.tx(call.tenant).await?;
    let head = head::require_for(&mut tx, row.contact(), row.conversation(), "message").await?;
    if head.restriction != 0 {
        return Err(Error::Restricted);
    }
    hold::refuse_if_held(&mut tx, row.contact(), row.conversation()).await?;
    // What the contact wrote is its own, and evidence.
    if row.direction != Direction::Outbound.number() {
        return Err(Error::Inbound);
    }
    if message::state(&mut tx, message).await?.is_none_or(|(now, _)| now != row.version) {
        return Ok(None);
    }
    let seq = head::count_up(&mut tx, row.contact()).await?;
    message::edit(&mut tx, message, (&sealed, version), seq, state.clock.now()).await?;
    let ids = (message, row.conversation(), row.contact());
    changed(state, &mut tx, call, "EditMessage", ids, seq).await?;
    let row = message::find(&mut tx, message).await?.ok_or(Error::Corrupt("messages"))?;
    state.commit(tx).await?;
    state.open_message(call.tenant, row).await.map(Some)
}

/// Says that a message changed, and who did it.
pub(super) async fn changed(
    state: &State,
    tx: &mut TenantTx,
    call: &Call,
    action: &'static str,
    (message, conversation, contact): (MessageId, ConversationId, ContactId),
    seq: i64,
) -> Result<(), Error> {
    let id = message.to_string();
    let payload = MessageChanged {
        message_id: id.clone(),
        conversation_id: conversation.to_string(),
        contact_id: contact.to_string(),
        version: None,
        imported: false,
    };
    let (aggregate, seq) = (contact.uuid(), seq.unsigned_abs());
    state.outbox.put(tx, &Event { kind: kind::MESSAGE_CHANGED, aggregate, seq, payload }).await?;
    state.audit(tx, call, action, &Target { kind: "message", id: &id, contact }).await
}
