//! Calls of any RPC as any service, below the gateway.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use http::uri::PathAndQuery;
use lethe_access::{
    Access, PRINCIPAL, Principal, PrincipalToken, PublicKeys, Revocations, Role, SERVICE_TOKEN, Who,
};
use lethe_ids::{MemberId, SessionId};
use lethe_proto::MethodAccess;
use prost::Message;
use tonic::{
    Request, Status,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use crate::{Platform, Tenant};

/// `MessageService/SendMessage` of `/lethe.messaging.v1.MessageService/SendMessage`.
///
/// # Panics
/// When it is no path of ours.
pub fn name_of(method: &MethodAccess) -> String {
    method.path.rsplit('.').next().expect("a path has dots").to_owned()
}

/// The services that answer `method`: the one of its package, or all that take part in erasures and events.
///
/// # Panics
/// When it is no path of ours.
pub fn servers_of(method: &MethodAccess) -> Vec<&'static str> {
    match method.path.split('.').nth(1).expect("lethe.<area>") {
        "erasure" | "operation" => vec!["identity", "messaging", "search", "retention"],
        area => ["identity", "messaging", "search", "retention"]
            .into_iter()
            .filter(|service| *service == area)
            .collect(),
    }
}

/// Signs as any service, with the seeds of the platform under test.
pub struct Signers<'a> {
    platform: &'a Platform,
    /// Whose members the principals are.
    pub tenant: Tenant,
    channels: Mutex<BTreeMap<String, Channel>>,
}

impl<'a> Signers<'a> {
    /// For members of `tenant`.
    pub fn new(platform: &'a Platform, tenant: Tenant) -> Self {
        Self { platform, tenant, channels: Mutex::default() }
    }

    fn access(&self, service: &'static str) -> Access {
        let key = self.platform.service_key(service);
        Access::new(service, key, PublicKeys::new(), Revocations::new(), self.platform.clock.clone())
    }

    /// Some member with one role, as identity vouched for it so long ago.
    ///
    /// # Panics
    /// When the tenant has no id.
    pub fn principal(&self, role: Role, age: Duration) -> Principal {
        let issued_at_ms = self.platform.clock.millis() - i64::try_from(age.as_millis()).expect("an age");
        Principal {
            tenant: self.tenant.id.parse().expect("an id"),
            who: Who::Member {
                member: MemberId::new(uuid::Uuid::from_u128(1)),
                session: SessionId::new(uuid::Uuid::from_u128(2)),
                roles: [role].into(),
                must_change_password: false,
            },
            issued_at_ms,
            expires_at_ms: issued_at_ms + 60_000,
        }
    }

    /// The same member, while his password is a one-time one.
    ///
    /// # Panics
    /// As [`Self::principal`].
    pub fn newcomer(&self) -> Principal {
        let mut principal = self.principal(Role::Owner, Duration::ZERO);
        if let Who::Member { roles, must_change_password, .. } = &mut principal.who {
            (*roles, *must_change_password) = ([].into(), true);
        }
        principal
    }

    /// A principal signed by any service.
    pub fn signed(&self, by: &'static str, principal: &Principal) -> PrincipalToken {
        self.access(by).sign_principal(principal)
    }

    /// Calls `method` at one of its servers, as a service for a person, or as nobody.
    ///
    /// # Errors
    /// What the server answers.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn call<T: Message + 'static>(
        &self,
        method: &MethodAccess,
        server: &'static str,
        caller: Option<&'static str>,
        principal: Option<&PrincipalToken>,
        message: T,
    ) -> Result<(), Status> {
        let mut request = Request::new(message);
        if let Some(caller) = caller {
            request.metadata_mut().insert_bin(SERVICE_TOKEN, self.access(caller).service_token(server));
        }
        if let Some(principal) = principal {
            request.metadata_mut().insert_bin(PRINCIPAL, principal.metadata());
        }
        request.metadata_mut().insert("grpc-timeout", MetadataValue::from_static("5S"));
        let mut client = Grpc::new(self.channel(server));
        client.ready().await.expect("the service is there");
        let path = PathAndQuery::from_static(method.path);
        // A stream is opened, which is when it is authorised; `()` reads any answer.
        client.server_streaming(request, path, ProstCodec::<T, ()>::default()).await.map(|_| ())
    }

    fn channel(&self, server: &str) -> Channel {
        let address = self.platform.grpc[server];
        let mut channels = self.channels.lock().expect("nobody panicked");
        let connect = || Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect_lazy();
        channels.entry(server.to_owned()).or_insert_with(connect).clone()
    }
}
