//! `DeactivateMember`: ends a member's sessions and log-in. The last active owner stays. Twice is as once.

use lethe_access::{Revoked, Role};
use lethe_ids::MemberId;
use lethe_proto::identity::{DeactivateMemberRequest, Member};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<DeactivateMemberRequest>,
) -> Result<Member, Error> {
    let call = Call::of(&request)?;
    let member: MemberId = id("member_id", &request.get_ref().member_id)?;
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::tenant::lock(&mut tx).await?;
    let mut row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    super::may_touch(&call, &row.roles)?;
    if row.active {
        if row.roles.has(Role::Owner)
            && store::member::others_with_role(&mut tx, member, Role::Owner as i16).await? == 0
        {
            return Err(Error::LastOwner);
        }
        let void_before_ms = identity.void_before_ms(&row);
        row.active = false;
        row.version += 1;
        store::member::update_rights(&mut tx, row.id, &row.roles, row.active, void_before_ms).await?;
        store::session::delete_all(&mut tx, row.id, None).await?;
        identity.revoke(&mut tx, &mut told, Revoked::Member(row.id), void_before_ms).await?;
        let done = call.done("DeactivateMember", "member", row.id);
        identity.record(&mut tx, call.actor(), done).await?;
        tx.commit().await?;
        identity.tell(told);
    }
    identity.member(call.tenant(), &row).await
}
