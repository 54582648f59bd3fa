//! All that is kept of a member beside his row, for himself: one statement over every table that names him. A test goes through the
//! catalogue and fails on a table, or a column of these, that is neither here nor excused.

use lethe_ids::{MemberId, SubjectId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use serde_json::{Map, Value};
use sqlx::{Row, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::own_data::Category;

/// Something that is kept.
pub struct Kept {
    /// What it is.
    pub category: Category,
    /// Its id, without a prefix.
    pub id: Uuid,
    /// When it came to be.
    pub at: OffsetDateTime,
    /// What is clear; instants as in RFC 3339.
    pub clear: Map<String, Value>,
    /// What is sealed.
    pub sealed: Vec<Option<Vec<u8>>>,
    /// Under whom, when not under the member and his profile's unit.
    pub under: Option<(SubjectId, UnitId)>,
}

fn read(row: &PgRow) -> Result<Kept, sqlx::Error> {
    let category: &str = row.try_get("category")?;
    let (subject, unit): (Option<Uuid>, Option<Uuid>) = (row.try_get("subject")?, row.try_get("unit")?);
    Ok(Kept {
        category: Category::of(category).ok_or_else(|| sqlx::Error::Decode("no category".into()))?,
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        clear: row.try_get::<Json<_>, _>("clear")?.0,
        sealed: row.try_get("sealed")?,
        under: subject.zip(unit).map(|(subject, unit)| (SubjectId::new(subject), UnitId::new(unit))),
    })
}

/// What is kept of a member, newest first, one more than the limit. What others did is about him when its target is he, or something
/// that he brought about: a session, a request. No two have the same instant and id, or a page that ends between them would lose one: an
/// idempotency key is as old as what it made, so that its id is a digest of that one's.
pub async fn list(
    tx: &mut TenantTx,
    member: MemberId,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<Kept>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "with kept as (
           (select 'audit_event' as category, audit_id as id, at,
                   jsonb_build_object('service', service, 'actor_kind', actor_kind, 'actor_id', actor_id, 'action', action,
                     'target_kind', target_kind, 'target_id', target_id, 'request_id', request_id, 'detail', detail) as clear,
                   '{}'::bytea[] as sealed, null::uuid as subject, null::uuid as unit
              from audit_events
             where tenant_id = $1 and actor_id = $6 and ($3::timestamptz is null or (at, audit_id) < ($3, $4::uuid))
             order by at desc, audit_id desc limit $5)
           union all
           (select 'audit_event', audit_id, at,
                   jsonb_build_object('service', service, 'actor_kind', actor_kind, 'actor_id', actor_id, 'action', action,
                     'target_kind', target_kind, 'target_id', target_id, 'request_id', request_id, 'detail', detail),
                   '{}', null, null
              from audit_events
             where tenant_id = $1 and actor_id <> $6
               and target_id = any(array(select $6 union select target_id from audit_events
                     where tenant_id = $1 and actor_id = $6 and action in ('LogIn', 'MakeOwnRequest')))
               and ($3::timestamptz is null or (at, audit_id) < ($3, $4::uuid))
             order by at desc, audit_id desc limit $5)
           union all
           (select 'log_in', log_in_record_id, at, jsonb_build_object('method', method, 'succeeded', succeeded),
                   array[client], null, null
              from log_in_records
             where tenant_id = $1 and member_id = $2
               and ($3::timestamptz is null or (at, log_in_record_id) < ($3, $4::uuid))
             order by at desc, log_in_record_id desc limit $5)
           union all
           select 'session', session_id, created_at,
                  jsonb_build_object('last_seen_at', last_seen_at, 'expires_at', expires_at), array[client], null, null
             from sessions where tenant_id = $1 and member_id = $2
           union all
           select 'photo', p.photo_id, p.set_at, jsonb_build_object('media_type', p.media_type),
                  array[p.photo], m.subject_id::uuid, p.unit_id
             from member_photos p join members m using (tenant_id, member_id)
            where p.tenant_id = $1 and p.member_id = $2
           union all
           select 'team', team_id, added_at, jsonb_build_object('name', name), '{}', null, null
             from team_members join teams using (tenant_id, team_id) where tenant_id = $1 and member_id = $2
           union all
           select 'request', member_request_id, received_at,
                  jsonb_build_object('kind', kind, 'state', state, 'refusal', refusal, 'due_at', due_at,
                    'closed_at', closed_at, 'closed_by', closed_by), array[grounds, answer], null, null
             from member_requests where tenant_id = $1 and member_id = $2
           union all
           select 'api_key', api_key_id, created_at,
                  jsonb_build_object('scopes', scopes, 'requests_per_minute', requests_per_minute,
                    'expires_at', expires_at, 'revoked_at', revoked_at), array[name], subject_id::uuid, name_unit_id
             from api_keys where tenant_id = $1 and created_by = $2
           union all
           select 'idempotency_key', substr(encode(sha256(uuid_send(resource)), 'hex'), 1, 32)::uuid, created_at,
                  jsonb_build_object('rpc', rpc, 'key', key, 'resource', resource), '{}', null, null
             from idempotency where tenant_id = $1 and member_id = $2
           union all
           select 'revocation', revocation_id, recorded_at,
                  jsonb_build_object('revoked_at', to_timestamp(revoked_at_ms / 1000.0)), '{}', null, null
             from revocations where tenant_id = $1 and member_id = $2)
         select category, id, at, clear, sealed, subject, unit from kept
          where $3::timestamptz is null or (at, id) < ($3, $4::uuid)
          order by at desc, id desc limit $5",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(member.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}
