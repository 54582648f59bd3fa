//! `LogOut`: ends the session that asks. Twice is as once.

use lethe_access::Revoked;
use lethe_proto::identity::{LogOutRequest, LogOutResponse};
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<LogOutRequest>,
) -> Result<LogOutResponse, Error> {
    let call = Call::of(&request)?;
    let session = call.principal.session().ok_or(Error::PermissionDenied)?;
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if store::session::delete(&mut tx, &[session]).await? > 0 {
        identity.revoke(&mut tx, &mut told, Revoked::Session(session), identity.0.clock.millis()).await?;
        let done = call.done("LogOut", "session", session);
        identity.record(&mut tx, call.actor(), done).await?;
        tx.commit().await?;
        identity.tell(told);
    }
    Ok(LogOutResponse {})
}
