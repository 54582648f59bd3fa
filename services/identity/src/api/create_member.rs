//! `CreateMember`: a member with a one-time password, which is said once, or with the one that he had elsewhere. With an
//! idempotency key twice is as once, but for the password.

use lethe_ids::MemberId;
use lethe_proto::identity::{CreateMemberRequest, CreateMemberResponse};
use lethe_service::{TenantTx, timestamp};
use prost::Message;
use tonic::Request;

use super::{
    Call, Identity,
    idempotency::{key, made_before},
};
use crate::{
    Error,
    domain::{
        member::{Profile, Roles},
        password::{BcryptHash, Password},
    },
    enrol::Kept,
    store::{self, idempotency::Used, member::MemberRow},
};

const RPC: &str = "CreateMember";

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CreateMemberRequest>,
) -> Result<CreateMemberResponse, Error> {
    let call = Call::of(&request)?;
    let mut asked = request.into_inner();
    let key = key(asked.idempotency.take())?;
    let profile = Profile::new(["name", "email", "phone"], &asked.name, &asked.email, &asked.phone)?;
    let roles = Roles::parse(&asked.roles)?;
    let brought =
        (!asked.bcrypt_hash.is_empty()).then(|| BcryptHash::parse("bcrypt_hash", &asked.bcrypt_hash));
    let brought = brought.transpose()?;
    super::may_act_as(&call, &roles)?;
    // Of the request without its key, under the tenant's own MAC key: a stolen row tells nobody's name.
    let blind = identity.0.keyring.blind(call.tenant()).await?;
    let body_mac = blind.fingerprint(b"identity CreateMember", &asked.encode_to_vec());
    if let Some(key) = &key
        && let Some(replay) = replay(identity, &call, key, &body_mac).await?
    {
        return Ok(replay);
    }

    let (one_time, hash, kept) = match brought {
        Some(hash) => (String::new(), hash.expose().to_owned(), Kept::ForGood),
        None => {
            let password = Password::one_time(&identity.0.entropy);
            let hash = identity.0.passwords.hash(password.clone()).await?;
            let expires_at = identity.one_time_until();
            (password.expose().to_owned(), hash, Kept::UntilFirstLogIn(Some(expires_at)))
        }
    };
    let row = identity.enrol(call.tenant(), &profile, roles, hash, kept).await?;
    match insert(identity, &call, key.as_deref(), &body_mac, &row).await {
        Ok(Some(tx)) => {
            // Where the answer to the commit is lost the row may be there: then only the sweep can tell.
            tx.commit().await?;
            Ok(CreateMemberResponse {
                member: Some(super::member(&row, &profile)),
                one_time_password: one_time,
                password_expires_at: row.password_expires_at.map(timestamp),
            })
        }
        // The same request, at the same time, was faster.
        Ok(None) => {
            identity.abandon(call.tenant(), &row).await;
            let key = key.as_deref().unwrap_or_default();
            replay(identity, &call, key, &body_mac).await?.ok_or(Error::Corrupt("idempotency key"))
        }
        Err(error) => {
            identity.abandon(call.tenant(), &row).await;
            Err(error)
        }
    }
}

/// What the key made before: the member as he is now, without a password.
async fn replay(
    identity: &Identity,
    call: &Call,
    key: &str,
    body_mac: &[u8; 32],
) -> Result<Option<CreateMemberResponse>, Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let who = call.principal.actor().uuid();
    let Some(made) = made_before(&mut tx, (RPC, who, key), body_mac).await? else { return Ok(None) };
    let row = store::member::get(&mut tx, MemberId::new(made)).await?;
    drop(tx);
    let row = row.ok_or(Error::Gone("member"))?;
    let member = identity.member(call.tenant(), &row).await?;
    Ok(Some(CreateMemberResponse { member: Some(member), ..CreateMemberResponse::default() }))
}

/// The rows, not yet committed; `None` when the key was used meanwhile.
async fn insert(
    identity: &Identity,
    call: &Call,
    key: Option<&str>,
    body_mac: &[u8; 32],
    row: &MemberRow,
) -> Result<Option<TenantTx>, Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if let Some(key) = key {
        let used = Used { body_mac: body_mac.to_vec(), resource: row.id.uuid() };
        let now = identity.0.clock.now();
        if !store::idempotency::insert(&mut tx, RPC, call.principal.actor().uuid(), key, &used, now).await? {
            return Ok(None);
        }
    }
    store::member::insert(&mut tx, row).await?;
    let done = call.done(RPC, "member", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    Ok(Some(tx))
}
