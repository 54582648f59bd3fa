//! Legal holds (GDPR Art. 17(3)): what nothing deletes until it is released, with a reason and an end.

use lethe_ids::{ContactId, ConversationId, HoldId};
use lethe_proto::retention::{
    self as proto, ListHoldsRequest, PlaceHoldRequest, ReleaseHoldRequest, place_hold_request::What,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::{Json, NoBody, Reply},
    json::{At, PageLimit, Text, instant, present, wire_enum},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// Why records are held.
    HoldReason is proto::HoldReason {
        /// Establishment, exercise or defence of legal claims.
        Litigation = "litigation",
        /// An authority investigates.
        Investigation = "investigation",
        /// A law says how long the record is kept.
        LegalObligation = "legal_obligation",
    }
}

wire_enum! {
    /// Where a hold stands.
    HoldState is proto::HoldState {
        /// Asked for; the records' keeper has not answered yet.
        Placing = "placing",
        /// Nothing deletes what it holds.
        Active = "active",
        /// It holds nothing any more.
        Released = "released",
    }
}

/// A legal hold.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hold {
    #[schema(example = "hld_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    hold_id: String,
    /// All of this contact; `null` for a conversation, and once what was held is erased.
    contact_id: Option<String>,
    /// This conversation.
    conversation_id: Option<String>,
    #[schema(value_type = HoldReason)]
    reason: &'static str,
    #[schema(example = "2-O-17/26")]
    case_reference: String,
    /// It is released then by itself.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Option<String>,
    #[schema(value_type = HoldState)]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    placed_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    released_at: Option<String>,
}

impl From<proto::Hold> for Hold {
    fn from(hold: proto::Hold) -> Self {
        Self {
            hold_id: hold.hold_id,
            contact_id: present(hold.contact_id),
            conversation_id: present(hold.conversation_id),
            reason: HoldReason::word(hold.reason),
            case_reference: hold.case_reference,
            ends_at: instant(hold.ends_at),
            state: HoldState::word(hold.state),
            placed_at: instant(hold.placed_at),
            released_at: instant(hold.released_at),
        }
    }
}

/// What is to be held: a contact or a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact_id": "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa", "reason": "litigation",
    "case_reference": "2-O-17/26", "ends_at": "2027-12-31T00:00:00Z"}))]
pub(crate) struct NewHold {
    /// All of a contact: this or `conversation_id`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    contact_id: Option<ContactId>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    conversation_id: Option<ConversationId>,
    reason: HoldReason,
    /// A code, kept in the clear: it names nobody.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._/-]+$")]
    case_reference: Text,
    /// In the future: it is released then by itself.
    #[schema(value_type = String, format = DateTime)]
    ends_at: At,
}

/// Places a legal hold: nothing deletes what it holds, and an erasure of it waits.
#[utoipa::path(post, path = "/v1/holds", tag = "erasures", params(IdempotencyKey),
    responses((status = 201, body = Hold)),
    extensions(("x-lethe-rpc" = json!("PlaceHold"))))]
pub(crate) async fn place_hold(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewHold>,
) -> Result<Reply<Hold>, Problem> {
    let what = match (body.contact_id, body.conversation_id) {
        (Some(contact), None) => Some(What::ContactId(contact.to_string())),
        (None, Some(conversation)) => Some(What::ConversationId(conversation.to_string())),
        // Neither or both: retention says so.
        _ => None,
    };
    let request = PlaceHoldRequest {
        what,
        reason: body.reason.proto().into(),
        case_reference: body.case_reference.0,
        ends_at: Some(body.ends_at.timestamp()),
        idempotency: key.idempotency(),
    };
    let hold = acting.retention().place_hold(request).await?.into_inner();
    let location = format!("/v1/holds/{}", hold.hold_id);
    Ok(Reply::created(hold.into(), location))
}

/// Which holds.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichHolds {
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldPage {
    holds: Vec<Hold>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the holds, newest first, those that are over too.
#[utoipa::path(get, path = "/v1/holds", tag = "erasures", params(WhichHolds),
    responses((status = 200, body = HoldPage)),
    extensions(("x-lethe-rpc" = json!("ListHolds"))))]
pub(crate) async fn list_holds(
    acting: Acting,
    Query(query): Query<WhichHolds>,
) -> Result<Reply<HoldPage>, Problem> {
    let list = acting.list("ListHolds", "");
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let answer = acting.retention().list_holds(ListHoldsRequest { page }).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(HoldPage { holds: answer.holds.into_iter().map(Hold::from).collect(), next }))
}

/// Releases a hold before its end. Erasures that waited for it go on by themselves.
#[utoipa::path(post, path = "/v1/holds/{hold_id}/release", tag = "erasures",
    params(("hold_id" = String, Path, description = "The hold's id.", example = "hld_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Hold)),
    extensions(("x-lethe-rpc" = json!("ReleaseHold"))))]
pub(crate) async fn release_hold(
    acting: Acting,
    Id(hold): Id<HoldId>,
    _body: NoBody,
) -> Result<Reply<Hold>, Problem> {
    let request = ReleaseHoldRequest { hold_id: hold.to_string() };
    Ok(Reply::ok(Hold::from(acting.retention().release_hold(request).await?.into_inner())))
}
