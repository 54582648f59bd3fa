//! `ChangePassword`: a new password ends all other sessions. Principals of before are void: those of a one-time password
//! had no roles, and whoever stole one loses it.

use lethe_access::Revoked;
use lethe_proto::identity::{ChangePasswordRequest, ChangePasswordResponse};
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{Error, domain::password::Password, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ChangePasswordRequest>,
) -> Result<ChangePasswordResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.into_inner();
    let new = Password::chosen("new_password", &asked.new_password)?;
    // A stolen session is no way to guess the password.
    let member = call.member()?;
    let account = member.to_string();
    let attempt = identity.0.throttle.begin(account.as_bytes(), &account, identity.0.clock.millis())?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);

    let current = Password::tried(&asked.current_password);
    if !identity.0.passwords.verify(current, Some(row.password_hash.clone())).await? {
        return Err(Error::WrongPassword);
    }
    attempt.succeeded();
    if asked.current_password == asked.new_password {
        return Err(Error::SamePassword);
    }
    let new_hash = identity.0.passwords.hash(new).await?;

    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::tenant::lock(&mut tx).await?;
    let row_now = store::member::get(&mut tx, row.id).await?.ok_or(Error::NotFound("member"))?;
    let void_before_ms = identity.void_before_ms(&row_now);
    if !store::member::update_password(&mut tx, row.id, &row.password_hash, &new_hash, void_before_ms).await?
    {
        return Err(Error::WrongPassword);
    }
    for ended in store::session::delete_all(&mut tx, row.id, call.principal.session()).await? {
        identity.revoke(&mut tx, &mut told, Revoked::Session(ended), void_before_ms).await?;
    }
    identity.revoke(&mut tx, &mut told, Revoked::Member(row.id), void_before_ms).await?;
    let done = call.done("ChangePassword", "member", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    identity.tell(told);
    Ok(ChangePasswordResponse {})
}
