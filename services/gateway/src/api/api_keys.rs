//! API keys: programs of the tenant's that sign their requests.

use lethe_access::Revoked;
use lethe_ids::ApiKeyId;
use lethe_proto::{
    access,
    identity::{self as proto, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::Page;
use crate::{
    body::{Json, NoBody, Reply},
    json::{At, Text, instant, present, wire_enum},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// What a key may be allowed.
    Scope is access::Permission {
        /// Contacts, conversations, messages and search.
        ReadInbox = "read_inbox",
        /// Accept messages, open conversations.
        Send = "send",
        /// Edit and delete messages, change conversations.
        Edit = "edit",
        /// Create and rectify contacts; consent, opt-out, restriction.
        UserData = "user_data",
        /// Request, confirm and cancel erasures.
        Erase = "erase",
        /// Erasures and their certificates.
        ReadErasures = "read_erasures",
        /// The tenant's settings.
        AppSettings = "app_settings",
        /// The tenant's plan.
        Billing = "billing",
        /// Members and their roles; owners are beyond a key.
        Members = "members",
        /// The audit trail, and the log of requests.
        ReadAudit = "read_audit",
        /// Legal holds.
        Holds = "holds",
    }
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    #[schema(example = "key_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    api_key_id: String,
    /// What signatures name it by, as `keyid`.
    #[schema(example = "lth_k_01998f2ac3e47b0f8a5d2f60b1c9e7aa_01998f2ac3e47b0f8a5d2f60b1c9e7ab")]
    keyid: String,
    #[schema(example = "Nightly import")]
    name: String,
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<&'static str>,
    /// A limit of its own; `null`: the one that all keys have.
    requests_per_minute: Option<u32>,
    /// The member who made it.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    /// Not in force from then on; `null`: until it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<String>,
    /// By the log of requests, which is seconds behind.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<String>,
}

impl From<proto::ApiKey> for ApiKey {
    fn from(key: proto::ApiKey) -> Self {
        Self {
            api_key_id: key.api_key_id,
            keyid: key.keyid,
            name: key.name,
            scopes: key.scopes.iter().map(|scope| Scope::word(*scope)).collect(),
            requests_per_minute: Some(key.requests_per_minute).filter(|most| *most > 0),
            created_by: key.created_by,
            created_at: instant(key.created_at),
            expires_at: instant(key.expires_at),
            revoked_at: instant(key.revoked_at),
            last_used_at: instant(key.last_used_at),
        }
    }
}

/// A new API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Nightly import", "scopes": ["read_inbox", "user_data"], "requests_per_minute": 600}))]
pub(crate) struct NewApiKey {
    /// 1 to 100 characters.
    #[schema(value_type = String)]
    name: Text,
    /// At least one, and none that you may not do yourself.
    scopes: Vec<Scope>,
    /// 1 to 600,000; without it the limit that all keys have.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 600_000)]
    requests_per_minute: Option<std::num::NonZeroU32>,
    /// In the future (RFC 3339); without it the key is good until it is revoked.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<At>,
}

/// A new API key, with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedApiKey {
    api_key: ApiKey,
    /// `lth_k_<tenant>_<key>_<secret>`: what signs is the 32 bytes that its last 43 characters are in base64url. Shown once;
    /// `null` in a replay.
    #[schema(example = "lth_k_01998f2ac3e47b0f8a5d2f60b1c9e7aa_01998f2ac3e47b0f8a5d2f60b1c9e7ab_9jN1…")]
    secret: Option<String>,
}

/// Creates an API key.
///
/// It may do what its scopes say, whoever made it stays or goes. Its secret signs requests (RFC 9421, `hmac-sha256`).
#[utoipa::path(post, path = "/v1/api-keys", tag = "api-keys", params(IdempotencyKey),
    responses((status = 201, body = CreatedApiKey)),
    extensions(("x-lethe-rpc" = json!("CreateApiKey"))))]
pub(crate) async fn create_api_key(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewApiKey>,
) -> Result<Reply<CreatedApiKey>, Problem> {
    let request = CreateApiKeyRequest {
        name: body.name.0,
        scopes: body.scopes.iter().map(|scope| scope.proto().into()).collect(),
        requests_per_minute: body.requests_per_minute.map_or(0, std::num::NonZeroU32::get),
        expires_at: body.expires_at.map(At::timestamp),
        idempotency: key.idempotency(),
    };
    let answer = acting.api_keys().create_api_key(request).await?.into_inner();
    let api_key = answer.api_key.ok_or_else(|| Problem::internal("identity created no API key"))?;
    let location = format!("/v1/api-keys/{}", api_key.api_key_id);
    Ok(Reply::created(CreatedApiKey { api_key: api_key.into(), secret: present(answer.secret) }, location))
}

/// A page of API keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyPage {
    api_keys: Vec<ApiKey>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the API keys, newest first; revoked ones as long as their requests are kept.
#[utoipa::path(get, path = "/v1/api-keys", tag = "api-keys", params(Page),
    responses((status = 200, body = ApiKeyPage)),
    extensions(("x-lethe-rpc" = json!("ListApiKeys"))))]
pub(crate) async fn list_api_keys(
    acting: Acting,
    Query(page): Query<Page>,
) -> Result<Reply<ApiKeyPage>, Problem> {
    let list = acting.list("ListApiKeys", "");
    let request = ListApiKeysRequest { page: list.page(page.limit, page.after())? };
    let answer = acting.api_keys().list_api_keys(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ApiKeyPage { api_keys: answer.api_keys.into_iter().map(ApiKey::from).collect(), next }))
}

/// Revokes an API key, at once and everywhere, and destroys its secret.
#[utoipa::path(delete, path = "/v1/api-keys/{api_key_id}", tag = "api-keys",
    params(("api_key_id" = String, Path, description = "The key's id.", example = "key_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = ApiKey)),
    extensions(("x-lethe-rpc" = json!("RevokeApiKey"))))]
pub(crate) async fn revoke_api_key(
    acting: Acting,
    Id(key): Id<ApiKeyId>,
    _body: NoBody,
) -> Result<Reply<ApiKey>, Problem> {
    let request = RevokeApiKeyRequest { api_key_id: key.to_string() };
    let answer = acting.api_keys().revoke_api_key(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::ApiKey(key));
    Ok(Reply::ok(answer.into()))
}
