//! OpenConversation: a thread of messages with one contact through one channel, and the secret of its first month.

use lethe_ids::{ContactId, ConversationId, UnitId};
use lethe_outbox::{Event, kind};
use lethe_proto::{
    event::ConversationChanged,
    messaging::{Channel, Conversation, ConversationStatus, OpenConversationRequest},
};
use lethe_service::{TenantTx, id};
use tonic::Request;

use crate::{
    domain::{
        channel::{Code, required},
        month::Month,
    },
    error::Error,
    state::{Call, Origin, State, Target},
    store::{
        contact,
        conversation::{self, NewConversation},
        head, idempotency,
    },
};

pub(super) async fn open_conversation(
    state: &State,
    request: Request<OpenConversationRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let tenant = call.tenant;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(tenant, "OpenConversation", key, &request).await?;
    let contact: ContactId = id("contact_id", &request.contact_id)?;
    let channel: Channel = required("channel", request.channel)?;

    let mut tx = state.tx(tenant).await?;
    let made = state.made_before(&mut tx, once, "conversation").await?;
    if let Some(made) = made {
        drop(tx);
        return replay(state, &call, ConversationId::new(made)).await;
    }
    let subject = contact::require(&mut tx, contact).await?.subject();
    drop(tx);
    let conversation = ConversationId::new(state.entropy.uuid7(&state.clock));
    let unit = UnitId::new(state.entropy.uuid4());
    state.create_secrets(tenant, None, &[unit], subject).await?;
    let at = state.clock.now();

    let mut tx = state.tx(tenant).await?;
    head::require(&mut tx, contact).await?;
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, Some(contact), conversation.uuid(), at).await?
    {
        let made = state.made_before(&mut tx, Some(once), "conversation").await?;
        drop(tx);
        let made = ConversationId::new(made.ok_or(Error::Gone("conversation"))?);
        return replay(state, &call, made).await;
    }
    let seq = head::count_up(&mut tx, contact).await?;
    let new = NewConversation {
        conversation,
        contact,
        subject,
        channel: channel.number(),
        status: ConversationStatus::Open.number(),
        seq,
        at,
    };
    conversation::insert(&mut tx, &new).await?;
    conversation::insert_unit(&mut tx, conversation, Month::of(at), unit).await?;
    changed(state, &mut tx, &call, "OpenConversation", (conversation, contact), seq).await?;
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::Corrupt("conversations"))?;
    state.commit(tx).await?;
    Ok(super::get_conversation::encode(&row))
}

/// Says that a conversation changed, and who did it.
pub(super) async fn changed(
    state: &State,
    tx: &mut TenantTx,
    call: impl Into<Option<&Call>>,
    action: &'static str,
    (conversation, contact): (ConversationId, ContactId),
    seq: i64,
) -> Result<(), Error> {
    changed_by(state, tx, (call, action), (conversation, contact), seq, Origin::Request).await
}

/// The same, by an import perhaps.
pub(crate) async fn changed_by(
    state: &State,
    tx: &mut TenantTx,
    (call, action): (impl Into<Option<&Call>>, &'static str),
    (conversation, contact): (ConversationId, ContactId),
    seq: i64,
    origin: Origin,
) -> Result<(), Error> {
    let id = conversation.to_string();
    let payload = ConversationChanged {
        conversation_id: id.clone(),
        contact_id: contact.to_string(),
        version: None,
        imported: origin == Origin::Import,
    };
    let (aggregate, seq) = (contact.uuid(), seq.unsigned_abs());
    state.outbox.put(tx, &Event { kind: kind::CONVERSATION_CHANGED, aggregate, seq, payload }).await?;
    state.audit(tx, call, action, &Target { kind: "conversation", id: &id, contact }).await
}

async fn replay(state: &State, call: &Call, conversation: ConversationId) -> Result<Conversation, Error> {
    super::get_conversation::read(state, call.tenant, conversation).await.map_err(|error| match error {
        Error::NotFound(noun) => Error::Gone(noun),
        other => other,
    })
}
