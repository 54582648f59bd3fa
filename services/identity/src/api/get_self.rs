//! `GetSelf`: the member who asks.

use lethe_proto::identity::{GetSelfRequest, Member};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(identity: &Identity, request: Request<GetSelfRequest>) -> Result<Member, Error> {
    let call = Call::of(&request)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, call.member()?).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);
    identity.member(call.tenant(), &row).await
}
