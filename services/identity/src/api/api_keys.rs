//! `ApiKeyService`: machines as callers. Each RPC is its file's `handle`.

use lethe_keyring::{KeyError, Purpose};
use lethe_proto::identity::{self as proto, api_key_service_server::ApiKeyService};
use lethe_service::timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use super::{
    Identity, authenticate_signature, create_api_key, lease_rates, list_api_keys, list_api_requests,
    record_api_requests, revoke_api_key, use_signature,
};
use crate::{Error, store::api_key::ApiKeyRow};

macro_rules! rpcs {
    ($($rpc:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl ApiKeyService for Identity {
            $(async fn $rpc(&self, request: Request<proto::$request>) -> Result<Response<proto::$response>, Status> {
                $rpc::handle(self, request).await.map(Response::new).map_err(Status::from)
            })*
        }
    };
}

rpcs! {
    create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse;
    list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse;
    revoke_api_key(RevokeApiKeyRequest) -> ApiKey;
    list_api_requests(ListApiRequestsRequest) -> ListApiRequestsResponse;
    authenticate_signature(AuthenticateSignatureRequest) -> AuthenticateSignatureResponse;
    use_signature(UseSignatureRequest) -> UseSignatureResponse;
    record_api_requests(RecordApiRequestsRequest) -> RecordApiRequestsResponse;
    lease_rates(LeaseRatesRequest) -> LeaseRatesResponse;
}

impl Identity {
    /// A key as those see it who may make keys: never its secret.
    pub(super) async fn api_key(
        &self,
        tenant: lethe_ids::TenantId,
        row: &ApiKeyRow,
        last_used_at: Option<OffsetDateTime>,
    ) -> Result<proto::ApiKey, Error> {
        let name = match self.0.keyring.sealer(tenant, row.subject, row.name_unit).await {
            Ok(sealer) => sealer.open(Purpose::TenantProfile, row.id.uuid(), 1, &row.name)?,
            // Its row is about to go.
            Err(KeyError::Destroyed) => zeroize::Zeroizing::default(),
            Err(error) => return Err(error.into()),
        };
        let name = std::str::from_utf8(&name).map_err(|_| Error::Corrupt("api key name"))?;
        Ok(proto::ApiKey {
            api_key_id: row.id.to_string(),
            keyid: lethe_access::keyid(tenant, row.id),
            name: name.to_owned(),
            scopes: row.scopes.as_slice().iter().map(|scope| i32::from(*scope)).collect(),
            requests_per_minute: row.requests_per_minute.unwrap_or_default().unsigned_abs(),
            created_by: row.created_by.to_string(),
            created_at: Some(timestamp(row.created_at)),
            expires_at: row.expires_at.map(timestamp),
            revoked_at: row.revoked_at.map(timestamp),
            last_used_at: last_used_at.map(timestamp),
        })
    }
}
