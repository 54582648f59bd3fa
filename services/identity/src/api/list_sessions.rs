//! `ListSessions`: where a member is logged in. Own ones; another member's with PERMISSION_MEMBERS.

use lethe_access::Permission;
use lethe_ids::MemberId;
use lethe_keyring::Purpose;
use lethe_proto::identity::{ListSessionsRequest, ListSessionsResponse, Session};
use lethe_service::{Limit, PageKey, id, page, timestamp};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, domain::client::Client, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListSessionsRequest>,
) -> Result<ListSessionsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let own = call.member()?;
    let member: MemberId = match asked.member_id.as_str() {
        "" => own,
        member => id("member_id", member)?,
    };
    if member != own && !call.principal.allows(Permission::Members) {
        return Err(Error::PermissionDenied);
    }
    let sessions = &identity.0.sessions;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if member != own && store::member::get(&mut tx, member).await?.is_none() {
        return Err(Error::NotFound("member"));
    }
    let mut listed =
        store::session::list(&mut tx, member, after, limit, sessions.idle_since(), sessions.now()).await?;
    drop(tx);
    let next = page::next(&mut listed, limit, |listed| PageKey {
        at: listed.row.created_at,
        id: listed.row.id.uuid(),
    });

    let mut answer = Vec::with_capacity(listed.len());
    for store::session::Listed { row, subject, unit } in listed {
        let sealer = identity.0.keyring.sealer(call.tenant(), subject, unit).await?;
        let client =
            Client::from_bytes(&sealer.open(Purpose::SessionClient, row.id.uuid(), 1, &row.client)?);
        answer.push(Session {
            session_id: row.id.to_string(),
            member_id: member.to_string(),
            created_at: Some(timestamp(row.created_at)),
            last_seen_at: Some(timestamp(row.last_seen_at)),
            expires_at: Some(timestamp(sessions.end(row.last_seen_at, row.expires_at))),
            browser: client.browser,
            os: client.os,
            current: Some(row.id) == call.principal.session(),
        });
    }
    Ok(ListSessionsResponse { sessions: answer, next })
}
