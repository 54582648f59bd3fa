//! The log of what API keys asked, for audit.

use lethe_ids::ApiKeyId;
use lethe_proto::identity::{self as proto, ListApiRequestsRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Reply,
    json::{At, PageLimit, Text, instant, present},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// A request that an API key signed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiRequest {
    /// As in the answer's `x-request-id`, and in the audit trail.
    #[schema(example = "01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    request_id: String,
    #[schema(example = "key_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    api_key_id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Option<String>,
    #[schema(example = "GET")]
    method: Option<String>,
    /// The route's template; what stood in the path, the query and the body is not kept.
    #[schema(example = "/v1/contacts/{contact_id}")]
    route: Option<String>,
    /// The operation, as the audit trail names it.
    #[schema(example = "GetContact")]
    operation: Option<String>,
    /// The answer's status; `null` for requests that were missed.
    status: Option<u32>,
    /// More than 0: so many requests of the key, up to this time, could not be recorded one by one.
    missed: u32,
}

impl From<proto::ApiRequest> for ApiRequest {
    fn from(request: proto::ApiRequest) -> Self {
        Self {
            request_id: request.request_id,
            api_key_id: request.api_key_id,
            at: instant(request.at),
            method: present(request.method),
            route: present(request.route),
            operation: present(request.rpc),
            status: Some(request.status).filter(|status| *status > 0),
            missed: request.missed,
        }
    }
}

/// Which of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichRequests {
    /// Whose.
    #[param(value_type = Option<String>, example = "key_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    api_key_id: Option<ApiKeyId>,
    /// Not before (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<At>,
    /// Before (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<At>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of the log, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiRequestPage {
    requests: Vec<ApiRequest>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists what API keys asked, newest first, 90 days back; a request is there about a second after its answer.
#[utoipa::path(get, path = "/v1/api-requests", tag = "api-keys", params(WhichRequests),
    responses((status = 200, body = ApiRequestPage)),
    extensions(("x-lethe-rpc" = json!("ListApiRequests"))))]
pub(crate) async fn list_api_requests(
    acting: Acting,
    Query(query): Query<WhichRequests>,
) -> Result<Reply<ApiRequestPage>, Problem> {
    let WhichRequests { api_key_id, from, until, limit, after } = query;
    let filters = format!("{:?}", (api_key_id, from, until));
    let list = acting.list("ListApiRequests", &filters);
    let request = ListApiRequestsRequest {
        api_key_id: api_key_id.map(|key| key.to_string()).unwrap_or_default(),
        from: from.map(At::timestamp),
        until: until.map(At::timestamp),
        page: list.page(limit, after.as_ref().map(|after| after.0.as_str()))?,
    };
    let answer = acting.api_keys().list_api_requests(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ApiRequestPage { requests: answer.requests.into_iter().map(Into::into).collect(), next }))
}
