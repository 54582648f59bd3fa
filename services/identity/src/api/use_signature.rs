//! `UseSignature`: takes a signature for the one change it was made for, whichever gateway it came to.
//!
//! Asked for changes alone that nothing else keeps from being done twice: what creates has its idempotency row, what
//! changes a version has that version.

use lethe_ambient::{Planted, planted};
use lethe_ids::{ApiKeyId, TenantId};
use lethe_proto::identity::{UseSignatureRequest, UseSignatureResponse};
use lethe_service::id;
use tonic::Request;

use super::Identity;
use crate::{Error, domain::Invalid, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<UseSignatureRequest>,
) -> Result<UseSignatureResponse, Error> {
    let asked = request.get_ref();
    let tenant: TenantId = id("tenant_id", &asked.tenant_id)?;
    let key: ApiKeyId = id("api_key_id", &asked.api_key_id)?;
    if asked.signature.len() != 32 {
        return Err(Invalid::new("signature", "must be 32 bytes").into());
    }
    let mut tx = identity.0.db.tenant(tenant).await?;
    let now = identity.0.clock.now();
    let fresh = store::api_request::use_signature(&mut tx, key, &asked.signature, now).await?;
    tx.commit().await?;
    Ok(UseSignatureResponse { fresh: fresh || planted(Planted::SignatureReplayed) })
}
