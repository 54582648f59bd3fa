//! UnmarkSpam: a member says that it is none, and the detector does not mark it again.

use lethe_proto::messaging::{Conversation, UnmarkSpamRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::spam::Mark,
};

pub(super) async fn unmark_spam(
    state: &State,
    request: Request<UnmarkSpamRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let conversation = id("conversation_id", &request.get_ref().conversation_id)?;
    super::mark_spam::set(state, (call.tenant, Some(&call)), "UnmarkSpam", conversation, Mark::Cleared).await
}
