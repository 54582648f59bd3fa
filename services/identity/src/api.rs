//! The RPCs of identity: one file each, and here what they share.

mod api_keys;
mod authenticate;
mod authenticate_signature;
mod change_password;
mod check_member;
mod check_principal;
mod create_api_key;
mod create_member;
mod create_tenant;
mod deactivate_member;
mod get_member;
mod get_self;
mod get_tenant;
mod grant_role;
mod idempotency;
mod lease_rates;
mod list_api_keys;
mod list_api_requests;
mod list_audit_events;
mod list_log_in_records;
mod list_members;
mod list_sessions;
mod log_in;
mod log_out;
mod operator_access;
mod participant;
mod person;
mod record_api_requests;
mod reset_password;
mod revoke_api_key;
mod revoke_role;
mod revoke_session;
mod set_plan;
mod team;
mod update_member;
mod update_tenant;
mod use_signature;
mod watch_revocations;

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use lethe_access::{Access, Permission, Principal, Revocation, Revoked, Role, permissions};
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_calendar::Calendar;
use lethe_ids::{AuditId, MemberId, TenantId};
use lethe_keyring::Keyring;
use lethe_proto::identity::{self as proto, identity_service_server::IdentityService};
use lethe_service::{CallContext, Database, Failure, TenantTx, timestamp};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    Error, NAME,
    config::Config,
    domain::{
        audit::{Actor, AuditEvent, Salts, Target},
        member::{Profile, Roles},
        member_erasure::Mode,
    },
    passwords::Passwords,
    revocation::{CLOCKS_APART_MS, Hub},
    session_clock::SessionClock,
    store::{self, member::MemberRow, tenant::TenantRow},
    throttle::Throttle,
};

/// What every RPC stands on. Clones share it.
#[derive(Clone)]
pub struct Identity(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) db: Database,
    pub(crate) keyring: Keyring,
    pub(crate) access: Access,
    pub(crate) calendar: Calendar,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) hub: Hub,
    pub(crate) sessions: SessionClock,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) tasks: Tasks,
}

/// Who calls, in which request.
pub(crate) struct Call {
    pub(crate) principal: Principal,
    pub(crate) request_id: Arc<str>,
}

impl Call {
    /// Of a call that acts for a person.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Error> {
        let principal = lethe_access::principal(request).map_err(|status| Failure::from_status(&status))?;
        Ok(Self { principal: principal.clone(), request_id: CallContext::of(request).request_id.clone() })
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.principal.tenant
    }

    /// Who has an account of his own here: a member. A key has none, and no permission for what asks this.
    pub(crate) fn member(&self) -> Result<MemberId, Error> {
        self.principal.actor().member().ok_or(Error::PermissionDenied)
    }

    pub(crate) fn actor(&self) -> Actor {
        self.principal.actor().into()
    }

    /// What the audit event of this call says.
    pub(crate) fn done(
        &self,
        action: &'static str,
        target_kind: &'static str,
        target: impl ToString,
    ) -> Done<'_> {
        Done { action, target_kind, target_id: target.to_string(), request_id: &self.request_id }
    }

    /// Whether the caller may do all that these roles may; one's own account is everybody's own.
    pub(crate) fn may_all(&self, roles: &Roles) -> bool {
        let has = |permission: &Permission| {
            *permission == Permission::OwnAccount || self.principal.allows(*permission)
        };
        roles.as_slice().iter().all(|role| permissions(*role).iter().all(has))
    }

    /// Whether an owner himself asks: a key is none, whatever its scopes.
    pub(crate) fn is_owner(&self) -> bool {
        self.principal.roles().contains(&Role::Owner)
    }
}

/// What an audit event says was done.
pub(crate) struct Done<'a> {
    pub(crate) action: &'static str,
    pub(crate) target_kind: &'static str,
    pub(crate) target_id: String,
    pub(crate) request_id: &'a str,
}

/// Revocations whose rows are written: to be told after the commit.
#[derive(Default)]
pub(crate) struct Told(Vec<(Uuid, Revocation)>);

impl Identity {
    /// Writes an audit event of our own, in the transaction of what it is about.
    pub(crate) async fn record(&self, tx: &mut TenantTx, actor: Actor, done: Done<'_>) -> Result<(), Error> {
        self.record_detail(tx, actor, done, "").await
    }

    /// As [`Identity::record`], with a code that the action's name leaves open. Never anything personal.
    pub(crate) async fn record_detail(
        &self,
        tx: &mut TenantTx,
        actor: Actor,
        done: Done<'_>,
        detail: &str,
    ) -> Result<(), Error> {
        let event = AuditEvent {
            id: AuditId::new(self.0.entropy.uuid7(&self.0.clock)),
            at: self.0.clock.now(),
            service: NAME.to_owned(),
            actor,
            action: done.action.to_owned(),
            target: Target { kind: done.target_kind.to_owned(), id: done.target_id, contact: None },
            request_id: done.request_id.to_owned(),
            detail: detail.to_owned(),
        };
        Ok(store::audit_event::insert(tx, &event, &self.salts()).await?)
    }

    /// New salts for one leaf.
    pub(crate) fn salts(&self) -> Salts {
        Salts { done: self.0.entropy.bytes(), about: self.0.entropy.bytes() }
    }

    /// From when on principals of this member count, when something changes now that they say: after those that any
    /// replica has issued, also those that were moved to the end of the last change.
    pub(crate) fn void_before_ms(&self, row: &MemberRow) -> i64 {
        (self.0.clock.millis() + CLOCKS_APART_MS).max(row.void_before_ms + 1)
    }

    /// Until when a one-time password that is made now lets its member in.
    pub(crate) fn one_time_until(&self) -> OffsetDateTime {
        self.0.clock.now()
            + Duration::from_secs(u64::from(self.0.config.passwords.one_time_days.get()) * 86_400)
    }

    /// Writes a revocation; [`Identity::tell`] it after the commit.
    pub(crate) async fn revoke(
        &self,
        tx: &mut TenantTx,
        told: &mut Told,
        what: Revoked,
        revoked_at_ms: i64,
    ) -> Result<(), Error> {
        let id = self.0.entropy.uuid7(&self.0.clock);
        let revocation = Revocation { tenant: tx.tenant(), what, revoked_at_ms };
        store::revocation::insert(tx, id, &revocation).await?;
        told.0.push((id, revocation));
        Ok(())
    }

    /// Tells every watcher of this process what was committed.
    pub(crate) fn tell(&self, told: Told) {
        self.0.hub.publish(&told.0);
    }

    /// Opens a member's profile.
    pub(crate) async fn profile(&self, tenant: TenantId, row: &MemberRow) -> Result<Profile, Error> {
        if row.erased == Some(Mode::All) {
            return Ok(Profile::erased());
        }
        let sealer = self.0.keyring.sealer(tenant, row.subject, row.unit).await?;
        crate::enrol::open_profile(&sealer, row)
    }

    /// A member as callers see him.
    pub(crate) async fn member(&self, tenant: TenantId, row: &MemberRow) -> Result<proto::Member, Error> {
        Ok(member(row, &self.profile(tenant, row).await?))
    }
}

/// A member with his opened profile.
pub(crate) fn member(row: &MemberRow, profile: &Profile) -> proto::Member {
    proto::Member {
        member_id: row.id.to_string(),
        name: profile.name().to_owned(),
        email: profile.email().to_owned(),
        phone: profile.phone().to_owned(),
        roles: row.roles.as_slice().iter().map(|role| i32::from(*role)).collect(),
        active: row.active,
        version: row.version.unsigned_abs(),
        created_at: Some(timestamp(row.created_at)),
        erased: row.erased.map_or(0, |mode| mode.proto().into()),
    }
}

fn tenant(row: &TenantRow) -> proto::Tenant {
    proto::Tenant {
        tenant_id: row.id.to_string(),
        slug: row.slug.clone(),
        name: row.details.name.clone(),
        plan: row.details.plan.clone(),
        region: row.details.region.clone(),
        settings: row.settings.clone().into_iter().collect(),
        version: row.version.unsigned_abs(),
        created_at: Some(timestamp(row.created_at)),
    }
}

/// The version that the caller saw; 0 is none.
fn if_version(version: u64) -> Result<i64, Error> {
    match version {
        0 => Err(Error::VersionRequired),
        version => i64::try_from(version).map_err(|_| Error::VersionMismatch),
    }
}

/// Nobody gives a right that he has not, nor a password of one who has it: he would log in as him. Owners are made by owners.
pub(crate) fn may_act_as(call: &Call, roles: &Roles) -> Result<(), Error> {
    may_touch(call, roles)?;
    if call.may_all(roles) { Ok(()) } else { Err(Error::PermissionDenied) }
}

/// Who is no owner himself changes no owner. A key changes nobody who may do more than it: another address would be a way to
/// become him.
pub(crate) fn may_touch(call: &Call, roles: &Roles) -> Result<(), Error> {
    if roles.has(Role::Owner) && !call.is_owner() {
        return Err(Error::OwnerRequired);
    }
    let is_key = call.principal.actor().member().is_none();
    if is_key && !call.may_all(roles) {
        return Err(Error::PermissionDenied);
    }
    Ok(())
}

/// A generated trait, each method by the `handle` of its file.
macro_rules! serve {
    ($service:ident { $($rpc:ident($request:ty) -> $response:ty;)* }) => {
        #[tonic::async_trait]
        impl $service for Identity {
            $(async fn $rpc(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                $rpc::handle(self, request).await.map(Response::new).map_err(Status::from)
            })*
        }
    };
}
pub(crate) use serve;

/// As [`serve`], for the service that also streams.
macro_rules! rpcs {
    ($($rpc:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl IdentityService for Identity {
            type WatchRevocationsStream = BoxStream<'static, Result<proto::WatchRevocationsResponse, Status>>;

            async fn watch_revocations(
                &self,
                _: Request<proto::WatchRevocationsRequest>,
            ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
                Ok(Response::new(watch_revocations::handle(self)))
            }

            $(async fn $rpc(&self, request: Request<proto::$request>) -> Result<Response<proto::$response>, Status> {
                $rpc::handle(self, request).await.map(Response::new).map_err(Status::from)
            })*
        }
    };
}

rpcs! {
    authenticate(AuthenticateRequest) -> AuthenticateResponse;
    check_principal(CheckPrincipalRequest) -> CheckPrincipalResponse;
    create_tenant(CreateTenantRequest) -> CreateTenantResponse;
    log_in(LogInRequest) -> LogInResponse;
    log_out(LogOutRequest) -> LogOutResponse;
    get_self(GetSelfRequest) -> Member;
    change_password(ChangePasswordRequest) -> ChangePasswordResponse;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    revoke_session(RevokeSessionRequest) -> RevokeSessionResponse;
    list_log_in_records(ListLogInRecordsRequest) -> ListLogInRecordsResponse;
    get_tenant(GetTenantRequest) -> Tenant;
    update_tenant(UpdateTenantRequest) -> Tenant;
    set_plan(SetPlanRequest) -> Tenant;
    create_member(CreateMemberRequest) -> CreateMemberResponse;
    list_members(ListMembersRequest) -> ListMembersResponse;
    get_member(GetMemberRequest) -> Member;
    check_member(CheckMemberRequest) -> CheckMemberResponse;
    update_member(UpdateMemberRequest) -> Member;
    grant_role(GrantRoleRequest) -> Member;
    revoke_role(RevokeRoleRequest) -> Member;
    deactivate_member(DeactivateMemberRequest) -> Member;
    reset_password(ResetPasswordRequest) -> ResetPasswordResponse;
    list_audit_events(ListAuditEventsRequest) -> ListAuditEventsResponse;
}
