//! The tenant that the member belongs to.

use std::collections::BTreeMap;

use lethe_proto::identity::{self as proto, GetTenantRequest, SetPlanRequest, UpdateTenantRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::{Json, Reply},
    json::{Named, Text, given, instant},
    precondition::IfMatch,
    problem::Problem,
    session::Acting,
};

/// A tenant: the business that uses Lethe.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tenant {
    #[schema(example = "ten_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    tenant_id: String,
    /// Its name at log-in.
    #[schema(example = "acme")]
    slug: String,
    #[schema(example = "Acme Ltd")]
    name: String,
    #[schema(example = "team")]
    plan: String,
    #[schema(example = "eu")]
    region: String,
    /// The tenant's own settings.
    settings: BTreeMap<String, String>,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
}

impl Tenant {
    fn reply(tenant: proto::Tenant) -> Reply<Self> {
        let version = tenant.version;
        Reply::ok(Self {
            tenant_id: tenant.tenant_id,
            slug: tenant.slug,
            name: tenant.name,
            plan: tenant.plan,
            region: tenant.region,
            settings: tenant.settings.into_iter().collect(),
            version,
            created_at: instant(tenant.created_at),
        })
        .with_version(version)
    }
}

/// Shows the tenant.
#[utoipa::path(get, path = "/v1/tenant", tag = "tenant",
    responses((status = 200, body = Tenant)),
    extensions(("x-lethe-rpc" = json!("GetTenant"))))]
pub(crate) async fn get_tenant(acting: Acting) -> Result<Reply<Tenant>, Problem> {
    Ok(Tenant::reply(acting.identity().get_tenant(GetTenantRequest {}).await?.into_inner()))
}

/// What of the tenant is changed; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme Limited", "settings": {"locale": "en", "greeting": null}}))]
pub(crate) struct TenantChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    name: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    region: Option<Text>,
    /// Keys given here are set; `null` removes one.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>, nullable = false)]
    settings: Named<Option<Text>>,
}

/// Changes the tenant's name, region and settings.
#[utoipa::path(patch, path = "/v1/tenant", tag = "tenant", params(IfMatch),
    responses((status = 200, body = Tenant)),
    extensions(("x-lethe-rpc" = json!("UpdateTenant"))))]
pub(crate) async fn update_tenant(
    acting: Acting,
    IfMatch(if_version): IfMatch,
    Json(body): Json<TenantChange>,
) -> Result<Reply<Tenant>, Problem> {
    let request = UpdateTenantRequest {
        name: body.name.map(|name| name.0),
        region: body.region.map(|region| region.0),
        settings: body.settings.map(|value| value.unwrap_or_default().0),
        if_version,
    };
    Ok(Tenant::reply(acting.identity().update_tenant(request).await?.into_inner()))
}

/// The plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"plan": "business"}))]
pub(crate) struct NewPlan {
    /// A code of the operator's price list.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]+$")]
    plan: Text,
}

/// Sets the tenant's plan: with the permission for billing alone.
#[utoipa::path(put, path = "/v1/tenant/plan", tag = "tenant", params(IfMatch),
    responses((status = 200, body = Tenant)),
    extensions(("x-lethe-rpc" = json!("SetPlan"))))]
pub(crate) async fn set_plan(
    acting: Acting,
    IfMatch(if_version): IfMatch,
    Json(body): Json<NewPlan>,
) -> Result<Reply<Tenant>, Problem> {
    let request = SetPlanRequest { plan: body.plan.0, if_version };
    Ok(Tenant::reply(acting.identity().set_plan(request).await?.into_inner()))
}
