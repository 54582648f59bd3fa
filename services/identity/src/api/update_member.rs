//! `UpdateMember`: name, e-mail address, phone; also for `UpdateSelf`. A new address is indexed before the row says so and the old one forgotten
//! after: a crash or a refusal in between leaves a hint too many, which log-in sees through and the keyring's job takes away,
//! never a member who is not found.

use lethe_ids::MemberId;
use lethe_keyring::AddressKind;
use lethe_proto::identity::{Member, UpdateMemberRequest};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity};
use crate::{
    Error,
    enrol::{self, Unborn},
    store::{self, member::MemberRow},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<UpdateMemberRequest>,
) -> Result<Member, Error> {
    let call = Call::of(&request)?;
    let asked = request.into_inner();
    let member: MemberId = id("member_id", &asked.member_id)?;
    let version = super::if_version(asked.if_version)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);
    super::may_touch(&call, &row.roles)?;
    let change = Change { name: asked.name, email: asked.email, phone: asked.phone };
    apply(identity, &call, "UpdateMember", row, version, change).await
}

/// What is to be another one; what is absent stays.
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
}

/// Changes the member whose row was read, if it still is the version that the caller saw.
pub(super) async fn apply(
    identity: &Identity,
    call: &Call,
    action: &'static str,
    mut row: MemberRow,
    version: i64,
    change: Change,
) -> Result<Member, Error> {
    let tenant = call.tenant();
    if row.erased.is_some() {
        return Err(Error::MemberErased);
    }
    if row.version != version {
        return Err(Error::VersionMismatch);
    }
    let sealer = identity.0.keyring.sealer(tenant, row.subject, row.unit).await?;
    let old = enrol::open_profile(&sealer, &row)?;
    let new = old.changed(change.name.as_deref(), change.email.as_deref(), change.phone.as_deref())?;
    row.profile_version += 1;
    row.profile = enrol::seal_profile(&sealer, row.id, row.profile_version, &new);

    if old.normalised_email().expose() == new.normalised_email().expose() {
        write(identity, call, action, &mut row).await?;
        return Ok(super::member(&row, &new));
    }
    let email = new.normalised_email();
    if identity.taken(tenant, email.expose(), Some(row.subject), Unborn::Ignored).await? {
        return Err(Error::EmailTaken);
    }
    let addresses = [(AddressKind::Email, email.expose())];
    let mark = identity.0.keyring.add_addresses(tenant, row.subject, &addresses).await?;
    if identity.taken(tenant, email.expose(), Some(row.subject), Unborn::Counted).await? {
        return Err(Error::EmailTaken);
    }
    write(identity, call, action, &mut row).await?;
    identity.0.keyring.settle_addresses(tenant, row.subject, &addresses, Some(mark)).await?;
    Ok(super::member(&row, &new))
}

async fn write(
    identity: &Identity,
    call: &Call,
    action: &'static str,
    row: &mut MemberRow,
) -> Result<(), Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::member::update_profile(&mut tx, row.id, row.version, &row.profile, row.profile_version).await?
    {
        return Err(Error::VersionMismatch);
    }
    let done = call.done(action, "member", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    row.version += 1;
    Ok(())
}
