//! Audit events and their leaves. A leaf commits to two parts under a 32-byte salt each: *what was done* (who, what, when)
//! and *whom it was about*. An erasure deletes the second salt and puts its alias in the place of the contact: the
//! first part can still be proven, the second no longer guessed. Pruning a row deletes both.
//!
//! The tree over the leaves (RFC 6962, where a leaf's hash begins with a zero byte) comes later; it needs nothing
//! of a row but `leaf_hash`.

use aws_lc_rs::digest::{Context, SHA256};
use lethe_ids::{ApiKeyId, AuditId, ContactId, ErasureId, MemberId, OperatorAccessId};
use time::OffsetDateTime;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person of the tenant.
    Member(MemberId),
    /// A program of the tenant's.
    ApiKey(ApiKeyId),
    /// Somebody of the platform's, by a grant of the tenant's.
    Operator(OperatorAccessId),
    /// A service or the command line ("operator"), by name.
    Service(String),
}

impl Actor {
    /// "member", "api_key", "operator" or "service".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::ApiKey(_) => "api_key",
            Self::Operator(_) => "operator",
            Self::Service(_) => "service",
        }
    }

    /// `mem_…`, `key_…`, `opa_…`, or the service's name.
    pub fn id(&self) -> String {
        match self {
            Self::Member(member) => member.to_string(),
            Self::ApiKey(key) => key.to_string(),
            Self::Operator(access) => access.to_string(),
            Self::Service(name) => name.clone(),
        }
    }
}

impl From<lethe_access::Actor> for Actor {
    fn from(actor: lethe_access::Actor) -> Self {
        match actor {
            lethe_access::Actor::Member(member) => Self::Member(member),
            lethe_access::Actor::ApiKey(key) => Self::ApiKey(key),
            lethe_access::Actor::Operator(access) => Self::Operator(access),
        }
    }
}

/// Whom or what it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// "contact", "member", "session".
    pub kind: String,
    /// Its id, with its prefix.
    pub id: String,
    /// The contact that it is about, if any.
    pub contact: Option<ContactId>,
}

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Made by the one that recorded it.
    pub id: AuditId,
    /// When.
    pub at: OffsetDateTime,
    /// Where it was recorded.
    pub service: String,
    /// By whom.
    pub actor: Actor,
    /// The RPC's or job's name.
    pub action: String,
    /// To what.
    pub target: Target,
    /// In which request.
    pub request_id: String,
    /// A code that the action's name leaves open, as the role that was granted; may be empty.
    pub detail: String,
}

/// The salts of one leaf.
#[derive(Clone, PartialEq, Eq)]
pub struct Salts {
    /// Of what was done.
    pub done: [u8; 32],
    /// Of whom it was about; deleted by an erasure.
    pub about: [u8; 32],
}

/// What the tree will hold of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The commitment to whom it was about: stays when its salt goes.
    pub about: [u8; 32],
    /// SHA-256(0x00 ‖ format ‖ commitment to what was done ‖ commitment to whom it was about).
    pub hash: [u8; 32],
}

impl AuditEvent {
    /// Its leaf under these salts.
    pub fn leaf(&self, salts: &Salts) -> Leaf {
        let contact = self.target.contact.map(|contact| contact.to_string()).unwrap_or_default();
        let about =
            commit(b"lethe audit about v1", &salts.about, &[self.target.id.as_bytes(), contact.as_bytes()]);
        Leaf { about, hash: self.leaf_hash(&salts.done, &about) }
    }

    /// The leaf's hash from the row, the first salt and the kept commitment: what can still be computed after an
    /// erasure.
    pub fn leaf_hash(&self, salt: &[u8; 32], about: &[u8; 32]) -> [u8; 32] {
        let micros = (self.at.unix_timestamp_nanos() / 1_000).to_be_bytes();
        let actor = self.actor.id();
        let id = self.id.uuid();
        let mut parts = vec![
            id.as_bytes().as_slice(),
            &micros,
            self.service.as_bytes(),
            self.actor.kind().as_bytes(),
            actor.as_bytes(),
            self.action.as_bytes(),
            self.target.kind.as_bytes(),
            self.request_id.as_bytes(),
        ];
        // Leaves from before there were details stay what they are.
        if !self.detail.is_empty() {
            parts.push(self.detail.as_bytes());
        }
        leaf_hash(&commit(b"lethe audit done v1", salt, &parts), about)
    }

    /// The event as it stands after the erasure of its contact: the erasure's id in the place of target and contact.
    #[must_use]
    pub fn aliased(mut self, erasure: ErasureId) -> Self {
        self.target.id = erasure.to_string();
        self.target.contact = None;
        self
    }
}

fn leaf_hash(done: &[u8; 32], about: &[u8; 32]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(b"lethe audit leaf v1");
    context.update(done);
    context.update(about);
    finish(context)
}

/// SHA-256 over the domain, the salt and the parts, each part after its length: no two lists of parts are one text.
fn commit(domain: &[u8], salt: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(domain);
    context.update(salt);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    finish(context)
}

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// What a fence keeps of a contact: enough to know it again, not to name it.
pub fn contact_hash(tenant: lethe_ids::TenantId, contact: ContactId) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"lethe identity fence v1");
    context.update(tenant.uuid().as_bytes());
    context.update(contact.uuid().as_bytes());
    finish(context)
}

#[cfg(test)]
mod tests {
    use lethe_ids::TenantId;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn event() -> AuditEvent {
        AuditEvent {
            id: AuditId::new(Uuid::from_u128(1)),
            at: datetime!(2026-11-22 10:00 UTC),
            service: "messaging".into(),
            actor: Actor::Member(MemberId::new(Uuid::from_u128(2))),
            action: "DeleteMessage".into(),
            target: Target {
                kind: "message".into(),
                id: "msg_1".into(),
                contact: Some(ContactId::new(Uuid::from_u128(3))),
            },
            request_id: "r1".into(),
            detail: String::new(),
        }
    }

    const SALTS: Salts = Salts { done: [1; 32], about: [2; 32] };

    #[test]
    fn a_leaf_commits_to_every_field_and_both_salts() {
        let leaf = event().leaf(&SALTS);
        assert_eq!(event().leaf(&SALTS), leaf);
        let changes: [fn(&mut AuditEvent); 10] = [
            |e| e.id = AuditId::new(Uuid::from_u128(9)),
            |e| e.at += std::time::Duration::from_micros(1),
            |e| e.service.push('x'),
            |e| e.actor = Actor::Service("operator".into()),
            |e| e.action.push('x'),
            |e| e.target.kind.push('x'),
            |e| e.request_id.push('x'),
            |e| e.detail.push('x'),
            |e| e.target.id.push('x'),
            |e| e.target.contact = None,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = event();
            change(&mut other);
            assert_ne!(other.leaf(&SALTS).hash, leaf.hash, "change {number}");
        }
        assert_ne!(event().leaf(&Salts { done: [3; 32], ..SALTS }).hash, leaf.hash);
        assert_ne!(event().leaf(&Salts { about: [3; 32], ..SALTS }).hash, leaf.hash);
    }

    #[test]
    fn what_was_done_can_be_proven_after_whom_it_was_about_is_gone() {
        let leaf = event().leaf(&SALTS);
        let after = event().aliased(ErasureId::new(Uuid::from_u128(7)));
        assert!(after.target.id.starts_with("era_") && after.target.contact.is_none());
        assert_ne!(after.leaf(&SALTS).hash, leaf.hash, "the alias is not what the leaf was about");
        assert_eq!(after.leaf_hash(&SALTS.done, &leaf.about), leaf.hash);
    }

    #[test]
    fn parts_do_not_run_together() {
        let salt = [0; 32];
        assert_ne!(commit(b"d", &salt, &[b"ab", b"c"]), commit(b"d", &salt, &[b"a", b"bc"]));
        let (tenant, contact) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_ne!(
            contact_hash(TenantId::new(tenant), ContactId::new(contact)),
            contact_hash(TenantId::new(contact), ContactId::new(tenant))
        );
    }
}
