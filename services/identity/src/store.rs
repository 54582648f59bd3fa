//! Every SQL statement of identity, but the verifier's. Each goes through a transaction that is scoped to a tenant; the
//! exceptions are named for it: the slug directory, and what the jobs role finds across tenants.

pub mod api_key;
pub mod api_request;
pub mod audit_event;
pub mod due;
pub mod fence;
pub mod gateway_replica;
pub mod idempotency;
pub mod log_in_record;
pub mod member;
pub mod member_erasure;
pub mod member_request;
pub mod operator_access;
pub mod own_data;
pub mod photo;
pub mod revocation;
pub mod session;
pub mod team;
pub mod tenant;

use lethe_service::PageKey;
use time::OffsetDateTime;
use uuid::Uuid;

/// The key of a page as two parameters of SQL.
pub(crate) fn after(page: Option<PageKey>) -> (Option<OffsetDateTime>, Option<Uuid>) {
    (page.map(|key| key.at), page.map(|key| key.id))
}
