//! API keys against real stores: made, sealed, verified, revoked; what they asked; and the shares of the limits.

use std::time::Duration;

use lethe_access::{Actor, Permission, PrincipalToken, Role, SigningKey, permissions};
use lethe_identity::jobs::sweep_api_keys;
use lethe_ids::ApiKeyId;
use lethe_proto::{
    identity::{
        ApiKey, ApiRequest, AuthenticateSignatureRequest, AuthenticateSignatureResponse,
        CheckPrincipalRequest, CreateApiKeyRequest, CreateApiKeyResponse, DeactivateMemberRequest,
        GrantRoleRequest, LeaseRatesRequest, ListApiKeysRequest, ListApiRequestsRequest,
        RecordApiRequestsRequest, RecordedRequest, ResetPasswordRequest, RevokeApiKeyRequest,
        UseSignatureRequest, api_key_service_client::ApiKeyServiceClient,
    },
    request::{Idempotency, Page},
};
use lethe_service::{PeerChannel, timestamp};
use lethe_testkit::Databases;
use tonic::Status;
use uuid::Uuid;

use crate::{
    audit::tenant_of,
    rig::{Rig, Someone, dump, field, reason},
};

pub(crate) fn client(rig: &Rig, principal: Option<&PrincipalToken>) -> ApiKeyServiceClient<PeerChannel> {
    ApiKeyServiceClient::new(rig.world.client("gateway", "identity", principal.cloned()))
}

pub(crate) fn wanted(scopes: &[Permission]) -> CreateApiKeyRequest {
    CreateApiKeyRequest {
        name: "Nightly import".into(),
        scopes: scopes.iter().map(|scope| i32::from(*scope)).collect(),
        ..Default::default()
    }
}

/// A key that reads, and how it signs.
pub(crate) async fn key(rig: &Rig, maker: &Someone) -> (ApiKey, SigningKey) {
    let made = client(rig, Some(&maker.principal)).create_api_key(wanted(&[Permission::ReadInbox])).await;
    let CreateApiKeyResponse { api_key, secret } = made.unwrap().into_inner();
    (api_key.unwrap(), SigningKey::parse(&secret).unwrap())
}

/// Shows identity a signature over some base.
async fn show(rig: &Rig, key: &SigningKey, base: &str) -> Result<AuthenticateSignatureResponse, Status> {
    let request = AuthenticateSignatureRequest {
        keyid: key.keyid(),
        base: base.into(),
        signature: mac(key, base).into(),
    };
    Ok(client(rig, None).authenticate_signature(request).await?.into_inner())
}

pub(crate) fn mac(key: &SigningKey, base: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.secret());
    aws_lc_rs::hmac::sign(&key, base.as_bytes()).as_ref().to_vec()
}

#[tokio::test]
async fn id_11_a_key_is_said_once_sealed_and_acts_by_its_scopes() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let (made, signing) = key(&rig, &owner).await;
    assert_eq!(made.keyid, signing.keyid());
    assert_eq!(made.created_by, owner.member.member_id);

    let text = signing.reveal();
    let secret = &text[text.len() - 43..];
    let hex: String = signing.secret().iter().map(|byte| format!("{byte:02x}")).collect();
    for rows in [dump(&rig.config.database).await, dump(&rig.config.keystore).await] {
        assert!(!rows.contains(secret) && !rows.contains(&hex), "the secret is stored");
        assert!(!rows.contains("Nightly"), "the name is stored");
    }

    let answer = show(&rig, &signing, "what was signed").await.unwrap();
    assert_eq!((&answer.secret[..], answer.plan.as_str()), (&signing.secret()[..], "free"));
    let principal = PrincipalToken::from_bytes(&answer.principal);
    let principal = rig.world.access.of("messaging").verify_principal(&principal).await.unwrap();
    assert_eq!(principal.tenant, tenant_of(&owner));
    assert_eq!(principal.actor().to_string(), made.api_key_id);
    assert!(principal.allows(Permission::ReadInbox) && !principal.allows(Permission::Send));
    assert!(!principal.allows(Permission::OwnAccount) && principal.roles().is_empty());

    let forged = AuthenticateSignatureRequest {
        keyid: signing.keyid(),
        base: "something else".into(),
        signature: mac(&signing, "what was signed").into(),
    };
    assert_eq!(reason(client(&rig, None).authenticate_signature(forged).await), "SIGNATURE_INVALID");
    let stranger = SigningKey::new(tenant_of(&owner), ApiKeyId::new(Uuid::nil()), [7; 32].into());
    assert_eq!(reason(show(&rig, &stranger, "x").await), "API_KEY_UNKNOWN");

    let listed = client(&rig, Some(&owner.principal)).list_api_keys(ListApiKeysRequest::default()).await;
    let listed = listed.unwrap().into_inner().api_keys;
    assert_eq!(listed, [made]);
}

#[tokio::test]
async fn id_11_nobody_gives_a_key_more_than_he_has() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let admin = rig.member(&owner, "adam@example.com", &[Role::Admin]).await;
    let agent = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let ask = async |who: &Someone, asked| client(&rig, Some(&who.principal)).create_api_key(asked).await;
    assert_eq!(field(ask(&admin, wanted(&[Permission::Billing])).await), "scopes");
    assert!(ask(&owner, wanted(&[Permission::Billing])).await.is_ok());
    for none in [Permission::OwnAccount, Permission::ApiKeys, Permission::Unspecified] {
        assert_eq!(field(ask(&owner, wanted(&[none])).await), "scopes", "{none:?}");
    }
    assert_eq!(field(ask(&owner, wanted(&[])).await), "scopes");
    assert_eq!(reason(ask(&agent, wanted(&[Permission::ReadInbox])).await), "PERMISSION_DENIED");
    let read = [Permission::ReadInbox];
    let over = CreateApiKeyRequest { requests_per_minute: 600_001, ..wanted(&read) };
    assert_eq!(field(ask(&owner, over).await), "requests_per_minute");
    let past = CreateApiKeyRequest { expires_at: Some(timestamp(rig.world.clock.now())), ..wanted(&read) };
    assert_eq!(field(ask(&owner, past).await), "expires_at");
    let nameless = CreateApiKeyRequest { name: " ".into(), ..wanted(&read) };
    assert_eq!(field(ask(&owner, nameless).await), "name");
}

#[tokio::test]
async fn a_key_is_made_once_for_one_idempotency_key_and_as_many_as_configured() {
    let rig = Rig::with(|config| config.api_keys.most = 2).await;
    let owner = rig.owner("acme").await;
    let mut client = client(&rig, Some(&owner.principal));
    let once = |name: &str| CreateApiKeyRequest {
        name: name.into(),
        idempotency: Some(Idempotency { key: "k-1".into() }),
        ..wanted(&[Permission::ReadInbox])
    };
    let first = client.create_api_key(once("one")).await.unwrap().into_inner();
    let again = client.create_api_key(once("one")).await.unwrap().into_inner();
    assert_eq!(again.api_key, first.api_key);
    assert!(!first.secret.is_empty() && again.secret.is_empty(), "a secret is said once");
    assert_eq!(reason(client.create_api_key(once("two")).await), "IDEMPOTENCY_KEY_REUSED");
    client.create_api_key(wanted(&[Permission::Send])).await.unwrap();
    assert_eq!(reason(client.create_api_key(wanted(&[Permission::Send])).await), "TOO_MANY_API_KEYS");
    let revoke = RevokeApiKeyRequest { api_key_id: first.api_key.unwrap().api_key_id };
    client.revoke_api_key(revoke).await.unwrap();
    client.create_api_key(wanted(&[Permission::Send])).await.unwrap();
    // What was refused left no secrets behind: a subject and two units for each of the three.
    let mut keystore = Databases::superuser(&rig.config.keystore).await;
    let tenant = tenant_of(&owner);
    let living: i64 = sqlx::query_scalar("select count(*) from secrets where tenant_id = $1")
        .bind(tenant.uuid())
        .fetch_one(&mut keystore)
        .await
        .unwrap();
    assert_eq!(living, 2 + 3 * 3 - 1, "the owner's two, and the revoked key lost one");
}

#[tokio::test]
async fn id_11_a_revoked_key_is_void_everywhere_and_its_secret_is_gone() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let (made, signing) = key(&rig, &owner).await;
    let principal = PrincipalToken::from_bytes(&show(&rig, &signing, "x").await.unwrap().principal);
    let principal = rig.world.access.of("messaging").verify_principal(&principal).await.unwrap();
    let check = CheckPrincipalRequest {
        tenant_id: principal.tenant.to_string(),
        api_key_id: principal.actor().to_string(),
        issued_at_ms: principal.issued_at_ms,
        ..Default::default()
    };
    let valid = async || {
        let mut asking = lethe_proto::identity::identity_service_client::IdentityServiceClient::new(
            rig.world.client("messaging", "identity", None),
        );
        asking.check_principal(check.clone()).await.unwrap().into_inner().valid
    };
    assert!(valid().await);

    let mut keys = client(&rig, Some(&owner.principal));
    let revoke = RevokeApiKeyRequest { api_key_id: made.api_key_id.clone() };
    let revoked = keys.revoke_api_key(revoke.clone()).await.unwrap().into_inner();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(keys.revoke_api_key(revoke).await.unwrap().into_inner(), revoked, "twice is as once");
    assert!(rig.world.access.of("identity").revocations().is_void(&principal));
    assert!(!valid().await);
    assert_eq!(reason(show(&rig, &signing, "x").await), "API_KEY_UNKNOWN");
    let mut connection = Databases::superuser(&rig.config.database).await;
    let left: Option<Vec<u8>> =
        sqlx::query_scalar("select secret from api_keys").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, None);
    let other = rig.owner("other").await;
    let foreign = RevokeApiKeyRequest { api_key_id: made.api_key_id };
    let foreign = client(&rig, Some(&other.principal)).revoke_api_key(foreign).await;
    assert_eq!(reason(foreign), "API_KEY_NOT_FOUND");
}

#[tokio::test]
async fn a_key_ends_at_its_time() {
    let rig = Rig::with(|config| config.api_keys.most = 1).await;
    let owner = rig.owner("acme").await;
    let end = rig.world.clock.now() + Duration::from_secs(30);
    let asked = CreateApiKeyRequest { expires_at: Some(timestamp(end)), ..wanted(&[Permission::Send]) };
    let made = client(&rig, Some(&owner.principal)).create_api_key(asked).await.unwrap().into_inner();
    let signing = SigningKey::parse(&made.secret).unwrap();
    let principal = PrincipalToken::from_bytes(&show(&rig, &signing, "x").await.unwrap().principal);
    let principal = rig.world.access.of("messaging").verify_principal(&principal).await.unwrap();
    assert_eq!(principal.expires_at_ms - principal.issued_at_ms, 30_000, "not a minute");
    rig.world.clock.advance(Duration::from_secs(30));
    assert_eq!(reason(show(&rig, &signing, "x").await), "API_KEY_UNKNOWN");
    // It takes no place, and goes with the requests of its time.
    let principal = rig.authenticate(&owner.token).await.unwrap();
    client(&rig, Some(&principal)).create_api_key(wanted(&[Permission::Send])).await.unwrap();
    rig.world.clock.advance(Duration::from_secs(91 * 86_400));
    sweep_api_keys::round(&rig.identity).await.unwrap();
    let mut connection = Databases::superuser(&rig.config.database).await;
    let left = sqlx::query_scalar::<_, Uuid>("select api_key_id from api_keys");
    let left = left.fetch_all(&mut connection).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_ne!(ApiKeyId::new(left[0]).to_string(), made.api_key.unwrap().api_key_id);
}

#[tokio::test]
async fn id_11_a_signature_is_taken_once_whichever_gateway_asks() {
    let rig = Rig::new().await;
    let replica = rig.replica().await;
    let owner = rig.owner("acme").await;
    let (made, _) = key(&rig, &owner).await;
    let request = |signature: u8| UseSignatureRequest {
        tenant_id: tenant_of(&owner).to_string(),
        api_key_id: made.api_key_id.clone(),
        signature: vec![signature; 32].into(),
    };
    let fresh = async |rig: &Rig, signature| {
        client(rig, None).use_signature(request(signature)).await.unwrap().into_inner().fresh
    };
    assert!(fresh(&rig, 1).await && !fresh(&replica, 1).await && !fresh(&rig, 1).await);
    assert!(fresh(&replica, 2).await);
    // Too old to be good, and then forgotten.
    rig.world.clock.advance(Duration::from_secs(601));
    sweep_api_keys::round(&rig.identity).await.unwrap();
    assert!(fresh(&rig, 1).await);
    let short = UseSignatureRequest { signature: vec![1].into(), ..request(1) };
    assert_eq!(field(client(&rig, None).use_signature(short).await), "signature");
}

#[tokio::test]
async fn id_11_what_keys_asked_is_listed_for_auditors_and_goes_after_90_days() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let auditor = rig.member(&owner, "olga@example.com", &[Role::Auditor]).await;
    let agent = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let (made, _) = key(&rig, &owner).await;
    let (other, _) = key(&rig, &owner).await;
    let start = rig.world.clock.now();
    let request = |number: u128, key: &ApiKey, missed| RecordedRequest {
        tenant_id: tenant_of(&owner).to_string(),
        request: Some(ApiRequest {
            request_id: Uuid::from_u128(number).simple().to_string(),
            api_key_id: key.api_key_id.clone(),
            at: Some(timestamp(start + Duration::from_secs(number as u64))),
            method: "GET".into(),
            route: "/v1/contacts/{contact_id}".into(),
            rpc: "GetContact".into(),
            status: 200,
            missed,
        }),
    };
    let group = RecordApiRequestsRequest {
        requests: vec![
            request(1, &made, 0),
            request(2, &made, 0),
            request(3, &other, 0),
            request(4, &made, 17),
        ],
    };
    for _ in 0..2 {
        client(&rig, None).record_api_requests(group.clone()).await.unwrap();
    }
    let list = async |asked: ListApiRequestsRequest| {
        client(&rig, Some(&auditor.principal)).list_api_requests(asked).await.unwrap().into_inner()
    };
    let all = list(ListApiRequestsRequest::default()).await.requests;
    assert_eq!(all.len(), 4, "the same group twice is once");
    assert_eq!((all[0].missed, all[1].api_key_id == other.api_key_id), (17, true), "newest first");
    assert_eq!(all[3], group.requests[0].request.clone().unwrap());

    let page = |after| Some(Page { limit: 2, after });
    let of =
        |page| ListApiRequestsRequest { api_key_id: made.api_key_id.clone(), page, ..Default::default() };
    let first = list(of(page(Default::default()))).await;
    let second = list(of(page(first.next))).await;
    assert_eq!((first.requests.len(), second.requests.len(), second.next.len()), (2, 1, 0));
    let from = Some(timestamp(start + Duration::from_secs(2)));
    let until = Some(timestamp(start + Duration::from_secs(4)));
    let between = list(ListApiRequestsRequest { from, until, ..Default::default() }).await;
    assert_eq!(between.requests.len(), 2);
    let refused =
        client(&rig, Some(&agent.principal)).list_api_requests(ListApiRequestsRequest::default()).await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");

    let keys = client(&rig, Some(&owner.principal)).list_api_keys(ListApiKeysRequest::default()).await;
    let keys = keys.unwrap().into_inner().api_keys;
    let used = keys.iter().find(|key| key.api_key_id == made.api_key_id).unwrap().last_used_at;
    assert_eq!(used, Some(timestamp(start + Duration::from_secs(4))));

    let revoke = RevokeApiKeyRequest { api_key_id: other.api_key_id.clone() };
    client(&rig, Some(&owner.principal)).revoke_api_key(revoke).await.unwrap();
    rig.world.clock.advance(Duration::from_secs(89 * 86_400));
    sweep_api_keys::round(&rig.identity).await.unwrap();
    let mut connection = Databases::superuser(&rig.config.database).await;
    let mut rows = async |table: &str| {
        let count = format!("select count(*) from {table}");
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count)).fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!((rows("api_requests").await, rows("api_keys").await), (4, 2));
    rig.world.clock.advance(Duration::from_secs(86_410));
    for _ in 0..2 {
        sweep_api_keys::round(&rig.identity).await.unwrap();
    }
    assert_eq!((rows("api_requests").await, rows("api_keys").await), (0, 1), "the revoked key went too");
}

#[tokio::test]
async fn id_17_gateways_that_live_share_and_one_that_is_silent_does_not() {
    let rig = Rig::new().await;
    let replica = rig.replica().await;
    let lease = async |rig: &Rig, number: u128| {
        let request = LeaseRatesRequest { replica_id: Uuid::from_u128(number).to_string() };
        client(rig, None).lease_rates(request).await.unwrap().into_inner().replicas
    };
    assert_eq!(lease(&rig, 1).await, 1);
    assert_eq!(lease(&replica, 2).await, 2, "whichever identity they ask");
    assert_eq!((lease(&rig, 1).await, lease(&rig, 2).await), (2, 2), "again is as once");
    let mut connection = Databases::superuser(&rig.config.database).await;
    let silent = "update gateway_replicas set seen_at = seen_at - interval '6 seconds' where replica_id = $1";
    sqlx::query(silent).bind(Uuid::from_u128(2)).execute(&mut connection).await.unwrap();
    assert_eq!(lease(&rig, 1).await, 1);
    let odd = client(&rig, None).lease_rates(LeaseRatesRequest { replica_id: "gateway-1".into() }).await;
    assert_eq!(field(odd), "replica_id");
}

#[tokio::test]
async fn a_key_acts_as_itself_in_the_audit_trail_and_has_no_account() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let agents = permissions(Role::Agent).iter().filter(|agents| **agents != Permission::OwnAccount);
    let asked: Vec<_> = agents.copied().chain([Permission::Members]).collect();
    let asked = wanted(&asked);
    let made = client(&rig, Some(&owner.principal)).create_api_key(asked).await.unwrap().into_inner();
    let signing = SigningKey::parse(&made.secret).unwrap();
    let principal = PrincipalToken::from_bytes(&show(&rig, &signing, "x").await.unwrap().principal);
    let mut machine = rig.as_member(&principal);
    let created = machine
        .create_member(crate::rig::new_member("bob@example.com", &[Role::Agent]))
        .await
        .unwrap()
        .into_inner();
    let owners = machine.create_member(crate::rig::new_member("eve@example.com", &[Role::Owner])).await;
    assert_eq!(reason(owners), "OWNER_REQUIRED");
    // Nobody who may do more than the key: it would log in as him.
    for role in [Role::Admin, Role::PrivacyOfficer, Role::Auditor] {
        let more = machine.create_member(crate::rig::new_member("eve@example.com", &[role])).await;
        assert_eq!(reason(more), "PERMISSION_DENIED", "{role:?}");
        let member_id = created.member.clone().unwrap().member_id;
        let more = machine.grant_role(GrantRoleRequest { member_id, role: role.into() }).await;
        assert_eq!(reason(more), "PERMISSION_DENIED", "{role:?}");
    }
    let adam = rig.member(&owner, "adam@example.com", &[Role::Admin]).await;
    let adam = DeactivateMemberRequest { member_id: adam.member.member_id.clone() };
    assert_eq!(reason(machine.deactivate_member(adam).await), "PERMISSION_DENIED");
    // Not even of whom it made: that one's password is his own by now.
    let bob = created.member.clone().unwrap().member_id;
    let reset = machine.reset_password(ResetPasswordRequest { member_id: bob }).await;
    assert_eq!(reason(reset), "PERMISSION_DENIED");
    let own = machine.get_self(lethe_proto::identity::GetSelfRequest {}).await;
    assert_eq!(reason(own), "PERMISSION_DENIED");
    let more = client(&rig, Some(&principal)).create_api_key(wanted(&[Permission::ReadInbox])).await;
    assert_eq!(reason(more), "PERMISSION_DENIED", "a key makes no keys");
    let mut connection = Databases::superuser(&rig.config.database).await;
    let actor: (String, String) = sqlx::query_as(
        "select actor_kind, actor_id from audit_events where action = 'CreateMember' and target_id = $1",
    )
    .bind(created.member.unwrap().member_id)
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let id = made.api_key.unwrap().api_key_id;
    assert_eq!(actor, ("api_key".to_owned(), id.clone()));
    let verified = rig.world.access.of("messaging").verify_principal(&principal).await.unwrap();
    assert_eq!(verified.actor(), Actor::ApiKey(id.parse().unwrap()));
}
