//! `CreateTenant`: a tenant with its first owner, by the operator. Twice with `keep_existing` is as once.

use std::collections::BTreeMap;

use lethe_access::Role;
use lethe_ids::TenantId;
use lethe_proto::identity::{CreateTenantRequest, CreateTenantResponse};
use lethe_service::{CallContext, TenantTx};
use tonic::Request;

use super::{Done, Identity};
use crate::{
    Error,
    domain::{
        Invalid,
        audit::Actor,
        member::{Profile, Roles},
        password::Password,
        tenant::{Details, Slug},
    },
    enrol::Kept,
    store::{self, member::MemberRow, tenant::TenantRow},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CreateTenantRequest>,
) -> Result<CreateTenantResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let asked = request.into_inner();
    let slug = Slug::parse("slug", &asked.slug)?;
    let details = Details::new(&asked.name, &asked.plan, &asked.region)?;
    let owner = Profile::new(
        ["owner_name", "owner_email", "owner_phone"],
        &asked.owner_name,
        &asked.owner_email,
        "",
    )?;
    let (password, kept) = password(identity, &asked.owner_password)?;
    if let Some(existing) = existing(identity, &slug, asked.keep_existing).await? {
        return Ok(existing);
    }
    let said = if kept == Kept::UntilFirstLogIn(None) { password.expose().to_owned() } else { String::new() };

    let row = TenantRow {
        id: TenantId::new(identity.0.entropy.uuid7(&identity.0.clock)),
        slug: slug.as_str().to_owned(),
        details,
        settings: BTreeMap::new(),
        version: 1,
        created_at: identity.0.clock.now(),
    };
    let roles = Roles::default().with(Role::Owner);
    let hash = identity.0.passwords.hash(password).await?;
    let member = identity.enrol(row.id, &owner, roles, hash, kept).await?;
    match insert(identity, &slug, &row, &member, &request_id).await {
        Ok(Some(tx)) => {
            // Where the answer to the commit is lost the rows may be there: then only the sweep can tell.
            tx.commit().await?;
            Ok(CreateTenantResponse {
                tenant: Some(super::tenant(&row)),
                owner: Some(super::member(&member, &owner)),
                one_time_password: said,
            })
        }
        // Somebody else was faster.
        Ok(None) => {
            identity.abandon(row.id, &member).await;
            existing(identity, &slug, asked.keep_existing).await?.ok_or(Error::SlugTaken)
        }
        Err(error) => {
            identity.abandon(row.id, &member).await;
            Err(error)
        }
    }
}

/// The owner's first password: random, or in development the one that was given. It does not expire: nobody could make another.
fn password(identity: &Identity, given: &str) -> Result<(Password, Kept), Error> {
    if given.is_empty() {
        return Ok((Password::one_time(&identity.0.entropy), Kept::UntilFirstLogIn(None)));
    }
    if !identity.0.config.development {
        return Err(Invalid::new("owner_password", "is for development only").into());
    }
    Ok((Password::chosen("owner_password", given)?, Kept::ForGood))
}

/// The tenant that has the slug, if it may be answered.
async fn existing(
    identity: &Identity,
    slug: &Slug,
    keep_existing: bool,
) -> Result<Option<CreateTenantResponse>, Error> {
    let Some(tenant) = store::tenant::by_slug(&identity.0.db, slug).await? else { return Ok(None) };
    if !keep_existing {
        return Err(Error::SlugTaken);
    }
    let mut tx = identity.0.db.tenant(tenant).await?;
    let row = store::tenant::get(&mut tx).await?.ok_or(Error::Corrupt("slug without tenant"))?;
    let owner = store::member::first_with_role(&mut tx, Role::Owner as i16).await?;
    drop(tx);
    let owner = match owner {
        Some(owner) => Some(identity.member(tenant, &owner).await?),
        None => None,
    };
    Ok(Some(CreateTenantResponse {
        tenant: Some(super::tenant(&row)),
        owner,
        one_time_password: String::new(),
    }))
}

/// The rows, not yet committed; `None` when the slug was taken meanwhile.
async fn insert(
    identity: &Identity,
    slug: &Slug,
    row: &TenantRow,
    owner: &MemberRow,
    request_id: &str,
) -> Result<Option<TenantTx>, Error> {
    let mut tx = identity.0.db.tenant(row.id).await?;
    if !store::tenant::claim_slug(&mut tx, slug).await? {
        return Ok(None);
    }
    store::tenant::insert(&mut tx, row).await?;
    store::member::insert(&mut tx, owner).await?;
    let operator = || Actor::Service("operator".to_owned());
    let done =
        Done { action: "CreateTenant", target_kind: "tenant", target_id: row.id.to_string(), request_id };
    identity.record(&mut tx, operator(), done).await?;
    let done =
        Done { action: "CreateMember", target_kind: "member", target_id: owner.id.to_string(), request_id };
    identity.record(&mut tx, operator(), done).await?;
    Ok(Some(tx))
}
