//! Log-ins that were tried.

use lethe_ids::MemberId;
use lethe_proto::identity::{self as proto, ListLogInRecordsRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Reply,
    json::{PageLimit, Text, instant, present},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// A log-in that was tried.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogInRecord {
    #[schema(example = "lgn_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    log_in_record_id: String,
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Option<String>,
    #[schema(example = "password")]
    method: String,
    succeeded: bool,
    /// The client's address.
    #[schema(example = "203.0.113.7")]
    ip: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    /// `desktop`, `mobile`, `tablet`, `bot` or `unknown`.
    #[schema(example = "desktop")]
    device_type: String,
}

impl From<proto::LogInRecord> for LogInRecord {
    fn from(record: proto::LogInRecord) -> Self {
        Self {
            log_in_record_id: record.log_in_record_id,
            member_id: record.member_id,
            at: instant(record.at),
            method: record.method,
            succeeded: record.succeeded,
            ip: present(record.ip),
            browser: present(record.browser),
            os: present(record.os),
            device_type: record.device_type,
        }
    }
}

/// Whose log-ins.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoseLogIns {
    /// Another member's, for those who read the audit trail; absent: one's own.
    #[param(value_type = Option<String>, example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: Option<MemberId>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of log-in records, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogInRecordPage {
    records: Vec<LogInRecord>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the log-ins of a member, newest first.
#[utoipa::path(get, path = "/v1/log-in-records", tag = "account", params(WhoseLogIns),
    responses((status = 200, body = LogInRecordPage)),
    extensions(("x-lethe-rpc" = json!("ListLogInRecords"))))]
pub(crate) async fn list_log_in_records(
    acting: Acting,
    Query(query): Query<WhoseLogIns>,
) -> Result<Reply<LogInRecordPage>, Problem> {
    let member_id = query.member_id.map(|member| member.to_string()).unwrap_or_default();
    let list = acting.list("ListLogInRecords", &member_id);
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let request = ListLogInRecordsRequest { member_id: member_id.clone(), page };
    let answer = acting.identity().list_log_in_records(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(LogInRecordPage { records: answer.records.into_iter().map(Into::into).collect(), next }))
}
