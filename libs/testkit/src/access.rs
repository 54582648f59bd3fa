//! Keys for tests: every service of a test has one, made from its name, and all know all.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest;
use lethe_access::{Access, Principal, PrincipalToken, PublicKeys, Revocations, Role, ServiceKey, Who};
use lethe_ambient::Clock;
use lethe_ids::{MemberId, SessionId, TenantId};

/// The access of the services `names`, and of identity, which signs principals. Nothing is revoked.
pub fn access(names: &[&'static str], clock: &Clock) -> TestAccess {
    let names: Vec<&'static str> = names.iter().copied().chain([lethe_access::IDENTITY]).collect();
    let mut keys = PublicKeys::new();
    for name in &names {
        keys.insert(*name, &key(name).public()).expect("a public key");
    }
    let services = names
        .into_iter()
        .map(|name| {
            (name, Access::new(name, key(name), keys.clone(), Revocations::always_fresh(), clock.clone()))
        })
        .collect();
    TestAccess { services, keys, clock: clock.clone() }
}

fn key(name: &str) -> ServiceKey {
    let seed = digest::digest(&digest::SHA256, name.as_bytes());
    ServiceKey::from_seed(seed.as_ref().try_into().expect("32 bytes")).expect("a seed")
}

/// The access of each service of a test.
#[derive(Debug, Clone)]
pub struct TestAccess {
    services: BTreeMap<&'static str, Access>,
    keys: PublicKeys,
    clock: Clock,
}

impl TestAccess {
    /// The access of `name`.
    pub fn of(&self, name: &str) -> Access {
        self.services.get(name).unwrap_or_else(|| panic!("no service {name} in this test")).clone()
    }

    /// The access of `name` that hears of revocations by `revocations`: silence and its end.
    pub fn with_revocations(&self, name: &'static str, revocations: Revocations) -> Access {
        Access::new(name, key(name), self.keys.clone(), revocations, self.clock.clone())
    }

    /// The names, identity among them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.services.keys().copied()
    }

    /// A principal of `member` with `roles`, good for a minute of the test's clock.
    pub fn principal(
        &self,
        tenant: TenantId,
        member: MemberId,
        session: SessionId,
        roles: &[Role],
    ) -> PrincipalToken {
        self.sign(tenant, Who::Member { member, session, roles: roles.into(), must_change_password: false })
    }

    /// The same of a member who must change a one-time password.
    pub fn newcomer(&self, tenant: TenantId, member: MemberId, session: SessionId) -> PrincipalToken {
        self.sign(tenant, Who::Member { member, session, roles: [].into(), must_change_password: true })
    }

    fn sign(&self, tenant: TenantId, who: Who) -> PrincipalToken {
        let now = self.clock.now();
        let millis = |at: time::OffsetDateTime| {
            i64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("a time of this century")
        };
        self.of(lethe_access::IDENTITY).sign_principal(&Principal {
            tenant,
            who,
            issued_at_ms: millis(now),
            expires_at_ms: millis(now + Duration::from_secs(60)),
        })
    }
}
