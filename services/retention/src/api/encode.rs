//! An erasure as the protobuf says it.

use lethe_proto::{
    erasure::{self, CountResponse, Tally},
    retention::{Erasure, ErasureState, Hold, HoldReason as WireReason, HoldState as WireState},
};
use lethe_service::{TenantTx, timestamp};
use prost::Message;
use time::OffsetDateTime;

use crate::{
    domain::{HoldReason, HoldState, Mode, State},
    error::Error,
    saga::participant_states,
    store::{self, Held, StepRow},
};

/// The wire's word for a state.
pub(super) fn state_to_wire(state: State) -> ErasureState {
    match state {
        State::Requested => ErasureState::Requested,
        State::Confirmed => ErasureState::Confirmed,
        State::Fenced => ErasureState::Fenced,
        State::Purged => ErasureState::Purged,
        State::Verified => ErasureState::Verified,
        State::Certified => ErasureState::Certified,
        State::ReVerified => ErasureState::ReVerified,
        State::Cancelled => ErasureState::Cancelled,
    }
}

/// Our word for the wire's state; `None` for unspecified.
pub(super) fn state_of_wire(state: ErasureState) -> Option<State> {
    Some(match state {
        ErasureState::Unspecified => return None,
        ErasureState::Requested => State::Requested,
        ErasureState::Confirmed => State::Confirmed,
        ErasureState::Fenced => State::Fenced,
        ErasureState::Purged => State::Purged,
        ErasureState::Verified => State::Verified,
        ErasureState::Certified => State::Certified,
        ErasureState::ReVerified => State::ReVerified,
        ErasureState::Cancelled => State::Cancelled,
    })
}

/// The wire's word for a mode.
pub(crate) fn mode_to_wire(mode: Mode) -> erasure::Mode {
    match mode {
        Mode::Everything => erasure::Mode::Everything,
        Mode::Conversation => erasure::Mode::Conversation,
        Mode::ContactOnly => erasure::Mode::ContactOnly,
        Mode::Email => erasure::Mode::Email,
    }
}

/// Our word for the wire's mode.
pub(super) fn mode_of_wire(mode: erasure::Mode) -> Mode {
    match mode {
        erasure::Mode::Unspecified | erasure::Mode::Everything => Mode::Everything,
        erasure::Mode::Conversation => Mode::Conversation,
        erasure::Mode::ContactOnly => Mode::ContactOnly,
        erasure::Mode::Email => Mode::Email,
    }
}

/// Our word for the wire's reason of a hold; `None` for unspecified.
pub(super) fn reason_of_wire(reason: WireReason) -> Option<HoldReason> {
    Some(match reason {
        WireReason::Unspecified => return None,
        WireReason::Litigation => HoldReason::Litigation,
        WireReason::Investigation => HoldReason::Investigation,
        WireReason::LegalObligation => HoldReason::LegalObligation,
    })
}

/// A hold as the protobuf says it.
pub(super) fn hold(row: &store::Hold) -> Hold {
    let (contact_id, conversation_id) = match row.held {
        Some(Held::Contact(id)) => (id.to_string(), String::new()),
        Some(Held::Conversation(id)) => (String::new(), id.to_string()),
        None => Default::default(),
    };
    let reason = match row.reason {
        HoldReason::Litigation => WireReason::Litigation,
        HoldReason::Investigation => WireReason::Investigation,
        HoldReason::LegalObligation => WireReason::LegalObligation,
    };
    let state = match row.state {
        HoldState::Placing => WireState::Placing,
        HoldState::Active => WireState::Active,
        HoldState::Releasing | HoldState::Released => WireState::Released,
    };
    Hold {
        hold_id: row.id.to_string(),
        contact_id,
        conversation_id,
        reason: reason.into(),
        case_reference: row.case_reference.clone(),
        ends_at: Some(timestamp(row.ends_at)),
        state: state.into(),
        placed_at: Some(timestamp(row.placed_at)),
        released_at: row.released_at.map(timestamp),
    }
}

/// The erasure with its participants' counts and states, as the transaction sees it.
pub(super) async fn erasure(
    tx: &mut TenantTx,
    row: &store::Erasure,
    now: OffsetDateTime,
) -> Result<Erasure, Error> {
    let participants = store::participants(tx, row.id).await?;
    let steps = store::steps(tx, row.id).await?;
    encode(row, &participants, &steps, now)
}

fn encode(
    row: &store::Erasure,
    participants: &[(String, Vec<u8>)],
    steps: &[StepRow],
    now: OffsetDateTime,
) -> Result<Erasure, Error> {
    let mut tallies: Vec<Tally> = Vec::new();
    for (_, counted) in participants {
        let counted = CountResponse::decode(&counted[..]).map_err(|_| Error::Damaged)?;
        for tally in counted.tallies {
            match tallies.iter_mut().find(|known| known.store == tally.store && known.kind == tally.kind) {
                Some(known) => known.count = known.count.saturating_add(tally.count),
                None => tallies.push(tally),
            }
        }
    }
    let names: Vec<String> = participants.iter().map(|(name, _)| name.clone()).collect();
    let contact = row.contact.filter(|_| !row.state.is_certified());
    let conversation = row.conversation.filter(|_| !row.state.is_certified());
    Ok(Erasure {
        erasure_id: row.id.to_string(),
        contact_id: contact.map(|contact| contact.to_string()).unwrap_or_default(),
        state: state_to_wire(row.state).into(),
        received_at: Some(timestamp(row.received_at)),
        due_at: Some(timestamp(row.due_at)),
        confirmed_at: row.confirmed_at.map(timestamp),
        certified_at: row.certified_at.map(timestamp),
        re_verified_at: row.re_verified_at.map(timestamp),
        tallies,
        participants: participant_states(row.state, &names, steps, now),
        version: row.version,
        mode: mode_to_wire(row.mode).into(),
        conversation_id: conversation.map(|conversation| conversation.to_string()).unwrap_or_default(),
        suppress: row.suppress,
    })
}
