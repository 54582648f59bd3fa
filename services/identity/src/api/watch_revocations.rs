//! `WatchRevocations`: what was revoked, as it happens. All of it is `crate::revocation`.

use futures::stream::BoxStream;
use lethe_proto::identity::WatchRevocationsResponse;
use tonic::Status;

use super::Identity;

pub(super) fn handle(identity: &Identity) -> BoxStream<'static, Result<WatchRevocationsResponse, Status>> {
    Box::pin(identity.0.hub.watch(identity.0.tasks.clone()))
}
