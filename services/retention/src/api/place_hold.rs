//! PlaceHold: from its answer on nothing deletes the contact, or the conversation, until the hold is released or ends.
//! What is being erased already is refused: BEING_ERASED.

use lethe_ids::HoldId;
use lethe_proto::{
    request::Idempotency,
    retention::{Hold as WireHold, PlaceHoldRequest, place_hold_request::What},
};
use lethe_service::{Failure, id, instant};

use super::{Api, Asking, encode};
use crate::{
    domain::{HoldState, is_case_reference},
    error::Error,
    store::{self, Held, Hold},
};

pub(super) async fn place_hold(
    api: &Api,
    asking: &Asking,
    request: PlaceHoldRequest,
) -> Result<WireHold, Error> {
    let now = api.clock().now();
    let reason = encode::reason_of_wire(request.reason())
        .ok_or_else(|| Failure::invalid("reason", "must be one of the reasons"))?;
    let held = match request.what {
        Some(What::ContactId(text)) => Held::Contact(id("contact_id", &text)?),
        Some(What::ConversationId(text)) => Held::Conversation(id("conversation_id", &text)?),
        None => return Err(Failure::invalid("contact_id", "or conversation_id must be there").into()),
    };
    if !is_case_reference(&request.case_reference) {
        return Err(Failure::invalid("case_reference", "must be 1 to 64 of A-Z a-z 0-9 . _ / -").into());
    }
    let ends_at = request.ends_at.ok_or_else(|| Failure::invalid("ends_at", "is missing"))?;
    let ends_at = instant(&ends_at, "ends_at")?;
    if ends_at <= now {
        return Err(Failure::invalid("ends_at", "must be in the future").into());
    }
    let Idempotency { key } = request.idempotency.unwrap_or_default();
    let fits = (1..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !fits {
        return Err(
            Failure::invalid("idempotency.key", "must be 1 to 64 characters of A-Z a-z 0-9 _ -").into()
        );
    }
    let hold = Hold {
        id: HoldId::new(api.entropy().uuid7(api.clock())),
        held: Some(held),
        reason,
        case_reference: request.case_reference,
        ends_at,
        state: HoldState::Placing,
        placed_at: now,
        released_at: None,
    };
    let mut tx = api.db().tenant(asking.tenant).await?;
    // The job asks messaging again, should this call end before it does.
    let next = now + time::Duration::seconds(30);
    if store::insert_hold(&mut tx, &hold, asking.actor, &key, next).await? {
        api.audit_hold(&mut tx, asking, "PlaceHold", hold.id).await?;
        tx.commit().await?;
        api.saga.outbox.wake();
    }
    let mut tx = api.db().tenant(asking.tenant).await?;
    let known = store::hold_of_key(&mut tx, &key).await?.ok_or(Error::Damaged)?;
    drop(tx);
    let same = (known.held, known.reason, &known.case_reference, known.ends_at)
        == (hold.held, hold.reason, &hold.case_reference, hold.ends_at);
    if !same {
        return Err(Error::IdempotencyKeyReused);
    }
    api.saga.settle_hold(asking.tenant, known.id).await?;
    let mut tx = api.db().tenant(asking.tenant).await?;
    let placed = store::get_hold(&mut tx, known.id).await?.ok_or(Error::Damaged)?;
    Ok(encode::hold(&placed))
}
