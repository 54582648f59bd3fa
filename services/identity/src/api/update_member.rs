//! `UpdateMember`: name, e-mail address, phone. A new address is indexed before the row says so and the old one forgotten
//! after: a crash or a refusal in between leaves a hint too many, which log-in sees through and the keyring's job takes away,
//! never a member who is not found.

use lethe_ids::MemberId;
use lethe_keyring::AddressKind;
use lethe_proto::identity::{Member, UpdateMemberRequest};
use lethe_service::id;
use tonic::Request;

use super::{Call, Done, Identity};
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
    let tenant = call.tenant();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let mut row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);
    super::may_touch(&call, &row)?;
    if row.erased.is_some() {
        return Err(Error::MemberErased);
    }
    if row.version != version {
        return Err(Error::VersionMismatch);
    }
    let sealer = identity.0.keyring.sealer(tenant, row.subject, row.unit).await?;
    let old = enrol::open_profile(&sealer, &row)?;
    let new = old.changed(asked.name.as_deref(), asked.email.as_deref(), asked.phone.as_deref())?;
    row.profile_version += 1;
    row.profile = enrol::seal_profile(&sealer, row.id, row.profile_version, &new);

    if old.normalised_email().expose() == new.normalised_email().expose() {
        write(identity, &call, &mut row).await?;
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
    write(identity, &call, &mut row).await?;
    identity.0.keyring.settle_addresses(tenant, row.subject, &addresses, Some(mark)).await?;
    Ok(super::member(&row, &new))
}

async fn write(identity: &Identity, call: &Call, row: &mut MemberRow) -> Result<(), Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::member::update_profile(&mut tx, row.id, row.version, &row.profile, row.profile_version).await?
    {
        return Err(Error::VersionMismatch);
    }
    let done = Done {
        action: "UpdateMember",
        target_kind: "member",
        target_id: row.id.to_string(),
        request_id: &call.request_id,
    };
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    row.version += 1;
    Ok(())
}
