//! `RecordApiRequests`: what keys asked, as gateways hand it over in groups. A tenant at a time; again is as once.

use std::collections::BTreeMap;

use lethe_ids::TenantId;
use lethe_proto::identity::{RecordApiRequestsRequest, RecordApiRequestsResponse, RecordedRequest};
use lethe_service::{id, instant};
use tonic::Request;
use uuid::Uuid;

use super::Identity;
use crate::{
    Error,
    domain::{Invalid, line},
    store::{self, api_request::ApiRequestRow},
};

/// Requests of one call.
const MOST: usize = 1_000;
/// The longest method, route and name of an RPC, in characters.
const LONGEST: usize = 200;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RecordApiRequestsRequest>,
) -> Result<RecordApiRequestsResponse, Error> {
    let asked = request.into_inner();
    if asked.requests.len() > MOST {
        return Err(Invalid::new("requests", "are too many").into());
    }
    let mut by_tenant: BTreeMap<TenantId, Vec<ApiRequestRow>> = BTreeMap::new();
    for recorded in asked.requests {
        let (tenant, row) = read(recorded)?;
        by_tenant.entry(tenant).or_default().push(row);
    }
    for (tenant, rows) in by_tenant {
        let mut tx = identity.0.db.tenant(tenant).await?;
        store::api_request::insert(&mut tx, &rows).await?;
        tx.commit().await?;
    }
    Ok(RecordApiRequestsResponse {})
}

fn read(recorded: RecordedRequest) -> Result<(TenantId, ApiRequestRow), Error> {
    let tenant = id("requests.tenant_id", &recorded.tenant_id)?;
    let request = recorded.request.ok_or(Invalid::new("requests.request", "is missing"))?;
    let wrong = |field| Invalid::new(field, "does not fit");
    let row = ApiRequestRow {
        id: Uuid::try_parse(&request.request_id).map_err(|_| wrong("requests.request.request_id"))?,
        key: id("requests.request.api_key_id", &request.api_key_id)?,
        at: instant(request.at.as_ref().ok_or_else(|| wrong("requests.request.at"))?, "requests.request.at")?,
        method: line("requests.request.method", &request.method, LONGEST)?,
        route: line("requests.request.route", &request.route, LONGEST)?,
        rpc: line("requests.request.rpc", &request.rpc, LONGEST)?,
        status: i16::try_from(request.status).map_err(|_| wrong("requests.request.status"))?,
        missed: i32::try_from(request.missed).map_err(|_| wrong("requests.request.missed"))?,
    };
    Ok((tenant, row))
}
