//! The protobuf of `proto/`, generated: messages, clients, servers, and the authorisation line of each RPC.
//! Nothing is written by hand here but the module tree.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]

/// `lethe.access.v1`: permissions, roles, tokens.
pub mod access {
    pub mod v1 {
        tonic::include_proto!("lethe.access.v1");
    }
    pub use v1::*;
}
/// `lethe.request.v1`: what many requests share.
pub mod request {
    pub mod v1 {
        tonic::include_proto!("lethe.request.v1");
    }
    pub use v1::*;
}
/// `lethe.event.v1`: notifications on the bus.
pub mod event {
    pub mod v1 {
        tonic::include_proto!("lethe.event.v1");
    }
    pub use v1::*;
}
/// `lethe.erasure.v1`: what every participant of an erasure answers.
pub mod erasure {
    pub mod v1 {
        tonic::include_proto!("lethe.erasure.v1");
    }
    pub use v1::*;
}
/// `lethe.operation.v1`: what the operator asks of every service.
pub mod operation {
    pub mod v1 {
        tonic::include_proto!("lethe.operation.v1");
    }
    pub use v1::*;
}
/// `lethe.identity.v1`.
pub mod identity {
    pub mod v1 {
        tonic::include_proto!("lethe.identity.v1");
    }
    pub use v1::*;
}
/// `lethe.messaging.v1`.
pub mod messaging {
    pub mod v1 {
        tonic::include_proto!("lethe.messaging.v1");
    }
    pub use v1::*;
}
/// `lethe.search.v1`.
pub mod search {
    pub mod v1 {
        tonic::include_proto!("lethe.search.v1");
    }
    pub use v1::*;
}
/// `lethe.retention.v1`.
pub mod retention {
    pub mod v1 {
        tonic::include_proto!("lethe.retention.v1");
    }
    pub use v1::*;
}

use access::{Acting, Permission};

/// The authorisation line of an RPC, from its method options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodAccess {
    /// `/lethe.messaging.v1.MessageService/SendMessage`.
    pub path: &'static str,
    /// `SendMessage`.
    pub rpc: &'static str,
    /// What the principal must be allowed.
    pub permission: Permission,
    /// Whether a person acts.
    pub acting: Acting,
    /// The services whose token is accepted.
    pub callers: &'static [&'static str],
    /// Refused while revocations cannot be known.
    pub guarded: bool,
    /// Has no HTTP route, on purpose.
    pub internal: bool,
    /// Open also to a member who must change a one-time password.
    pub before_password_change: bool,
}

/// Every RPC of the platform.
pub const METHODS: &[MethodAccess] = include!(concat!(env!("OUT_DIR"), "/method_access.rs"));

/// The encoded `FileDescriptorSet`, for reflection and for tests that walk every RPC.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
