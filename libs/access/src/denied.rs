//! A call that is not let through, in the words that the caller may read.

use std::{collections::HashMap, fmt};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Why a call was refused: a gRPC code and a stable reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The gRPC code.
    pub code: Code,
    /// Machine-readable and stable: `SESSION_REVOKED`.
    pub reason: &'static str,
    /// For people.
    pub message: &'static str,
}

impl Denied {
    const fn unauthenticated(reason: &'static str, message: &'static str) -> Self {
        Self { code: Code::Unauthenticated, reason, message }
    }
    const fn permission(reason: &'static str, message: &'static str) -> Self {
        Self { code: Code::PermissionDenied, reason, message }
    }

    pub(crate) const SERVICE_TOKEN_MISSING: Self =
        Self::unauthenticated("SERVICE_TOKEN_MISSING", "the call carries no service token");
    pub(crate) const SERVICE_TOKEN_INVALID: Self =
        Self::unauthenticated("SERVICE_TOKEN_INVALID", "the service token is not valid here");
    pub(crate) const SERVICE_TOKEN_EXPIRED: Self =
        Self::unauthenticated("SERVICE_TOKEN_EXPIRED", "the service token has expired");
    /// Found out by whoever serves the connection.
    pub const CERTIFICATE_OF_ANOTHER: Self = Self::unauthenticated(
        "CERTIFICATE_OF_ANOTHER",
        "the connection's certificate is not for the service that the token names",
    );
    pub(crate) const CALLER_NOT_ALLOWED: Self =
        Self::permission("CALLER_NOT_ALLOWED", "this service may not call this RPC");
    pub(crate) const PRINCIPAL_MISSING: Self =
        Self::unauthenticated("PRINCIPAL_MISSING", "the call carries no principal");
    pub(crate) const PRINCIPAL_INVALID: Self =
        Self::unauthenticated("PRINCIPAL_INVALID", "the principal is not valid");
    pub(crate) const PRINCIPAL_EXPIRED: Self =
        Self::unauthenticated("PRINCIPAL_EXPIRED", "the principal has expired");
    pub(crate) const PERMISSION_DENIED: Self =
        Self::permission("PERMISSION_DENIED", "the roles of this member do not allow it");
    /// Also the gateway's, before it reads what is asked.
    pub const PASSWORD_CHANGE_REQUIRED: Self =
        Self::permission("PASSWORD_CHANGE_REQUIRED", "change the one-time password first");
    pub(crate) const SESSION_REVOKED: Self =
        Self::unauthenticated("SESSION_REVOKED", "the session or its rights were revoked");
    pub(crate) const REVOCATION_UNKNOWN: Self = Self {
        code: Code::Unavailable,
        reason: "REVOCATION_UNKNOWN",
        message: "whether this right still stands cannot be known now",
    };
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for Denied {}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        let details = ErrorDetails::with_error_info(denied.reason, "lethe", HashMap::new());
        Self::with_error_details(denied.code, denied.message, details)
    }
}
