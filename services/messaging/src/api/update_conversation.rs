//! UpdateConversation: status, assigned member and labels. The one RPC of messaging that asks another service: whether
//! who is given a conversation is one of the tenant's members, identity knows.

use lethe_ids::{ConversationId, MemberId};
use lethe_proto::{
    identity::{CheckMemberRequest, identity_service_client::IdentityServiceClient},
    messaging::{Conversation, ConversationStatus, UpdateConversationRequest},
};
use lethe_service::{CallContext, Failure, id};
use tokio::time::timeout;
use tonic::{Code as Answer, Request};

use crate::{
    domain::{
        Invalid,
        channel::{Code, optional},
        label::label_ids,
    },
    error::Error,
    state::{Call, State},
    store::{
        conversation::{self, Settings},
        head, unsigned,
    },
};

/// What it is to have; what is absent stays. Nothing changes when it has them already.
pub(super) async fn update_conversation(
    state: &State,
    request: Request<UpdateConversationRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let context = CallContext::of(&request).clone();
    let request = request.into_inner();
    let conversation: ConversationId = id("conversation_id", &request.conversation_id)?;
    let status = optional::<ConversationStatus>("status", request.status)?.map(Code::number);
    let assigned: Option<Option<MemberId>> = match request.assigned_member_id.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(text) => Some(Some(id("assigned_member_id", text)?)),
    };
    let labels = request.label_ids.map(|labels| label_ids("label_ids", &labels.values)).transpose()?;
    if let Some(Some(member)) = assigned {
        require_active(state, &call, context, conversation, member).await?;
    }
    let mut tx = state.tx(call.tenant).await?;
    let none = Error::NotFound("conversation");
    let contact = conversation::find(&mut tx, conversation).await?.ok_or(none)?.contact();
    head::require_for(&mut tx, contact, conversation, "conversation").await?;
    // Read again under the lock: it may have changed between the two.
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    if request.if_version != 0 && request.if_version != unsigned(row.version) {
        return Err(Error::VersionMismatch);
    }
    if let Some(labels) = &labels {
        state.require_labels(&mut tx, "label_ids", labels).await?;
    }
    let before = Settings { status: row.status, assigned: row.assigned(), labels: row.labels() };
    let settings = Settings {
        status: status.unwrap_or(before.status),
        assigned: assigned.unwrap_or(before.assigned),
        labels: labels.unwrap_or_else(|| before.labels.clone()),
    };
    if settings == before {
        return Ok(super::get_conversation::encode(&row));
    }
    let seq = head::count_up(&mut tx, contact).await?;
    conversation::update(&mut tx, conversation, &settings, seq).await?;
    let ids = (conversation, contact);
    super::open_conversation::changed(state, &mut tx, &call, "UpdateConversation", ids, seq).await?;
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::Corrupt("conversations"))?;
    state.commit(tx).await?;
    Ok(super::get_conversation::encode(&row))
}

/// Whoever is given the conversation is a member of the tenant who was not deactivated; who has it keeps it. Asked as the
/// caller and before the transaction: while identity is away nothing is changed.
async fn require_active(
    state: &State,
    call: &Call,
    context: CallContext,
    conversation: ConversationId,
    member: MemberId,
) -> Result<(), Error> {
    const FIELD: &str = "assigned_member_id";
    let mut tx = state.tx(call.tenant).await?;
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    drop(tx);
    if row.assigned() == Some(member) {
        return Ok(());
    }
    let patience = state.config.conversations.identity_timeout();
    let mut identity = IdentityServiceClient::new(state.peers.client("identity", &context.within(patience)));
    let asked = identity.check_member(CheckMemberRequest { member_id: member.to_string() });
    let failure = match timeout(patience, asked).await {
        Ok(Ok(found)) if found.get_ref().active => return Ok(()),
        Ok(Ok(_)) => return Err(Invalid::new(FIELD, "is of a member who was deactivated").into()),
        Ok(Err(status)) => Failure::from_status(&status),
        Err(late) => return Err(Failure::unavailable("IDENTITY_UNAVAILABLE", late).into()),
    };
    Err(match failure.code {
        Answer::NotFound => Invalid::new(FIELD, "is no member of the tenant").into(),
        Answer::Unavailable | Answer::DeadlineExceeded | Answer::Cancelled | Answer::ResourceExhausted => {
            Failure::unavailable("IDENTITY_UNAVAILABLE", failure).into()
        }
        _ => failure.into(),
    })
}
