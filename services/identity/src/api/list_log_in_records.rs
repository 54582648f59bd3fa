//! `ListLogInRecords`: when and from where somebody tried to log in. Own ones; another member's with PERMISSION_READ_AUDIT.

use lethe_access::Permission;
use lethe_ids::MemberId;
use lethe_keyring::Purpose;
use lethe_proto::identity::{ListLogInRecordsRequest, ListLogInRecordsResponse, LogInRecord};
use lethe_service::{Limit, PageKey, id, page, timestamp};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, domain::client::Client, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListLogInRecordsRequest>,
) -> Result<ListLogInRecordsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let own = call.member()?;
    let member: MemberId = match asked.member_id.as_str() {
        "" => own,
        member => id("member_id", member)?,
    };
    if member != own && !call.principal.allows(Permission::ReadAudit) {
        return Err(Error::PermissionDenied);
    }
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if member != own && store::member::get(&mut tx, member).await?.is_none() {
        return Err(Error::NotFound("member"));
    }
    let mut listed = store::log_in_record::list(&mut tx, member, after, limit).await?;
    drop(tx);
    let next =
        page::next(&mut listed, limit, |listed| PageKey { at: listed.row.at, id: listed.row.id.uuid() });

    let mut records = Vec::with_capacity(listed.len());
    for store::log_in_record::Listed { row, subject, unit } in listed {
        let sealer = identity.0.keyring.sealer(call.tenant(), subject, unit).await?;
        let client = Client::from_bytes(&sealer.open(Purpose::LogInRecord, row.id.uuid(), 1, &row.client)?);
        records.push(LogInRecord {
            log_in_record_id: row.id.to_string(),
            member_id: member.to_string(),
            at: Some(timestamp(row.at)),
            method: row.method,
            succeeded: row.succeeded,
            ip: client.ip,
            browser: client.browser,
            os: client.os,
            device_type: client.device_type,
        });
    }
    Ok(ListLogInRecordsResponse { records, next })
}
