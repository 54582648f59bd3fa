//! What members ask about their own data: to be erased, or that it is not used; and how that is answered.

use lethe_ids::MemberRequestId;
use lethe_proto::identity::{
    self as proto, CloseMemberRequestRequest, ListMemberRequestsRequest, ListOwnRequestsRequest,
    MakeOwnRequestRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::Page;
use crate::{
    body::{Json, Reply},
    json::{PageLimit, Text, given, instant, present, wire_enum},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// What a member asks.
    MemberRequestKind is proto::MemberRequestKind {
        /// To be erased (Art. 17).
        Erasure = "erasure",
        /// That the data is not used (Art. 21).
        Objection = "objection",
    }
}

wire_enum! {
    /// Where a member's request stands.
    MemberRequestState is proto::MemberRequestState {
        /// Nobody has answered yet.
        Open = "open",
        /// Done as asked.
        Granted = "granted",
        /// Not done; `refusal` says why.
        Refused = "refused",
    }
}

wire_enum! {
    /// Why a member's request is refused. Whoever is refused may complain to a supervisory authority (Art. 12(4)).
    MemberRequestRefusal is proto::MemberRequestRefusal {
        /// None of the grounds is given (Art. 17(1), Art. 21(1)).
        NoGround = "no_ground",
        /// Law demands the data (Art. 17(3)(b)).
        LegalObligation = "legal_obligation",
        /// Legal claims need it (Art. 17(3)(e), Art. 21(1)).
        LegalClaims = "legal_claims",
        /// Compelling legitimate grounds override (Art. 21(1)).
        OverridingGrounds = "overriding_grounds",
        /// Manifestly unfounded or excessive (Art. 12(5)).
        Unfounded = "unfounded",
    }
}

/// What a member asks about his own data.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberRequest {
    #[schema(example = "mrq_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_request_id: String,
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    #[schema(value_type = MemberRequestKind)]
    kind: &'static str,
    #[schema(value_type = MemberRequestState)]
    state: &'static str,
    #[schema(value_type = Option<MemberRequestRefusal>)]
    refusal: Option<&'static str>,
    /// The member's own words; gone when he is erased.
    grounds: Option<String>,
    /// What he is told beside the code; gone when he is erased.
    answer: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Option<String>,
    /// A month after receipt, as the law counts (Art. 12(3)).
    #[schema(value_type = String, format = DateTime)]
    due_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<String>,
    /// Who answered.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    closed_by: Option<String>,
}

impl From<proto::MemberRequest> for MemberRequest {
    fn from(request: proto::MemberRequest) -> Self {
        Self {
            member_request_id: request.member_request_id,
            member_id: request.member_id,
            kind: MemberRequestKind::word(request.kind),
            state: MemberRequestState::word(request.state),
            refusal: (request.refusal != 0).then(|| MemberRequestRefusal::word(request.refusal)),
            grounds: present(request.grounds),
            answer: present(request.answer),
            received_at: instant(request.received_at),
            due_at: instant(request.due_at),
            closed_at: instant(request.closed_at),
            closed_by: present(request.closed_by),
        }
    }
}

/// A page of members' requests.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberRequestPage {
    requests: Vec<MemberRequest>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// What the member asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "objection", "grounds": "My log-ins need not be kept for ninety days."}))]
pub(crate) struct NewMemberRequest {
    kind: MemberRequestKind,
    /// The member's own words; sealed.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, max_length = 2_000)]
    grounds: Option<Text>,
}

/// Asks, for the member himself, to be erased, or objects to the use of his data. One of a kind is open at a time.
#[utoipa::path(post, path = "/v1/self/requests", tag = "account", params(IdempotencyKey),
    responses((status = 201, body = MemberRequest)),
    extensions(("x-lethe-rpc" = json!("MakeOwnRequest"))))]
pub(crate) async fn make_own_request(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewMemberRequest>,
) -> Result<Reply<MemberRequest>, Problem> {
    let request = MakeOwnRequestRequest {
        kind: body.kind.proto().into(),
        grounds: body.grounds.unwrap_or_default().0,
        idempotency: key.idempotency(),
    };
    let made = acting.persons().make_own_request(request).await?.into_inner();
    Ok(Reply::created(made.into(), "/v1/self/requests"))
}

/// Lists what the member who asks has asked for, newest first, with the answers.
#[utoipa::path(get, path = "/v1/self/requests", tag = "account", params(Page),
    responses((status = 200, body = MemberRequestPage)),
    extensions(("x-lethe-rpc" = json!("ListOwnRequests"))))]
pub(crate) async fn list_own_requests(
    acting: Acting,
    Query(query): Query<Page>,
) -> Result<Reply<MemberRequestPage>, Problem> {
    // A cursor of one member's is none of another's.
    let whose = acting.session.principal.actor().to_string();
    let list = acting.list("ListOwnRequests", &whose);
    let page = list.page(query.limit, query.after())?;
    let answer = acting.persons().list_own_requests(ListOwnRequestsRequest { page }).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(MemberRequestPage { requests: answer.requests.into_iter().map(Into::into).collect(), next }))
}

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichMemberRequests {
    /// Those in this state; absent: all.
    #[param(inline, value_type = Option<MemberRequestState>)]
    state: Option<MemberRequestState>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// Lists what members asked about their own data, by when it is due.
#[utoipa::path(get, path = "/v1/member-requests", tag = "members", params(WhichMemberRequests),
    responses((status = 200, body = MemberRequestPage)),
    extensions(("x-lethe-rpc" = json!("ListMemberRequests"))))]
pub(crate) async fn list_member_requests(
    acting: Acting,
    Query(query): Query<WhichMemberRequests>,
) -> Result<Reply<MemberRequestPage>, Problem> {
    let state = query.state.map_or(0, |state| state.proto().into());
    let filters = MemberRequestState::word(state);
    let list = acting.list("ListMemberRequests", filters);
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let request = ListMemberRequestsRequest { state, page };
    let answer = acting.persons().list_member_requests(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(MemberRequestPage { requests: answer.requests.into_iter().map(Into::into).collect(), next }))
}

/// The answer to a member's request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "refused", "refusal": "legal_claims", "answer": "We need the records until the case is closed."}))]
pub(crate) struct MemberRequestAnswer {
    /// `granted` or `refused`.
    state: MemberRequestState,
    /// With `refused`, and only then.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    refusal: Option<MemberRequestRefusal>,
    /// What the member is told; sealed. Not with a granted erasure: nobody is left to read it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, max_length = 2_000)]
    answer: Option<Text>,
    /// To grant an erasure: the member's id once more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    confirmation: Option<Text>,
}

/// Answers what a member asked. Granting an erasure erases everything of the member, who was deactivated before.
#[utoipa::path(post, path = "/v1/member-requests/{member_request_id}/close", tag = "members",
    params(("member_request_id" = String, Path, description = "The request's id.", example = "mrq_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = MemberRequest)),
    extensions(("x-lethe-rpc" = json!("CloseMemberRequest"))))]
pub(crate) async fn close_member_request(
    acting: Acting,
    Id(request): Id<MemberRequestId>,
    Json(body): Json<MemberRequestAnswer>,
) -> Result<Reply<MemberRequest>, Problem> {
    let request = CloseMemberRequestRequest {
        member_request_id: request.to_string(),
        state: body.state.proto().into(),
        refusal: body.refusal.map_or(0, |refusal| refusal.proto().into()),
        answer: body.answer.unwrap_or_default().0,
        confirmation: body.confirmation.unwrap_or_default().0,
    };
    let closed = acting.persons().close_member_request(request).await?.into_inner();
    Ok(Reply::ok(closed.into()))
}
