//! `LeaseRates`: a gateway says that it lives, and hears how many do; each allows that part of every limit. A gateway that was
//! not heard of for a lease does not count any more.

use lethe_proto::identity::{LeaseRatesRequest, LeaseRatesResponse};
use tonic::Request;
use uuid::Uuid;

use super::Identity;
use crate::{Error, domain::Invalid, store};

/// How long a gateway counts after it was heard, in seconds. It says so every second.
const LEASE_S: f64 = 5.0;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<LeaseRatesRequest>,
) -> Result<LeaseRatesResponse, Error> {
    let replica = Uuid::try_parse(&request.get_ref().replica_id)
        .map_err(|_| Invalid::new("replica_id", "must be a UUID"))?;
    let living = store::gateway_replica::renew(&identity.0.db, replica, LEASE_S).await?;
    Ok(LeaseRatesResponse { replicas: u32::try_from(living).unwrap_or(u32::MAX) })
}
