//! `ResetPassword`: a new one-time password for a member who lost his. His sessions end, and the password of before is worth
//! nothing. Each call makes another.
//!
//! Whoever asks learns the password, and could log in by it: so he may do all that its member may, and it is another's. A
//! key or an operator makes none: it would be a way round what they may do themselves.

use lethe_access::Revoked;
use lethe_ids::MemberId;
use lethe_proto::identity::{ResetPasswordRequest, ResetPasswordResponse};
use lethe_service::{TenantTx, id, timestamp};
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{
    Error,
    domain::password::Password,
    store::{self, member::MemberRow},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ResetPasswordRequest>,
) -> Result<ResetPasswordResponse, Error> {
    let call = Call::of(&request)?;
    let member: MemberId = id("member_id", &request.get_ref().member_id)?;
    // A stolen session is no way around one's own password.
    if call.member()? == member {
        return Err(Error::PermissionDenied);
    }
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    whose(&mut tx, &call, member).await?;
    drop(tx);
    let password = Password::one_time(&identity.0.entropy);
    let hash = identity.0.passwords.hash(password.clone()).await?;

    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::tenant::lock(&mut tx).await?;
    // Again: he may have been given more, or have left, meanwhile.
    let row = whose(&mut tx, &call, member).await?;
    let void_before_ms = identity.void_before_ms(&row);
    let expires_at = identity.one_time_until();
    store::member::reset_password(&mut tx, row.id, &hash, expires_at, void_before_ms).await?;
    store::session::delete_all(&mut tx, row.id, None).await?;
    identity.revoke(&mut tx, &mut told, Revoked::Member(row.id), void_before_ms).await?;
    let done = call.done("ResetPassword", "member", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    identity.tell(told);
    Ok(ResetPasswordResponse {
        one_time_password: password.expose().to_owned(),
        password_expires_at: Some(timestamp(expires_at)),
    })
}

/// The active member whose password the caller may make.
async fn whose(tx: &mut TenantTx, call: &Call, member: MemberId) -> Result<MemberRow, Error> {
    let row = store::member::get(tx, member).await?.ok_or(Error::NotFound("member"))?;
    super::may_act_as(call, &row.roles)?;
    if !row.active {
        return Err(Error::MemberInactive);
    }
    Ok(row)
}
