//! Operators: nothing without the tenant's grant, nothing but what it granted, and not a moment longer.

use std::time::Duration;

use lethe_access::{Permission, Principal, PrincipalToken, Role, SigningKey};
use lethe_proto::identity::{
    ApproveOperatorAccessRequest, AuthenticateSignatureRequest, CheckPrincipalRequest,
    DenyOperatorAccessRequest, GetSelfRequest, GrantOperatorAccessRequest, ListAuditEventsRequest,
    ListMembersRequest, OpenOperatorAccessRequest, OperatorAccess, OperatorAccessReason, OperatorAccessState,
    RecordOperatorUseRequest, RequestOperatorAccessRequest, RevokeOperatorAccessRequest,
    operator_access_service_client::OperatorAccessServiceClient,
};
use lethe_service::PeerChannel;

use crate::{
    api_keys,
    audit::{events, tenant_of},
    revocations::feed,
    rig::{Rig, Someone, field, reason, within},
};

const NOT_GRANTED: &str = "OPERATOR_ACCESS_NOT_GRANTED";
const HOUR: Duration = Duration::from_secs(3_600);

type Client = OperatorAccessServiceClient<PeerChannel>;

fn operator(rig: &Rig) -> Client {
    Client::new(rig.world.client("operator", "identity", None))
}

fn gateway(rig: &Rig, principal: Option<&PrincipalToken>) -> Client {
    Client::new(rig.world.client("gateway", "identity", principal.cloned()))
}

fn request(hours: u32) -> RequestOperatorAccessRequest {
    RequestOperatorAccessRequest {
        tenant_slug: "acme".into(),
        operator: "j.doe".into(),
        reason: OperatorAccessReason::Incident.into(),
        ticket: "INC/1".into(),
        permissions: Vec::new(),
        hours,
    }
}

fn grant(permissions: &[Permission]) -> GrantOperatorAccessRequest {
    GrantOperatorAccessRequest {
        operator: "j.doe".into(),
        reason: OperatorAccessReason::Support.into(),
        ticket: "T-1".into(),
        permissions: permissions.iter().map(|one| i32::from(*one)).collect(),
        hours: 1,
        idempotency: None,
    }
}

fn approve(access: &str, permissions: &[Permission], hours: u32) -> ApproveOperatorAccessRequest {
    ApproveOperatorAccessRequest {
        operator_access_id: access.into(),
        permissions: permissions.iter().map(|one| i32::from(*one)).collect(),
        hours,
    }
}

async fn ask(rig: &Rig) -> String {
    operator(rig).request_operator_access(request(1)).await.unwrap().into_inner().operator_access_id
}

fn open(access: &str) -> OpenOperatorAccessRequest {
    OpenOperatorAccessRequest { tenant_slug: "acme".into(), operator_access_id: access.into() }
}

/// An access that the owner grants, opened: itself, its token, and its principal.
async fn opened(rig: &Rig, owner: &Someone) -> (OperatorAccess, String, PrincipalToken) {
    let granted = gateway(rig, Some(&owner.principal)).grant_operator_access(grant(&[])).await;
    let granted = granted.unwrap().into_inner();
    let opened = operator(rig).open_operator_access(open(&granted.operator_access_id)).await;
    let token = opened.unwrap().into_inner().token;
    let principal = rig.authenticate(&token).await.unwrap();
    (granted, token, principal)
}

async fn read(rig: &Rig, principal: &PrincipalToken) -> Principal {
    rig.world.access.of("messaging").verify_principal(principal).await.unwrap()
}

fn used(owner: &Someone, access: &str) -> RecordOperatorUseRequest {
    RecordOperatorUseRequest {
        tenant_id: tenant_of(owner).to_string(),
        operator_access_id: access.into(),
        route: "GET /v1/contacts/{contact_id}".into(),
    }
}

#[tokio::test]
async fn an_access_is_asked_for_approved_opened_once_and_ends_with_its_hours() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut tenant = gateway(&rig, Some(&owner.principal));

    assert_eq!(field(operator(&rig).request_operator_access(request(73)).await), "hours");
    let access = ask(&rig).await;
    assert_ne!(ask(&rig).await, access, "each is decided on by itself");
    assert_eq!(reason(operator(&rig).open_operator_access(open(&access)).await), NOT_GRANTED);

    assert_eq!(field(tenant.approve_operator_access(approve(&access, &[], 2)).await), "hours");
    let more = approve(&access, &[Permission::Edit], 1);
    assert_eq!(field(tenant.approve_operator_access(more).await), "permissions");
    rig.world.clock.advance(Duration::from_secs(1));
    let less = approve(&access, &[Permission::ReadInbox], 1);
    let granted = tenant.approve_operator_access(less.clone()).await.unwrap().into_inner();
    assert_eq!(granted.state, i32::from(OperatorAccessState::Granted));
    assert_eq!(tenant.approve_operator_access(less).await.unwrap().into_inner(), granted, "twice is as once");
    let denial = DenyOperatorAccessRequest { operator_access_id: access.clone() };
    assert_eq!(reason(tenant.deny_operator_access(denial).await), "OPERATOR_ACCESS_DECIDED");

    // The principal is no member's, and no moment longer than the grant.
    rig.world.clock.advance(HOUR - Duration::from_secs(30));
    let token = operator(&rig).open_operator_access(open(&access)).await.unwrap().into_inner().token;
    assert_eq!(reason(operator(&rig).open_operator_access(open(&access)).await), "OPERATOR_ACCESS_OPENED");
    let principal = rig.authenticate(&token).await.unwrap();
    let read = read(&rig, &principal).await;
    assert_eq!((read.actor().to_string(), read.session(), read.roles()), (access.clone(), None, &[][..]));
    assert_eq!(read.expires_at_ms, read.issued_at_ms + 30_000);
    assert!(read.allows(Permission::ReadInbox) && !read.allows(Permission::ReadAudit));
    let mut by_operator = rig.as_member(&principal);
    assert_eq!(
        by_operator.list_members(ListMembersRequest::default()).await.unwrap().get_ref().members.len(),
        1
    );
    assert_eq!(reason(by_operator.get_self(GetSelfRequest {}).await), "PERMISSION_DENIED");
    assert_eq!(
        reason(by_operator.list_audit_events(ListAuditEventsRequest::default()).await),
        "PERMISSION_DENIED"
    );
    for _ in 0..2 {
        gateway(&rig, None).record_operator_use(used(&owner, &access)).await.unwrap();
    }

    rig.world.clock.advance(Duration::from_secs(30));
    assert_eq!(reason(rig.authenticate(&token).await), "SESSION_INVALID");
    let late = gateway(&rig, None).record_operator_use(used(&owner, &access)).await;
    assert_eq!(reason(late), "SESSION_INVALID");
    let late = by_operator.list_members(ListMembersRequest::default()).await;
    assert_eq!(reason(late), "PRINCIPAL_EXPIRED");

    // All of it, and who asked for what, stands in the tenant's audit trail.
    let owner = Someone { principal: rig.authenticate(&owner.token).await.unwrap(), ..owner };
    let about = ListAuditEventsRequest { target_id: access.clone(), ..Default::default() };
    let trail: Vec<_> = events(&rig, &owner, about).await.into_iter().rev().collect();
    let actions: Vec<_> = trail.iter().map(|event| event.action.as_str()).collect();
    let path = ["RequestOperatorAccess", "ApproveOperatorAccess", "OpenOperatorAccess"];
    assert_eq!(actions, [&path[..], &["UseOperatorAccess"; 2]].concat());
    let asked = "reason=incident ticket=INC/1 hours=1 permissions=read_inbox,read_erasures,read_audit";
    assert_eq!(trail[0].detail, asked);
    assert_eq!(trail[1].detail, "reason=incident ticket=INC/1 hours=1 permissions=read_inbox");
    assert_eq!(trail[3].detail, "reason=incident ticket=INC/1 GET /v1/contacts/{contact_id}");
    let actors: Vec<_> = trail.iter().map(|event| event.actor_kind.as_str()).collect();
    assert_eq!(actors, ["operator", "member", "operator", "operator", "operator"]);
    rig.world.stop().await;
}

#[tokio::test]
async fn only_a_member_who_manages_members_grants() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let agent = rig.member(&owner, "agent@example.com", &[Role::Agent, Role::Auditor]).await;
    let wanted = api_keys::wanted(&[Permission::Members, Permission::ReadInbox]);
    let made = api_keys::client(&rig, Some(&owner.principal)).create_api_key(wanted).await.unwrap();
    let signing = SigningKey::parse(&made.into_inner().secret).unwrap();
    let signed = AuthenticateSignatureRequest {
        keyid: signing.keyid(),
        base: "x".into(),
        signature: api_keys::mac(&signing, "x").into(),
    };
    let key = api_keys::client(&rig, None).authenticate_signature(signed).await.unwrap().into_inner();
    let (_, _, already) = opened(&rig, &owner).await;
    let access = ask(&rig).await;

    for (who, principal) in [
        ("an agent", agent.principal),
        ("a key", PrincipalToken::from_bytes(&key.principal)),
        ("an operator", already),
    ] {
        let mut client = gateway(&rig, Some(&principal));
        let approved = client.approve_operator_access(approve(&access, &[], 0)).await;
        assert_eq!(reason(approved), "PERMISSION_DENIED", "{who}");
        let denial = DenyOperatorAccessRequest { operator_access_id: access.clone() };
        assert_eq!(reason(client.deny_operator_access(denial).await), "PERMISSION_DENIED", "{who}");
        let granted = client.grant_operator_access(grant(&[])).await;
        assert_eq!(reason(granted), "PERMISSION_DENIED", "{who}");
    }
    let other = rig.create_tenant("other").await;
    let other = rig.settle("other", "owner@example.com", &other.one_time_password).await;
    let foreign =
        gateway(&rig, Some(&other.principal)).approve_operator_access(approve(&access, &[], 0)).await;
    assert_eq!(reason(foreign), "OPERATOR_ACCESS_NOT_FOUND");
    // What would outlast the hours is granted to nobody.
    let mut tenant = gateway(&rig, Some(&owner.principal));
    for never in [Permission::Members, Permission::ApiKeys, Permission::AppSettings, Permission::Erase] {
        assert_eq!(field(tenant.grant_operator_access(grant(&[never])).await), "permissions");
    }
    assert_eq!(reason(operator(&rig).open_operator_access(open(&access)).await), NOT_GRANTED);
    rig.world.stop().await;
}

#[tokio::test]
async fn a_revoked_operator_is_out_in_every_process_within_a_second() {
    let rig = Rig::new().await;
    let replica = rig.replica().await;
    feed(&rig);
    feed(&replica);
    let owner = rig.owner("acme").await;
    let (granted, token, operators) = opened(&rig, &owner).await;
    let (_, _, other) = opened(&rig, &owner).await;
    let (principal, other) = (read(&rig, &operators).await, read(&rig, &other).await);
    let check = CheckPrincipalRequest {
        tenant_id: tenant_of(&owner).to_string(),
        operator_access_id: granted.operator_access_id.clone(),
        issued_at_ms: principal.issued_at_ms,
        ..Default::default()
    };
    let mut messaging = lethe_proto::identity::identity_service_client::IdentityServiceClient::new(
        rig.world.client("messaging", "identity", None),
    );
    assert!(messaging.check_principal(check.clone()).await.unwrap().into_inner().valid);

    let revoke = RevokeOperatorAccessRequest { operator_access_id: granted.operator_access_id.clone() };
    let mut tenant = gateway(&rig, Some(&owner.principal));
    let revoked = tenant.revoke_operator_access(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(revoked.state, i32::from(OperatorAccessState::Revoked));
    assert_eq!(
        tenant.revoke_operator_access(revoke).await.unwrap().into_inner(),
        revoked,
        "twice is as once"
    );
    for rig in [&rig, &replica] {
        for service in ["identity", "messaging"] {
            let heard = rig.world.access.of(service);
            within(Duration::from_secs(1), || heard.revocations().is_void(&principal)).await;
            assert!(!heard.revocations().is_void(&other), "another access goes on");
        }
    }
    assert!(!messaging.check_principal(check).await.unwrap().into_inner().valid);
    assert_eq!(reason(rig.authenticate(&token).await), "SESSION_INVALID");
    let late = gateway(&rig, None).record_operator_use(used(&owner, &granted.operator_access_id)).await;
    assert_eq!(reason(late), "SESSION_INVALID");
    rig.world.stop().await;
    replica.world.stop().await;
}

#[tokio::test]
async fn what_nobody_answers_lapses_and_gives_its_place_free() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let access = ask(&rig).await;
    for _ in 1..20 {
        ask(&rig).await;
    }
    let one_more = operator(&rig).request_operator_access(request(1)).await;
    assert_eq!(reason(one_more), "TOO_MANY_ACCESS_REQUESTS");
    rig.world.clock.advance(7 * 24 * HOUR);
    let owner = Someone {
        principal: {
            let again = rig.log_in("acme", "owner@example.com", crate::rig::PASSWORD).await.unwrap();
            rig.authenticate(&again.token).await.unwrap()
        },
        ..owner
    };
    let late = gateway(&rig, Some(&owner.principal)).approve_operator_access(approve(&access, &[], 0)).await;
    assert_eq!(reason(late), "OPERATOR_ACCESS_DECIDED");
    ask(&rig).await;
    rig.world.stop().await;
}
