//! Erases a member who left. One transaction takes the rows away and notes which secrets are to go; then the keystore
//! destroys them, and `verify_member.rs`, which shares no code with this, reads everything again. A crash after the transaction
//! is made good by the job; there is no way back.
//!
//! What others recorded about what he did stays, under his id: conversations of messaging, and the audit log.

use lethe_access::Revoked;
use lethe_ids::{ErasureId, MemberId, TenantId, UnitId};
use lethe_keyring::{Purpose, Sealer};
use lethe_service::TenantTx;

use crate::{
    Error,
    api::{Call, Identity, Told, may_touch},
    domain::{member_erasure::Mode, member_request::State},
    enrol, store,
    store::{
        member::MemberRow,
        member_erasure::{MemberErasureRow, Reading},
    },
    verify_member,
};

/// The first wait after a try that failed; it doubles up to an hour.
const WAIT: time::Duration = time::Duration::seconds(5);
const LONGEST_WAIT: time::Duration = time::Duration::hours(1);

/// Takes the rows away, once; what was asked before, as far or further, is answered instead.
pub(crate) async fn begin(
    identity: &Identity,
    call: &Call,
    member: MemberId,
    mode: Mode,
    first_name: &str,
) -> Result<MemberErasureRow, Error> {
    let tenant = call.tenant();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let (row, before) = leaver(&mut tx, call, member).await?;
    drop(tx);
    if let Some(before) = before.filter(|before| before.mode >= mode) {
        return Ok(before);
    }
    // What stays of the profile moves under a new secret, so that the old one can go. It comes before the row.
    let kept = match mode {
        Mode::All => None,
        Mode::Profile => {
            let left = identity.profile(tenant, &row).await?.without_name("first_name", first_name)?;
            let unit = UnitId::new(identity.0.entropy.uuid7(&identity.0.clock));
            identity.0.keyring.create(tenant, None, &[unit], row.subject).await?;
            let old = identity.0.keyring.sealer(tenant, row.subject, row.unit).await?;
            let new = identity.0.keyring.sealer(tenant, row.subject, unit).await?;
            Some((left, unit, old, new))
        }
    };

    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let (mut left, before) = leaver(&mut tx, call, member).await?;
    if let Some(before) = before.filter(|before| before.mode >= mode) {
        return Ok(before);
    }
    if left.version != row.version {
        return Err(Error::VersionMismatch);
    }
    // Whatever was said with a request may name him.
    store::member_request::forget_words(&mut tx, member).await?;
    let mut units = vec![left.unit];
    units.extend(store::photo::delete(&mut tx, member).await?);
    left.void_before_ms = identity.void_before_ms(&left);
    left.erased = Some(mode);
    left.profile_version += 1;
    match &kept {
        Some((profile, unit, old, new)) => {
            left.unit = *unit;
            left.profile = enrol::seal_profile(new, member, left.profile_version, profile);
            reseal_log_in_records(&mut tx, member, old, new).await?;
        }
        None => {
            left.profile = Vec::new();
            left.password_hash = String::new();
            left.roles = crate::domain::member::Roles::default();
            store::member_erasure::delete_rest(&mut tx, member).await?;
            grant_requests(identity, &mut tx, call, member).await?;
        }
    }
    store::session::delete_all(&mut tx, member, None).await?;
    store::member_erasure::strip(&mut tx, &left).await?;
    let erasure = MemberErasureRow {
        id: ErasureId::new(identity.0.entropy.uuid4()),
        member,
        mode,
        subjects: if mode == Mode::All { vec![row.subject] } else { Vec::new() },
        units,
        requested_by: call.principal.actor().to_string(),
        requested_at: identity.0.clock.now(),
        attempts: 0,
        erased_at: None,
        findings: Vec::new(),
    };
    store::member_erasure::insert(&mut tx, &erasure).await?;
    identity.revoke(&mut tx, &mut told, Revoked::Member(member), left.void_before_ms).await?;
    let done = call.done("EraseMember", "member", member);
    identity.record_detail(&mut tx, call.actor(), done, mode.word()).await?;
    tx.commit().await?;
    identity.tell(told);
    Ok(erasure)
}

/// The member who left, locked, and his widest erasure so far.
async fn leaver(
    tx: &mut TenantTx,
    call: &Call,
    member: MemberId,
) -> Result<(MemberRow, Option<MemberErasureRow>), Error> {
    let row = store::member::lock(tx, member).await?.ok_or(Error::NotFound("member"))?;
    may_touch(call, &row.roles)?;
    if row.active {
        return Err(Error::MemberActive);
    }
    Ok((row, store::member_erasure::widest(tx, member).await?))
}

/// Of whom nothing is left, whatever he asked is done.
async fn grant_requests(
    identity: &Identity,
    tx: &mut TenantTx,
    call: &Call,
    member: MemberId,
) -> Result<(), Error> {
    let closed_by = call.principal.actor().to_string();
    for request in store::member_request::grant_all(tx, member, &closed_by, identity.0.clock.now()).await? {
        let done = call.done("CloseMemberRequest", "member_request", request);
        identity.record_detail(tx, call.actor(), done, &State::Granted.word()).await?;
    }
    Ok(())
}

async fn reseal_log_in_records(
    tx: &mut TenantTx,
    member: MemberId,
    old: &Sealer,
    new: &Sealer,
) -> Result<(), Error> {
    let mut records = store::member_erasure::log_in_records(tx, member).await?;
    for (id, client) in &mut records {
        let opened = old.open(Purpose::LogInRecord, id.uuid(), 1, client)?;
        *client = new.seal(Purpose::LogInRecord, id.uuid(), 1, &opened);
    }
    Ok(store::member_erasure::reseal_log_in_records(tx, &records).await?)
}

/// Destroys the secrets, reads again, and notes what was read; where that fails, when to try again. Twice is as once.
///
/// # Errors
/// When keystore or database do not answer, or something is still there.
pub(crate) async fn finish(
    identity: &Identity,
    tenant: TenantId,
    erasure: ErasureId,
) -> Result<MemberErasureRow, Error> {
    let mut tx = identity.0.db.tenant(tenant).await?;
    let row = store::member_erasure::get(&mut tx, erasure).await?.ok_or(Error::NotFound("member erasure"))?;
    drop(tx);
    if row.erased_at.is_some() {
        return Ok(row);
    }
    match destroy(identity, tenant, &row).await {
        Ok(findings) => {
            let mut tx = identity.0.db.tenant(tenant).await?;
            store::member_erasure::finish(&mut tx, erasure, &findings, identity.0.clock.now()).await?;
            tx.commit().await?;
        }
        Err(error) => {
            let doubled = WAIT * 2_i32.pow(row.attempts.clamp(0, 10).unsigned_abs());
            let next = identity.0.clock.now() + doubled.min(LONGEST_WAIT);
            let mut tx = identity.0.db.tenant(tenant).await?;
            store::member_erasure::put_off(&mut tx, erasure, next).await?;
            tx.commit().await?;
            return Err(error);
        }
    }
    let mut tx = identity.0.db.tenant(tenant).await?;
    store::member_erasure::get(&mut tx, erasure).await?.ok_or(Error::NotFound("member erasure"))
}

async fn destroy(
    identity: &Identity,
    tenant: TenantId,
    row: &MemberErasureRow,
) -> Result<Vec<Reading>, Error> {
    identity.0.keyring.destroy(tenant, &row.subjects, &row.units, row.id).await?;
    let findings = verify_member::absent(&identity.0.db, &identity.0.keyring, tenant, row.id).await?;
    if findings.iter().any(|reading| reading.found > 0) {
        return Err(Error::StillThere);
    }
    Ok(findings)
}
