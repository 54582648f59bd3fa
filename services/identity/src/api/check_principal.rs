//! `CheckPrincipal`: whether a principal still stands, from the rows themselves.

use lethe_access::{Principal, Who};
use lethe_proto::identity::{CheckPrincipalRequest, CheckPrincipalResponse};
use lethe_service::id;
use tonic::Request;

use super::Identity;
use crate::{Error, revocation::OwnDatabase};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CheckPrincipalRequest>,
) -> Result<CheckPrincipalResponse, Error> {
    let asked = request.get_ref();
    let principal = Principal {
        tenant: id("tenant_id", &asked.tenant_id)?,
        who: if !asked.operator_access_id.is_empty() {
            let access = id("operator_access_id", &asked.operator_access_id)?;
            Who::Operator { access, scopes: [].into() }
        } else if asked.api_key_id.is_empty() {
            Who::Member {
                member: id("member_id", &asked.member_id)?,
                session: id("session_id", &asked.session_id)?,
                roles: [].into(),
                must_change_password: false,
            }
        } else {
            Who::ApiKey { key: id("api_key_id", &asked.api_key_id)?, scopes: [].into() }
        },
        issued_at_ms: asked.issued_at_ms,
        expires_at_ms: asked.issued_at_ms,
    };
    let own = OwnDatabase { db: identity.0.db.clone(), sessions: identity.0.sessions.clone() };
    Ok(CheckPrincipalResponse { valid: own.check(&principal).await? })
}
