//! `ListMemberRequests`: what members asked about their own data, by when it is due.

use lethe_proto::identity::{ListMemberRequestsRequest, ListMemberRequestsResponse, MemberRequestState};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, domain::Invalid, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListMemberRequestsRequest>,
) -> Result<ListMemberRequestsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let state = match MemberRequestState::try_from(asked.state) {
        Ok(MemberRequestState::Unspecified) => None,
        Ok(state) => Some(state as i16),
        Err(_) => return Err(Invalid::new("state", "must be open, granted or refused").into()),
    };
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::member_request::list(&mut tx, state, after, limit).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.due_at, id: row.id.uuid() });
    Ok(ListMemberRequestsResponse {
        requests: super::member_requests(identity, call.tenant(), rows).await?,
        next,
    })
}
