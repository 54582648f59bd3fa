//! `Authenticate`: a session token becomes a principal of 60 s. One read; "last seen" is written once a minute.

use lethe_access::{Principal, TOKEN_LIFE_MS, Who};
use lethe_proto::identity::{AuthenticateRequest, AuthenticateResponse, OperatorAccessState};
use lethe_service::TenantTx;
use tonic::Request;

use super::Identity;
use crate::{Error, domain::session::Token, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<AuthenticateRequest>,
) -> Result<AuthenticateResponse, Error> {
    let token = Token::parse(&request.get_ref().token).ok_or(Error::SessionInvalid)?;
    let (clock, sessions) = (&identity.0.clock, &identity.0.sessions);
    // Before the row is read: what is revoked after that voids what is issued now, however long the rest takes.
    let read_at_ms = clock.millis();
    let mut tx = identity.0.db.tenant(token.tenant()).await?;
    let Some(holder) = store::session::holder(&mut tx, &token.hash()).await? else {
        return operator(identity, &mut tx, &token).await;
    };
    if !holder.active || sessions.is_over(holder.last_seen_at, holder.expires_at) {
        return Err(Error::SessionInvalid);
    }
    let now = clock.now();
    let seen_every = std::time::Duration::from_secs(identity.0.config.sessions.seen_every_s);
    if now - holder.last_seen_at >= seen_every {
        store::session::seen(&mut tx, holder.session, now).await?;
        tx.commit().await?;
    }
    // Not before the last revocation: what another replica's clock calls the future voids no new principal.
    let issued_at_ms = read_at_ms.max(holder.void_before_ms);
    let ends_at = sessions.end(now, holder.expires_at);
    let ends_at_ms = i64::try_from(ends_at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let principal = Principal {
        tenant: token.tenant(),
        who: Who::Member {
            member: holder.member,
            session: holder.session,
            roles: if holder.must_change_password { [].into() } else { holder.roles.as_slice().into() },
            must_change_password: holder.must_change_password,
        },
        issued_at_ms,
        expires_at_ms: (issued_at_ms + TOKEN_LIFE_MS).min(ends_at_ms),
    };
    Ok(AuthenticateResponse {
        principal: identity.0.access.sign_principal(&principal).to_bytes(),
        plan: holder.plan,
    })
}

/// An operator, while the grant lasts: no principal of his outlives it.
async fn operator(
    identity: &Identity,
    tx: &mut TenantTx,
    token: &Token,
) -> Result<AuthenticateResponse, Error> {
    let now = identity.0.clock.now();
    let found = store::operator_access::by_token(tx, &token.hash()).await?;
    let (row, void_before_ms, plan) = found.ok_or(Error::SessionInvalid)?;
    let granted = row.state_at(now) == OperatorAccessState::Granted;
    let ends_at = row.ends_at.filter(|_| granted).ok_or(Error::SessionInvalid)?;
    let issued_at_ms = identity.0.clock.millis().max(void_before_ms);
    let ends_at_ms = i64::try_from(ends_at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let principal = Principal {
        tenant: token.tenant(),
        who: Who::Operator { access: row.id, scopes: row.terms.permissions.as_slice().into() },
        issued_at_ms,
        expires_at_ms: (issued_at_ms + TOKEN_LIFE_MS).min(ends_at_ms),
    };
    Ok(AuthenticateResponse { principal: identity.0.access.sign_principal(&principal).to_bytes(), plan })
}
