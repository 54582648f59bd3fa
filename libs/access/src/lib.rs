//! Who may call what. Two signed tokens travel with a call: the *service token* says which service is calling, the
//! *principal* says for which person of which tenant. The rules stand in the protos as method options; [`Access::authorize`]
//! enforces them in the one layer that every call passes (`lethe-service`), for every RPC of [`lethe_proto::METHODS`].
//!
//! A principal lives for 60 s, so that taking a right away would take a minute: [`Revocations`] makes it a second.
//! Nothing here decides what a row is worth: tenants are kept apart by the stores.

mod access;
mod denied;
mod feed;
mod key;
mod principal;
mod revocations;
mod role;
pub mod signature;
mod signing_key;
mod token;

pub use access::{Access, Caller, caller, principal};
pub use denied::Denied;
pub use feed::{Ask, RemoteIdentity};
pub use key::{PublicKeys, ServiceKey, UnusableKey};
pub use lethe_proto::access::{Permission, Role};
pub use principal::{Actor, Principal, PrincipalToken, Who};
pub use revocations::{Revocation, Revocations, Revoked};
pub use role::{ROLES, allows, permissions};
pub use signing_key::{SigningKey, keyid, parse_keyid};

/// Metadata key of the service token.
pub const SERVICE_TOKEN: &str = "x-lethe-service-bin";
/// Metadata key of the principal.
pub const PRINCIPAL: &str = "x-lethe-principal-bin";
/// How long a service token and a principal are good for.
pub const TOKEN_LIFE_MS: i64 = 60_000;
/// The service that signs principals.
pub const IDENTITY: &str = "identity";
