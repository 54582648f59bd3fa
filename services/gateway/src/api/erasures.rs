//! Erasures (GDPR Art. 17): requested, confirmed, followed, cancelled.

use lethe_ids::{ContactId, ConversationId, ErasureId};
use lethe_proto::retention::{
    self as proto, CancelErasureRequest, ConfirmErasureRequest, GetErasureRequest, ListErasuresRequest,
    RequestErasureRequest,
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
    /// Where an erasure stands.
    ErasureState is proto::ErasureState {
        /// Counted; waits for the confirmation.
        Requested = "requested",
        /// Confirmed; being fenced.
        Confirmed = "confirmed",
        /// Fenced everywhere; being purged.
        Fenced = "fenced",
        /// Purged everywhere; being verified.
        Purged = "purged",
        /// Absence was re-read; being certified.
        Verified = "verified",
        /// Certified: done. Will be verified again.
        Certified = "certified",
        /// Verified again and certified a second time.
        ReVerified = "re_verified",
        /// Cancelled before the fence.
        Cancelled = "cancelled",
    }
}

wire_enum! {
    /// How much of a contact is erased.
    Mode is lethe_proto::erasure::Mode {
        /// All that there is of the contact.
        Everything = "everything",
        /// One conversation; the contact lives on.
        Conversation = "conversation",
        /// The contact without its messages: they stay, under a new anonymous contact.
        ContactOnly = "contact_only",
        /// All e-mail of the contact, who lives on.
        Email = "email",
    }
}

/// A number of things of one kind in one store.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tally {
    #[schema(example = "postgres")]
    store: String,
    #[schema(example = "messages")]
    kind: String,
    count: u64,
}

/// Where one participant stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Participant {
    #[schema(example = "messaging")]
    participant: String,
    fenced: bool,
    purged: bool,
    verified: bool,
    /// A stable code; `null` when it does not wait.
    #[schema(example = "UNAVAILABLE")]
    waits_for: Option<String>,
    /// Tries of the step that it is at.
    attempts: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<String>,
}

/// An erasure.
#[derive(Serialize, ToSchema)]
pub(crate) struct Erasure {
    #[schema(example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    erasure_id: String,
    /// `null` once certified: whose it was stands only as a commitment in the certificate.
    #[schema(example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: Option<String>,
    #[schema(value_type = Mode)]
    mode: &'static str,
    /// Of the mode `conversation`; `null` once certified.
    #[schema(example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    conversation_id: Option<String>,
    /// The contact's addresses stay blocked for every outbound message.
    suppress: bool,
    #[schema(value_type = ErasureState)]
    state: &'static str,
    /// Receipt of the request; the period of Art. 12(3) runs from it.
    #[schema(value_type = String, format = DateTime)]
    received_at: Option<String>,
    /// One month from receipt, as the law counts.
    #[schema(value_type = String, format = DateTime)]
    due_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    confirmed_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    certified_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    re_verified_at: Option<String>,
    /// How much there is, or was.
    tallies: Vec<Tally>,
    participants: Vec<Participant>,
    version: u64,
}

impl From<proto::Erasure> for Erasure {
    fn from(erasure: proto::Erasure) -> Self {
        let tally = |tally: lethe_proto::erasure::Tally| Tally {
            store: tally.store,
            kind: tally.kind,
            count: tally.count,
        };
        let participant = |state: proto::ParticipantState| Participant {
            participant: state.participant,
            fenced: state.fenced,
            purged: state.purged,
            verified: state.verified,
            waits_for: present(state.waits_for),
            attempts: state.attempts,
            next_attempt_at: instant(state.next_attempt_at),
        };
        Self {
            erasure_id: erasure.erasure_id,
            contact_id: present(erasure.contact_id),
            mode: Mode::word(erasure.mode),
            conversation_id: present(erasure.conversation_id),
            suppress: erasure.suppress,
            state: ErasureState::word(erasure.state),
            received_at: instant(erasure.received_at),
            due_at: instant(erasure.due_at),
            confirmed_at: instant(erasure.confirmed_at),
            certified_at: instant(erasure.certified_at),
            re_verified_at: instant(erasure.re_verified_at),
            tallies: erasure.tallies.into_iter().map(tally).collect(),
            participants: erasure.participants.into_iter().map(participant).collect(),
            version: erasure.version,
        }
    }
}

impl Erasure {
    fn reply(erasure: proto::Erasure) -> Reply<Self> {
        let version = erasure.version;
        Reply::ok(Self::from(erasure)).with_version(version)
    }
}

/// Whose data is to be erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact_id": "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa"}))]
pub(crate) struct NewErasure {
    #[schema(value_type = String)]
    contact_id: ContactId,
    /// Absent: everything.
    #[serde(default)]
    mode: Option<Mode>,
    /// Of the mode `conversation`, and of it alone: a conversation of the contact's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    conversation_id: Option<ConversationId>,
    /// Block the contact's addresses for every outbound message, also to whoever has them later. `START` from one of them
    /// lifts it.
    #[serde(default)]
    suppress: bool,
    /// When the person asked; absent: now. Not in the future.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    received_at: Option<At>,
}

/// An erasure that waits for its confirmation.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequestedErasure {
    erasure: Erasure,
    /// For the confirmation; good for 15 minutes; `null` in a replay.
    confirmation_token: Option<String>,
}

/// Requests the erasure of a contact, or of a part of it: counts what there is, and gives a token to confirm with.
#[utoipa::path(post, path = "/v1/erasures", tag = "erasures", params(IdempotencyKey),
    responses((status = 201, body = RequestedErasure, headers(("ETag" = String, description = "The version, for `If-Match`.")))),
    extensions(("x-lethe-rpc" = json!("RequestErasure"))))]
pub(crate) async fn request_erasure(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewErasure>,
) -> Result<Reply<RequestedErasure>, Problem> {
    let request = RequestErasureRequest {
        contact_id: body.contact_id.to_string(),
        received_at: body.received_at.map(At::timestamp),
        idempotency: key.idempotency(),
        mode: body.mode.map_or(0, |mode| mode.proto().into()),
        conversation_id: body
            .conversation_id
            .map(|conversation| conversation.to_string())
            .unwrap_or_default(),
        suppress: body.suppress,
    };
    let answer = acting.retention().request_erasure(request).await?.into_inner();
    let erasure = answer.erasure.ok_or_else(|| Problem::internal("retention requested no erasure"))?;
    let (location, version) = (format!("/v1/erasures/{}", erasure.erasure_id), erasure.version);
    let confirmation_token = present(answer.confirmation_token);
    let body = RequestedErasure { erasure: erasure.into(), confirmation_token };
    Ok(Reply::created(body, location).with_version(version))
}

/// Which erasures.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichErasures {
    /// In this state.
    #[param(inline)]
    state: Option<ErasureState>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of erasures.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasurePage {
    erasures: Vec<Erasure>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the erasures, newest first.
#[utoipa::path(get, path = "/v1/erasures", tag = "erasures", params(WhichErasures),
    responses((status = 200, body = ErasurePage)),
    extensions(("x-lethe-rpc" = json!("ListErasures"))))]
pub(crate) async fn list_erasures(
    acting: Acting,
    Query(query): Query<WhichErasures>,
) -> Result<Reply<ErasurePage>, Problem> {
    let filters = format!("{:?}", query.state);
    let list = acting.list("ListErasures", &filters);
    let request = ListErasuresRequest {
        state: query.state.map_or(0, |state| state.proto().into()),
        page: list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?,
    };
    let answer = acting.retention().list_erasures(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ErasurePage { erasures: answer.erasures.into_iter().map(Erasure::from).collect(), next }))
}

/// Shows an erasure: each participant's state, and why it waits.
#[utoipa::path(get, path = "/v1/erasures/{erasure_id}", tag = "erasures",
    params(("erasure_id" = String, Path, description = "The erasure's id.", example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Erasure)),
    extensions(("x-lethe-rpc" = json!("GetErasure"))))]
pub(crate) async fn get_erasure(
    acting: Acting,
    Id(erasure): Id<ErasureId>,
) -> Result<Reply<Erasure>, Problem> {
    let request = GetErasureRequest { erasure_id: erasure.to_string() };
    Ok(Erasure::reply(acting.retention().get_erasure(request).await?.into_inner()))
}

/// The token that the request gave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    #[schema(value_type = String)]
    confirmation_token: Text,
}

/// Confirms an erasure, which starts it. From the fence on there is no way back.
#[utoipa::path(post, path = "/v1/erasures/{erasure_id}/confirm", tag = "erasures",
    params(("erasure_id" = String, Path, description = "The erasure's id.", example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 202, body = Erasure)),
    extensions(("x-lethe-rpc" = json!("ConfirmErasure"))))]
pub(crate) async fn confirm_erasure(
    acting: Acting,
    Id(erasure): Id<ErasureId>,
    Json(body): Json<Confirmation>,
) -> Result<Reply<Erasure>, Problem> {
    let request = ConfirmErasureRequest {
        erasure_id: erasure.to_string(),
        confirmation_token: body.confirmation_token.0,
    };
    let answer = acting.retention().confirm_erasure(request).await?.into_inner();
    let version = answer.version;
    Ok(Reply::accepted(Erasure::from(answer), format!("/v1/erasures/{erasure}")).with_version(version))
}

/// Cancels an erasure: possible until the fence.
#[utoipa::path(post, path = "/v1/erasures/{erasure_id}/cancel", tag = "erasures",
    params(("erasure_id" = String, Path, description = "The erasure's id.", example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Erasure)),
    extensions(("x-lethe-rpc" = json!("CancelErasure"))))]
pub(crate) async fn cancel_erasure(
    acting: Acting,
    Id(erasure): Id<ErasureId>,
    _body: NoBody,
) -> Result<Reply<Erasure>, Problem> {
    let request = CancelErasureRequest { erasure_id: erasure.to_string() };
    Ok(Erasure::reply(acting.retention().cancel_erasure(request).await?.into_inner()))
}
