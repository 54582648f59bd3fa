//! `RevokeSession`: ends a session, at once and everywhere. Own ones; another member's with PERMISSION_MEMBERS. Who may
//! not learns nothing: there is no such session.

use lethe_access::{Permission, Revoked};
use lethe_ids::SessionId;
use lethe_proto::identity::{RevokeSessionRequest, RevokeSessionResponse};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RevokeSessionRequest>,
) -> Result<RevokeSessionResponse, Error> {
    let call = Call::of(&request)?;
    let session: SessionId = id("session_id", &request.get_ref().session_id)?;
    let own = call.member()?;
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let member = store::session::member_of(&mut tx, session).await?;
    if !member.is_some_and(|member| member == own || call.principal.allows(Permission::Members)) {
        return Err(Error::NotFound("session"));
    }
    store::session::delete(&mut tx, &[session]).await?;
    identity.revoke(&mut tx, &mut told, Revoked::Session(session), identity.0.clock.millis()).await?;
    let done = call.done("RevokeSession", "session", session);
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    identity.tell(told);
    Ok(RevokeSessionResponse {})
}
