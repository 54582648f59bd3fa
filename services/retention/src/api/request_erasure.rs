//! RequestErasure: registers the request with the date of its receipt, counts at every participant, and answers the counts
//! with a token to confirm them. Changes nothing anywhere else.
//!
//! The surprising thing: the row is inserted first and the fence looked at afterwards, in one transaction. A contact that is
//! fenced in between is either still held by the open erasure's unique index or already seen here.

use futures::future::try_join_all;
use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, SubjectId, UnitId};
use lethe_proto::{
    erasure::{CountRequest, CountResponse, Scope, participant_service_client::ParticipantServiceClient},
    request::Idempotency,
    retention::{RequestErasureRequest, RequestErasureResponse},
};
use lethe_service::{Failure, TenantTx, body_mac, id, instant};
use prost::Message;
use time::OffsetDateTime;

use super::{Api, Asking, encode};
use crate::{
    domain::{Confirmation, Mode, State},
    error::Error,
    store::{self, NewErasure},
};

/// What is asked for, decoded.
struct Asked {
    contact: ContactId,
    mode: Mode,
    conversation: Option<ConversationId>,
    suppress: bool,
    received_at: OffsetDateTime,
    key: String,
    body: RequestErasureRequest,
}

pub(super) async fn request_erasure(
    api: &Api,
    asking: &Asking,
    request: RequestErasureRequest,
) -> Result<RequestErasureResponse, Error> {
    let now = api.clock().now();
    let mut asked = Asked::decode(request, now)?;
    let due_at = api
        .calendar
        .due_at(asked.received_at)
        .map_err(|_| Failure::invalid("received_at", "lies outside the calendar"))?;

    let mut tx = api.db().tenant(asking.tenant).await?;
    if let Some(answer) = replay(&mut tx, &asked, now).await? {
        return Ok(answer);
    }
    refuse_if_open(&mut tx, &asked, now).await?;
    drop(tx);

    let participants = count(api, asking, &mut asked).await?;
    let new_id = ErasureId::new(api.entropy().uuid7(api.clock()));
    register(api, asking, &asked, due_at, new_id, &participants).await
}

impl Asked {
    fn decode(mut request: RequestErasureRequest, now: OffsetDateTime) -> Result<Self, Failure> {
        let contact = id("contact_id", &request.contact_id)?;
        let mode = encode::mode_of_wire(request.mode());
        let conversation = match (mode, request.conversation_id.as_str()) {
            (Mode::Conversation, text) => Some(id("conversation_id", text)?),
            (_, "") => None,
            _ => return Err(Failure::invalid("conversation_id", "belongs to the mode conversation alone")),
        };
        let received_at = match &request.received_at {
            Some(at) => instant(at, "received_at")?,
            None => now,
        };
        if received_at > now {
            return Err(Failure::invalid("received_at", "must not be in the future"));
        }
        let Idempotency { key } = request.idempotency.take().unwrap_or_default();
        let fits = (1..=64).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !fits {
            return Err(Failure::invalid("idempotency.key", "must be 1 to 64 characters of A-Z a-z 0-9 _ -"));
        }
        let suppress = request.suppress;
        Ok(Self { contact, mode, conversation, suppress, received_at, key, body: request })
    }
}

/// The answer to a key that was used before: the erasure as it is now, without a token.
async fn replay(
    tx: &mut TenantTx,
    asked: &Asked,
    now: OffsetDateTime,
) -> Result<Option<RequestErasureResponse>, Error> {
    let Some(known) = store::recall(tx, &asked.key).await? else { return Ok(None) };
    let (mac_key, mac) = known.body;
    if body_mac(&mac_key, &asked.body) != mac {
        return Err(Error::IdempotencyKeyReused);
    }
    let row = store::get(tx, known.erasure).await?.ok_or(Error::Damaged)?;
    let erasure = encode::erasure(tx, &row, now).await?;
    Ok(Some(RequestErasureResponse { erasure: Some(erasure), confirmation_token: String::new() }))
}

/// One that waits for its confirmation in vain may be counted again; any other stands in the way.
async fn refuse_if_open(
    tx: &mut TenantTx,
    asked: &Asked,
    now: OffsetDateTime,
) -> Result<Option<store::Erasure>, Error> {
    refuse_if_fenced(tx, asked).await?;
    match store::open_of(tx, asked.contact, asked.mode, asked.conversation).await? {
        Some(open) if open.state == State::Requested && open.confirmation.expires_at <= now => Ok(Some(open)),
        Some(_) => Err(Error::ErasureAlreadyOpen),
        None => Ok(None),
    }
}

/// Nothing is erased a second time.
async fn refuse_if_fenced(tx: &mut TenantTx, asked: &Asked) -> Result<(), Error> {
    if store::is_fenced(tx, asked.contact).await? {
        return Err(Error::ContactNotFound);
    }
    match asked.conversation {
        Some(conversation) if store::is_conversation_fenced(tx, conversation).await? => {
            Err(Error::ConversationNotFound)
        }
        _ => Ok(()),
    }
}

/// Names and encoded counts, in the order of fencing. The first one, messaging, says which conversations the others count, and
/// who the contact is now, if it was merged: then that one's erasure is asked for.
async fn count(api: &Api, asking: &Asking, asked: &mut Asked) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let context = asking.context.clone().without_principal().within(api.count_timeout);
    // Counting binds no scope yet: these ids are of no further use.
    let mut scope = Scope {
        scope_id: ScopeId::new(api.entropy().uuid4()).to_string(),
        tenant_id: asking.tenant.to_string(),
        erasure_id: ErasureId::new(api.entropy().uuid7(api.clock())).to_string(),
        contact_id: asked.contact.to_string(),
        mode: encode::mode_to_wire(asked.mode).into(),
        conversation_ids: asked.conversation.iter().map(ConversationId::to_string).collect(),
        suppress: asked.suppress,
        other_contact_ids: Vec::new(),
    };
    let count = async |name: &String, scope: Scope| {
        let mut client = ParticipantServiceClient::new(api.saga.peers.client(name, &context));
        match client.count(CountRequest { scope: Some(scope) }).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(Error::ParticipantUnavailable {
                participant: name.clone(),
                source: Box::new(Failure::from_status(&status)),
            }),
        }
    };
    let Some((first, others)) = api.participants.split_first() else { return Err(Error::Damaged) };
    let mut first = count(first, scope.clone()).await?;
    // Named to the others, and kept nowhere.
    if !asked.mode.is_whole() {
        scope.conversation_ids = std::mem::take(&mut first.conversation_ids);
    }
    if let Some((owner, others)) = std::mem::take(&mut first.contact_ids).split_first() {
        asked.contact = owner.parse().map_err(|_| Error::Damaged)?;
        scope.contact_id.clone_from(owner);
        if asked.mode.is_whole() {
            scope.other_contact_ids = others.to_vec();
        }
    }
    let mut counts: Vec<CountResponse> = vec![first];
    counts.extend(try_join_all(others.iter().map(|name| count(name, scope.clone()))).await?);
    if !counts.iter().any(|count| count.known) {
        return Err(match asked.conversation {
            Some(_) => Error::ConversationNotFound,
            None => Error::ContactNotFound,
        });
    }
    Ok(api.participants.iter().cloned().zip(counts.iter().map(Message::encode_to_vec)).collect())
}

async fn register(
    api: &Api,
    asking: &Asking,
    asked: &Asked,
    due_at: OffsetDateTime,
    new_id: ErasureId,
    participants: &[(String, Vec<u8>)],
) -> Result<RequestErasureResponse, Error> {
    let (entropy, now) = (api.entropy(), api.clock().now());
    let mut tx = api.db().tenant(asking.tenant).await?;
    let open = refuse_if_open(&mut tx, asked, now).await?;
    let erasure_id = open.as_ref().map_or(new_id, |open| open.id);
    let (token, confirmation) =
        Confirmation::issue(entropy.bytes(), erasure_id, &counts_of(participants), now);
    let new = NewErasure {
        id: erasure_id,
        contact: asked.contact,
        mode: asked.mode,
        conversation: asked.conversation,
        suppress: asked.suppress,
        actor: asking.actor,
        received_at: asked.received_at,
        due_at,
        requested_at: now,
        confirmation: &confirmation,
        scope: ScopeId::new(entropy.uuid4()),
        census_secrets: (SubjectId::new(entropy.uuid4()), UnitId::new(entropy.uuid4())),
        participants,
    };
    match &open {
        Some(_) => store::recount(&mut tx, erasure_id, &new).await?,
        None => store::insert(&mut tx, &new).await.map_err(taken)?,
    }
    refuse_if_fenced(&mut tx, asked).await?;
    let mac_key = entropy.bytes();
    let mac = body_mac(&mac_key, &asked.body);
    store::remember(&mut tx, &asked.key, erasure_id, (&mac_key, &mac), now).await.map_err(taken)?;
    let row = store::get(&mut tx, erasure_id).await?.ok_or(Error::Damaged)?;
    if open.is_none() {
        api.saga.announce(&mut tx, erasure_id, State::Requested, row.version).await?;
    }
    api.audit(&mut tx, asking, "RequestErasure", erasure_id).await?;
    let erasure = encode::erasure(&mut tx, &row, now).await?;
    tx.commit().await?;
    api.saga.outbox.wake();
    Ok(RequestErasureResponse { erasure: Some(erasure), confirmation_token: token.expose().clone() })
}

/// What a token is bound to.
pub(super) fn counts_of(participants: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut counts = Vec::new();
    for (name, counted) in participants {
        for part in [name.as_bytes(), counted] {
            counts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            counts.extend_from_slice(part);
        }
    }
    counts
}

/// Another request for the contact, or with the key, was first by a moment.
fn taken(error: sqlx::Error) -> Error {
    if store::is_duplicate(&error) { Error::ErasureAlreadyOpen } else { error.into() }
}
