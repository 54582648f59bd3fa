//! `LogIn`: tenant, e-mail address and password become a session.
//!
//! Whoever does not exist costs what a member costs: one Argon2id verification, and no answer to a failure before a fixed
//! time has passed. Nothing in the answer says which of the three was wrong.

use std::time::Duration;

use lethe_access::Revoked;
use lethe_ids::{LogInRecordId, SessionId, TenantId};
use lethe_keyring::{Purpose, normalise};
use lethe_proto::identity::{LogInRequest, LogInResponse, Session};
use lethe_service::{CallContext, timestamp};
use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::Request;

use super::{Done, Identity, Told};
use crate::{
    Error,
    domain::{
        audit::Actor,
        client::Client,
        password::{BcryptHash, Password},
        session::Token,
        tenant::Slug,
    },
    store::{self, log_in_record::LogInRecordRow, member::MemberRow, session::SessionRow},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<LogInRequest>,
) -> Result<LogInResponse, Error> {
    let arrived = Instant::now();
    let request_id = CallContext::of(&request).request_id.clone();
    let asked = request.into_inner();
    let client = Client::new(&asked.ip, &asked.user_agent)?;
    // An address that is none finds nobody, like any other.
    let email = zeroize::Zeroizing::new(normalise::email(&asked.email).unwrap_or_default());
    let account = zeroize::Zeroizing::new(format!("{}\0{}", asked.tenant_slug, *email));
    let attempt = identity.0.throttle.begin(account.as_bytes(), &client.ip, identity.0.clock.millis())?;

    let found = find(identity, &asked.tenant_slug, &email).await?;
    let stored = found.as_ref().map(|(_, row)| row.password_hash.clone());
    let password = Password::tried(&asked.password);
    let right = identity.0.passwords.verify(password.clone(), stored).await?;
    match found {
        Some((tenant, row)) if right && row.active && !has_expired(&row, identity.0.clock.now()) => {
            let better = match password.filter(|_| BcryptHash::is_one(&row.password_hash)) {
                Some(password) => Some(identity.0.passwords.hash(password).await?),
                None => None,
            };
            let answer = open(identity, tenant, (&row, better), &client, &request_id).await?;
            attempt.succeeded();
            Ok(answer)
        }
        found => {
            if let Some((tenant, row)) = found {
                note_failure(identity, tenant, &row, &client, &request_id).await?;
            }
            let floor = Duration::from_millis(identity.0.config.log_in.failure_floor_ms);
            tokio::time::sleep_until(arrived + floor).await;
            Err(Error::LogInFailed)
        }
    }
}

/// A one-time password that nobody used in time.
fn has_expired(row: &MemberRow, now: OffsetDateTime) -> bool {
    row.must_change_password && row.password_expires_at.is_some_and(|expires_at| expires_at <= now)
}

async fn find(identity: &Identity, slug: &str, email: &str) -> Result<Option<(TenantId, MemberRow)>, Error> {
    let Ok(slug) = Slug::parse("tenant_slug", slug) else { return Ok(None) };
    let Some(tenant) = store::tenant::by_slug(&identity.0.db, &slug).await? else { return Ok(None) };
    Ok(identity.by_email(tenant, email).await?.map(|row| (tenant, row)))
}

async fn open(
    identity: &Identity,
    tenant: TenantId,
    (row, better): (&MemberRow, Option<String>),
    client: &Client,
    request_id: &str,
) -> Result<LogInResponse, Error> {
    let (clock, entropy, sessions) = (&identity.0.clock, &identity.0.entropy, &identity.0.sessions);
    let sealer = identity.0.keyring.sealer(tenant, row.subject, row.unit).await?;
    let profile = crate::enrol::open_profile(&sealer, row)?;
    let token = Token::new(tenant, entropy);
    let id = SessionId::new(entropy.uuid7(clock));
    let now = clock.now();
    let device = Client { ip: String::new(), ..client.clone() };
    let session = SessionRow {
        id,
        member: row.id,
        token_hash: token.hash(),
        client: sealer.seal(Purpose::SessionClient, id.uuid(), 1, &device.to_bytes()),
        created_at: now,
        last_seen_at: now,
        expires_at: sessions.expires_at(),
    };

    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(tenant).await?;
    // Deactivated, or given another password, while this one was verified: then it is too late.
    let held = match better {
        // A hash from elsewhere has let him in for the last time.
        Some(better) => {
            let (old, void) = (&row.password_hash, row.void_before_ms);
            store::member::update_password(&mut tx, row.id, old, &better, void).await?
        }
        None => store::member::hold(&mut tx, row.id, &row.password_hash).await?,
    };
    if !held {
        return Err(Error::LogInFailed);
    }
    store::session::insert(&mut tx, &session).await?;
    for ended in store::session::delete_excess(&mut tx, row.id, identity.0.config.sessions.most).await? {
        identity.revoke(&mut tx, &mut told, Revoked::Session(ended), clock.millis()).await?;
    }
    store::log_in_record::insert(&mut tx, &record(identity, &sealer, row, client, true), row.unit).await?;
    let done = Done { action: "LogIn", target_kind: "session", target_id: id.to_string(), request_id };
    identity.record(&mut tx, Actor::Member(row.id), done).await?;
    tx.commit().await?;
    identity.tell(told);

    Ok(LogInResponse {
        token: token.reveal(),
        session: Some(Session {
            session_id: id.to_string(),
            member_id: row.id.to_string(),
            created_at: Some(timestamp(now)),
            last_seen_at: Some(timestamp(now)),
            expires_at: Some(timestamp(sessions.end(now, session.expires_at))),
            browser: client.browser.clone(),
            os: client.os.clone(),
            current: true,
        }),
        member: Some(super::member(row, &profile)),
        must_change_password: row.must_change_password,
    })
}

/// Leaves a trace of the failure where the member and the auditor see it.
async fn note_failure(
    identity: &Identity,
    tenant: TenantId,
    row: &MemberRow,
    client: &Client,
    request_id: &str,
) -> Result<(), Error> {
    let sealer = identity.0.keyring.sealer(tenant, row.subject, row.unit).await?;
    let mut tx = identity.0.db.tenant(tenant).await?;
    store::log_in_record::insert(&mut tx, &record(identity, &sealer, row, client, false), row.unit).await?;
    let done =
        Done { action: "LogInFailed", target_kind: "member", target_id: row.id.to_string(), request_id };
    identity.record(&mut tx, Actor::Service(crate::NAME.to_owned()), done).await?;
    Ok(tx.commit().await?)
}

fn record(
    identity: &Identity,
    sealer: &lethe_keyring::Sealer,
    row: &MemberRow,
    client: &Client,
    succeeded: bool,
) -> LogInRecordRow {
    let id = LogInRecordId::new(identity.0.entropy.uuid7(&identity.0.clock));
    LogInRecordRow {
        id,
        member: row.id,
        at: identity.0.clock.now(),
        method: "password".to_owned(),
        succeeded,
        client: sealer.seal(Purpose::LogInRecord, id.uuid(), 1, &client.to_bytes()),
    }
}
