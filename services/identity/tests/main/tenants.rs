//! CreateTenant, GetTenant, UpdateTenant.

use std::collections::BTreeMap;

use lethe_proto::identity::{CreateTenantRequest, GetTenantRequest, UpdateTenantRequest};

use crate::rig::{PASSWORD, Rig, field, reason, tenant};

#[tokio::test]
async fn create_tenant_twice_is_once_when_asked_so() {
    let rig = Rig::new().await;
    let first = rig.create_tenant("acme").await;
    assert!(first.one_time_password.len() >= 20);
    assert_eq!(reason(rig.operator().create_tenant(tenant("acme")).await), "SLUG_TAKEN");
    let again = CreateTenantRequest { keep_existing: true, ..tenant("acme") };
    let second = rig.operator().create_tenant(again).await.unwrap().into_inner();
    assert_eq!(second.tenant, first.tenant);
    assert_eq!(second.owner, first.owner);
    assert_eq!(second.one_time_password, "");
}

#[tokio::test]
async fn create_tenant_at_once_makes_one() {
    let rig = Rig::new().await;
    let create = || async {
        let request = CreateTenantRequest { keep_existing: true, ..tenant("race") };
        rig.operator().create_tenant(request).await.unwrap().into_inner().tenant.unwrap().tenant_id
    };
    let (a, b, c) = tokio::join!(create(), create(), create());
    assert!(a == b && b == c);
}

#[tokio::test]
async fn create_tenant_names_the_field_that_does_not_fit() {
    let rig = Rig::new().await;
    for (change, name) in [
        ((|r| r.slug = "No".into()) as fn(&mut CreateTenantRequest), "slug"),
        (|r| r.name = " ".into(), "name"),
        (|r| r.owner_name = String::new(), "owner_name"),
        (|r| r.owner_email = "nobody".into(), "owner_email"),
        (|r| r.owner_password = PASSWORD.into(), "owner_password"),
    ] {
        let mut request = tenant("acme");
        change(&mut request);
        assert_eq!(field(rig.operator().create_tenant(request).await), name);
    }
}

#[tokio::test]
async fn a_password_may_be_given_in_development_only() {
    let rig = Rig::with(|config| config.development = true).await;
    let request = CreateTenantRequest { owner_password: PASSWORD.into(), ..tenant("acme") };
    let created = rig.operator().create_tenant(request).await.unwrap().into_inner();
    assert_eq!(created.one_time_password, "");
    let opened = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    assert!(!opened.must_change_password);
}

#[tokio::test]
async fn update_tenant_changes_the_version_that_was_seen() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut client = rig.as_member(&owner.principal);
    let seen = client.get_tenant(GetTenantRequest {}).await.unwrap().into_inner();
    assert_eq!((seen.slug.as_str(), seen.version), ("acme", 1));
    let request = |version, settings: &[(&str, &str)]| UpdateTenantRequest {
        name: Some("Acme & Co".into()),
        settings: settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        if_version: version,
        ..UpdateTenantRequest::default()
    };
    assert_eq!(reason(client.update_tenant(request(0, &[])).await), "VERSION_REQUIRED");
    assert_eq!(reason(client.update_tenant(request(2, &[])).await), "VERSION_MISMATCH");
    let changed =
        client.update_tenant(request(1, &[("tone", "formal"), ("a", "b")])).await.unwrap().into_inner();
    assert_eq!((changed.name.as_str(), changed.region.as_str(), changed.version), ("Acme & Co", "eu", 2));
    assert_eq!(reason(client.update_tenant(request(1, &[])).await), "VERSION_MISMATCH");
    let changed = client.update_tenant(request(2, &[("a", "")])).await.unwrap().into_inner();
    assert_eq!(changed.settings, BTreeMap::from([("tone".into(), "formal".into())]));
    assert_eq!(client.get_tenant(GetTenantRequest {}).await.unwrap().into_inner(), changed);
}
