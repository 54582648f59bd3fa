//! A member's copy of his own data: that nothing is missing in it, and nothing of others is.

use std::collections::BTreeSet;

use lethe_access::Role;
use lethe_proto::{
    access::Permission,
    identity::{
        AddTeamMemberRequest, CreateApiKeyRequest, CreateTeamRequest, GetOwnDataRequest, GetOwnDataResponse,
        GrantRoleRequest, MakeOwnRequestRequest, MemberRequestKind, OwnRecord, RevokeSessionRequest,
        SetPhotoRequest, UpdateSelfRequest, api_key_service_client::ApiKeyServiceClient,
        person_service_client::PersonServiceClient, team_service_client::TeamServiceClient,
    },
    request::{Idempotency, Page},
};
use lethe_service::PeerChannel;
use lethe_testkit::Databases;
use prost::bytes::Bytes;

use crate::rig::{PASSWORD, Rig, Someone, field, reason};

/// Each column of the tables that name members, and where it is in the copy: category and field; `record_id` and `at` stand beside
/// the fields.
const COPIED: &[(&str, &str, &str, &str)] = &[
    ("members", "member_id", "profile", "record_id"),
    ("members", "profile", "profile", "name email phone"),
    ("members", "must_change_password", "profile", "must_change_password"),
    ("members", "roles", "profile", "roles"),
    ("members", "active", "profile", "active"),
    ("members", "version", "profile", "version"),
    ("members", "void_before_ms", "profile", "principals_void_before"),
    ("members", "created_at", "profile", "at"),
    ("member_photos", "photo_id", "photo", "record_id"),
    ("member_photos", "media_type", "photo", "media_type"),
    ("member_photos", "photo", "photo", "content"),
    ("member_photos", "set_at", "photo", "at"),
    ("team_members", "team_id", "team", "record_id name"),
    ("team_members", "added_at", "team", "at"),
    ("sessions", "session_id", "session", "record_id"),
    ("sessions", "client", "session", "browser os device_type"),
    ("sessions", "created_at", "session", "at"),
    ("sessions", "last_seen_at", "session", "last_seen_at"),
    ("sessions", "expires_at", "session", "expires_at"),
    ("log_in_records", "log_in_record_id", "log_in", "record_id"),
    ("log_in_records", "at", "log_in", "at"),
    ("log_in_records", "method", "log_in", "method"),
    ("log_in_records", "succeeded", "log_in", "succeeded"),
    ("log_in_records", "client", "log_in", "ip browser os device_type"),
    ("audit_events", "audit_id", "audit_event", "record_id"),
    ("audit_events", "at", "audit_event", "at"),
    ("audit_events", "service", "audit_event", "service"),
    ("audit_events", "actor_kind", "audit_event", "actor_kind"),
    ("audit_events", "actor_id", "audit_event", "actor_id"),
    ("audit_events", "action", "audit_event", "action"),
    ("audit_events", "target_kind", "audit_event", "target_kind"),
    ("audit_events", "target_id", "audit_event", "target_id"),
    ("audit_events", "request_id", "audit_event", "request_id"),
    ("audit_events", "detail", "audit_event", "detail"),
    ("member_requests", "member_request_id", "request", "record_id"),
    ("member_requests", "kind", "request", "kind"),
    ("member_requests", "state", "request", "state"),
    ("member_requests", "refusal", "request", "state"),
    ("member_requests", "received_at", "request", "at"),
    ("member_requests", "due_at", "request", "due_at"),
    ("member_requests", "closed_at", "request", "closed_at"),
    ("member_requests", "closed_by", "request", "closed_by"),
    ("member_requests", "grounds", "request", "grounds"),
    ("member_requests", "answer", "request", "answer"),
    ("api_keys", "api_key_id", "api_key", "record_id"),
    ("api_keys", "name", "api_key", "name"),
    ("api_keys", "scopes", "api_key", "scopes"),
    ("api_keys", "requests_per_minute", "api_key", "requests_per_minute"),
    ("api_keys", "created_at", "api_key", "at"),
    ("api_keys", "expires_at", "api_key", "expires_at"),
    ("api_keys", "revoked_at", "api_key", "revoked_at"),
    ("idempotency", "rpc", "idempotency_key", "rpc"),
    ("idempotency", "key", "idempotency_key", "key"),
    ("idempotency", "resource", "idempotency_key", "resource"),
    ("idempotency", "created_at", "idempotency_key", "at"),
    ("revocations", "revocation_id", "revocation", "record_id"),
    ("revocations", "revoked_at_ms", "revocation", "revoked_at"),
    ("revocations", "recorded_at", "revocation", "at"),
];

/// Columns of these tables that are not in the copy, each with the reason. `*` is every table.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("*", "tenant_id", "the tenant's"),
    ("*", "member_id", "whose copy it is"),
    ("*", "subject_id", "where a secret is kept"),
    ("*", "unit_id", "where a secret is kept"),
    ("members", "profile_version", "counts seals of the profile"),
    ("members", "password_expires_at", "of a one-time password, with which nobody asks for his copy"),
    ("members", "password_hash", "a secret: the category `credential` says that it is kept"),
    ("members", "erased", "nobody who was erased can ask"),
    ("sessions", "token_hash", "a secret"),
    ("audit_events", "contact_id", "whom it was about beside him: the contact's"),
    ("audit_events", "erasure_id", "the contact's"),
    ("audit_events", "salt", "random, for the trail's proof"),
    ("audit_events", "about_salt", "random, for the trail's proof"),
    ("audit_events", "about_commitment", "a digest, for the trail's proof"),
    ("audit_events", "leaf_hash", "a digest, for the trail's proof"),
    ("api_keys", "name_unit_id", "where a secret is kept"),
    ("api_keys", "secret_unit_id", "where a secret is kept"),
    ("api_keys", "secret", "the program's, and a secret"),
    ("api_keys", "created_by", "whose copy it is"),
    ("idempotency", "body_mac", "a keyed digest of the request"),
    ("revocations", "session_id", "such a row names a session alone, whose end is an audit event"),
    ("revocations", "api_key_id", "such a row names a key alone"),
    ("revocations", "operator_access_id", "such a row names an operator's access alone"),
];

/// Tables without anything about a member, each with the reason.
const NOT_ABOUT_MEMBERS: &[(&str, &str)] = &[
    ("slugs", "finds the tenant"),
    ("tenants", "the tenant's"),
    ("teams", "the tenant's words for groups"),
    ("member_erasures", "of whoever left and cannot ask; who began it is an audit event of his"),
    ("operator_access", "the operators'; that he decided on it is an audit event of his"),
    ("retired_units", "secrets without an owner"),
    ("api_requests", "a program's"),
    ("used_signatures", "a program's"),
    ("gateway_replicas", "the platform's"),
    ("fences", "contacts'"),
    ("migrations", "the schema's"),
    ("incarnation", "the database's"),
    ("outbox", "ids on their way, and none of a member's own"),
    ("outbox_slots", "leases"),
    ("outbox_relays", "leases"),
    ("stream_positions", "the bus's"),
    ("dead_letters", "events that could not be taken in"),
    ("inbox", "which events were taken in"),
    ("tries", "how often an event was tried"),
];

fn person(rig: &Rig, someone: &Someone) -> PersonServiceClient<PeerChannel> {
    PersonServiceClient::new(rig.world.client("gateway", "identity", Some(someone.principal.clone())))
}

/// All pages of the copy, `limit` records each.
async fn copy(rig: &Rig, someone: &Someone, limit: u32) -> (Vec<OwnRecord>, usize) {
    // What the copy itself leaves behind is newer than all that is in it.
    rig.world.clock.advance(std::time::Duration::from_secs(1));
    let (mut records, mut after, mut pages) = (Vec::new(), Bytes::new(), 0);
    loop {
        let page = Some(Page { limit, after });
        let answer = person(rig, someone).get_own_data(GetOwnDataRequest { page }).await.unwrap();
        let GetOwnDataResponse { records: more, categories, next } = answer.into_inner();
        assert_eq!(categories.is_empty(), pages > 0);
        records.extend(more);
        pages += 1;
        if next.is_empty() {
            return (records, pages);
        }
        after = next;
    }
}

/// A member with everything that one can have, done by himself and by others.
async fn everything(rig: &Rig, owner: &Someone, email: &str, team: &str) -> Someone {
    let ada = rig.member(owner, email, &[Role::Admin]).await;
    let member_id = ada.member.member_id.clone();
    let photo = SetPhotoRequest {
        member_id: member_id.clone(),
        media_type: "image/png".into(),
        photo: b"\x89PNG\r\n\x1a\nface".as_slice().into(),
    };
    person(rig, &ada).set_photo(photo).await.unwrap();
    let own = rig.world.client("gateway", "identity", Some(ada.principal.clone()));
    let mut teams = TeamServiceClient::new(own.clone());
    let idempotency = Some(Idempotency { key: "team-1".into() });
    let team = CreateTeamRequest { name: team.into(), idempotency };
    let team_id = teams.create_team(team).await.unwrap().into_inner().team_id;
    teams.add_team_member(AddTeamMemberRequest { team_id, member_id: member_id.clone() }).await.unwrap();
    let key = CreateApiKeyRequest {
        name: "Import".into(),
        scopes: vec![Permission::ReadInbox.into()],
        requests_per_minute: 60,
        expires_at: Some(lethe_service::timestamp(
            rig.world.clock.now() + std::time::Duration::from_secs(86_400),
        )),
        ..CreateApiKeyRequest::default()
    };
    ApiKeyServiceClient::new(own).create_api_key(key).await.unwrap();
    let objection = MakeOwnRequestRequest {
        kind: MemberRequestKind::Objection.into(),
        grounds: "I am not well.".into(),
        idempotency: None,
    };
    person(rig, &ada).make_own_request(objection).await.unwrap();
    let grant = GrantRoleRequest { member_id, role: Role::Auditor.into() };
    rig.as_member(&owner.principal).grant_role(grant).await.unwrap();
    // A device of hers is logged out by somebody else.
    let lost = rig.log_in(&ada.slug, email, PASSWORD).await.unwrap().session.unwrap();
    let revoke = RevokeSessionRequest { session_id: lost.session_id };
    rig.as_member(&owner.principal).revoke_session(revoke).await.unwrap();
    let principal = rig.authenticate(&ada.token).await.unwrap();
    Someone { principal, ..ada }
}

#[tokio::test]
async fn get_own_data_leaves_out_nothing_that_is_kept() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = everything(&rig, &owner, "ada@example.com", "Support").await;
    // What no test waits for: a key that was revoked, a request that was refused.
    let mut database = Databases::superuser(&rig.config.database).await;
    for change in [
        "update member_requests set state = 3, refusal = 3, closed_at = received_at, closed_by = 'mem_x', answer = grounds",
        "update api_keys set revoked_at = created_at, secret = null",
    ] {
        sqlx::query(change).execute(&mut database).await.unwrap();
    }
    // The answer was sealed as the answer; here the ground's bytes stand in its place and must not open.
    let refused = person(&rig, &ada).get_own_data(GetOwnDataRequest { page: None }).await;
    assert!(refused.is_err(), "words open in their own place alone");
    sqlx::query("update member_requests set answer = null").execute(&mut database).await.unwrap();

    let (records, _) = copy(&rig, &ada, 200).await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
          where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and a.attnum > 0
            and not a.attisdropped and not c.relispartition",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    assert!(columns.len() > 100);
    let mut known = BTreeSet::new();
    for (table, column) in &columns {
        if NOT_ABOUT_MEMBERS.iter().any(|(without, _)| without == table) {
            continue;
        }
        let left_out = LEFT_OUT.iter().any(|(of, out, _)| (*of == "*" || of == table) && out == column);
        let copied = COPIED.iter().find(|(of, copied, ..)| of == table && copied == column);
        let Some((_, _, category, fields)) = copied else {
            assert!(left_out, "{table}.{column}: a member's copy of his own data lacks it");
            continue;
        };
        known.insert((table.as_str(), column.as_str()));
        for name in fields.split(' ').filter(|name| *name != "answer") {
            let has = |record: &&OwnRecord| match name {
                "record_id" => !record.record_id.is_empty(),
                "at" => record.at.is_some(),
                name => record.fields.contains_key(name),
            };
            let of_category = records.iter().filter(|record| record.category == *category);
            assert!(of_category.filter(has).count() > 0, "{table}.{column}: no {category} has {name}");
        }
    }
    assert_eq!(known.len(), COPIED.len(), "a column is gone");
    for (table, why) in NOT_ABOUT_MEMBERS {
        assert!(!why.is_empty() && columns.iter().any(|(of, _)| of == table), "{table} is gone");
    }
    let value = |category: &str, name: &str| {
        let one = records.iter().find(|record| record.category == category).unwrap();
        one.fields[name].clone()
    };
    assert_eq!(value("profile", "roles"), "admin,auditor");
    assert_eq!(value("profile", "phone"), "+4930901820");
    assert_eq!(value("photo", "content"), "iVBORw0KGgpmYWNl");
    assert_eq!(value("request", "kind"), "objection");
    assert_eq!(value("request", "state"), "refused_legal_claims");
    assert_eq!(value("request", "grounds"), "I am not well.");
    assert_eq!(value("api_key", "scopes"), "read_inbox");
    assert_eq!(value("team", "name"), "Support");
    let actions: Vec<&str> = records
        .iter()
        .filter(|record| record.category == "audit_event")
        .map(|record| record.fields["action"].as_str())
        .collect();
    for done in
        ["LogIn", "SetPhoto", "CreateTeam", "MakeOwnRequest", "GrantRole", "RevokeSession", "CreateMember"]
    {
        assert!(actions.contains(&done), "{done}: {actions:?}");
    }
}

#[tokio::test]
async fn get_own_data_pages_hold_each_thing_once_and_nothing_of_others() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = everything(&rig, &owner, "ada@example.com", "Support").await;
    let bea = everything(&rig, &owner, "bea@example.com", "Sales").await;
    let other = rig.owner("other").await;
    // A page ends behind each of them, so that none can hide behind another.
    let (paged, pages) = copy(&rig, &ada, 1).await;
    assert!(pages > 15, "{pages}");
    let ids: BTreeSet<_> = paged.iter().map(|record| (&record.category, &record.record_id)).collect();
    assert_eq!(ids.len(), paged.len(), "each thing stands there once");
    // The copy itself is an event that the next one has, and nothing else is new. Behind revocations, which go by the database's
    // clock, it may stand in the first one too.
    let (whole, _) = copy(&rig, &ada, 200).await;
    let is_the_copy =
        |record: &OwnRecord| record.fields.get("action").is_some_and(|done| done == "GetOwnData");
    assert_eq!(whole.iter().filter(|record| is_the_copy(record)).count(), 1);
    let of = |records: &[OwnRecord]| -> BTreeSet<(String, String)> {
        let others = records.iter().filter(|record| !is_the_copy(record));
        others.map(|record| (record.category.clone(), record.record_id.clone())).collect()
    };
    assert_eq!(of(&paged), of(&whole));
    assert_eq!(whole[0].category, "profile");
    assert!(
        whole[1..]
            .windows(2)
            .all(|two| two[0].at.as_ref().unwrap().seconds >= two[1].at.as_ref().unwrap().seconds)
    );

    let text = format!("{whole:?}");
    for of_others in [&*bea.member.member_id, &*other.member.member_id, "bea@", "owner@example.com", "Olive"]
    {
        assert!(!text.contains(of_others), "{of_others}");
    }
    for secret in ["$argon2", "$2b$", "lth_s_"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let (of_bea, _) = copy(&rig, &bea, 200).await;
    let (hers, beas) = (of(&whole), of(&of_bea));
    assert!(beas.len() > 20, "{beas:?}");
    assert!(hers.is_disjoint(&beas), "both have {:?}", hers.intersection(&beas).collect::<Vec<_>>());
    assert!(!format!("{of_bea:?}").contains(&ada.member.member_id));
    for record in of_bea.iter().filter(|record| record.category == "profile") {
        assert_eq!(record.fields["email"], "bea@example.com");
    }
}

#[tokio::test]
async fn update_self_corrects_by_version_and_the_address_with_the_password() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let mut client = person(&rig, &ada);
    let version = rig.as_member(&ada.principal).get_self(lethe_proto::identity::GetSelfRequest {}).await;
    let version = version.unwrap().into_inner().version;
    let change = || UpdateSelfRequest { if_version: version, ..UpdateSelfRequest::default() };
    assert_eq!(
        reason(client.update_self(UpdateSelfRequest { if_version: 0, ..change() }).await),
        "VERSION_REQUIRED"
    );
    let renamed = UpdateSelfRequest { name: Some("Ada King".into()), phone: Some(String::new()), ..change() };
    let after = client.update_self(renamed.clone()).await.unwrap().into_inner();
    assert_eq!((after.name.as_str(), after.phone.as_str()), ("Ada King", ""));
    assert_eq!(reason(client.update_self(renamed).await), "VERSION_MISMATCH");

    let version = after.version;
    let to = |email: &str, password: &str| UpdateSelfRequest {
        email: Some(email.into()),
        current_password: password.into(),
        if_version: version,
        ..UpdateSelfRequest::default()
    };
    let new = "ada.king@example.com";
    assert_eq!(reason(client.update_self(to(new, "")).await), "WRONG_PASSWORD");
    assert_eq!(reason(client.update_self(to(new, "another password")).await), "WRONG_PASSWORD");
    assert_eq!(field(client.update_self(to("nobody", PASSWORD)).await), "email");
    assert_eq!(reason(client.update_self(to("owner@example.com", PASSWORD)).await), "EMAIL_TAKEN");
    let after = client.update_self(to(new, PASSWORD)).await.unwrap().into_inner();
    assert_eq!((after.email.as_str(), after.version), (new, version + 1));
    assert!(rig.log_in("acme", new, PASSWORD).await.is_ok());
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", PASSWORD).await), "LOG_IN_FAILED");

    // A one-time password opens nothing of this.
    let made =
        rig.as_member(&owner.principal).create_member(crate::rig::new_member("new@example.com", &[])).await;
    let opened =
        rig.log_in("acme", "new@example.com", &made.unwrap().into_inner().one_time_password).await.unwrap();
    let principal = rig.authenticate(&opened.token).await.unwrap();
    let first =
        Someone { slug: "acme".into(), member: opened.member.unwrap(), token: opened.token, principal };
    let mut client = person(&rig, &first);
    let named = UpdateSelfRequest { name: Some("New".into()), if_version: 1, ..UpdateSelfRequest::default() };
    assert_eq!(reason(client.update_self(named).await), "PASSWORD_CHANGE_REQUIRED");
    assert_eq!(
        reason(client.get_own_data(GetOwnDataRequest { page: None }).await),
        "PASSWORD_CHANGE_REQUIRED"
    );
    let request = MakeOwnRequestRequest { kind: 1, ..MakeOwnRequestRequest::default() };
    assert_eq!(reason(client.make_own_request(request).await), "PASSWORD_CHANGE_REQUIRED");
}

#[tokio::test]
async fn update_self_lets_nobody_guess_the_password() {
    let rig = Rig::with(|config| config.log_in.per_account_and_address = 3).await;
    let owner = rig.owner("acme").await;
    let mut client = person(&rig, &owner);
    // Who knows it is not counted, however often he moves.
    for number in 1..=4 {
        let moved = UpdateSelfRequest {
            email: Some(format!("owner{number}@example.com")),
            current_password: PASSWORD.into(),
            if_version: number,
            ..UpdateSelfRequest::default()
        };
        assert_eq!(client.update_self(moved).await.unwrap().into_inner().version, number + 1);
    }
    let guess = UpdateSelfRequest {
        email: Some("thief@example.com".into()),
        current_password: "a guess".into(),
        if_version: 1,
        ..UpdateSelfRequest::default()
    };
    for _ in 0..3 {
        assert_eq!(reason(client.update_self(guess.clone()).await), "WRONG_PASSWORD");
    }
    assert_eq!(reason(client.update_self(guess).await), "TOO_MANY_LOG_INS");
}
