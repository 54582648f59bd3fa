//! `UpdateSelf`: a member corrects what is kept of him (Art. 16). The address that he logs in by changes with his password alone: a
//! stolen session must not become an account.

use lethe_proto::identity::{Member, UpdateSelfRequest};
use tonic::Request;

use super::super::{
    Call, Identity, if_version,
    update_member::{self, Change},
};
use crate::{Error, domain::password::Password, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<UpdateSelfRequest>,
) -> Result<Member, Error> {
    let call = Call::of(&request)?;
    let asked = request.into_inner();
    let version = if_version(asked.if_version)?;
    let member = call.member()?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);
    if asked.email.is_some() {
        // Counted as for ChangePassword: a stolen session is no way to guess the password.
        let account = member.to_string();
        let attempt = identity.0.throttle.begin(account.as_bytes(), &account, identity.0.clock.millis())?;
        let current = Password::tried(&asked.current_password);
        if !identity.0.passwords.verify(current, Some(row.password_hash.clone())).await? {
            return Err(Error::WrongPassword);
        }
        attempt.succeeded();
    }
    let change = Change { name: asked.name, email: asked.email, phone: asked.phone };
    update_member::apply(identity, &call, "UpdateSelf", row, version, change).await
}
