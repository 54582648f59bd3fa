//! Every SQL statement of search. What belongs to a tenant goes through a [`lethe_service::TenantTx`]; leases, the index's
//! identity and what is due go as the jobs role.

pub(crate) mod fences;
pub(crate) mod identity;
pub(crate) mod leases;
pub(crate) mod progress;
pub(crate) mod tenants;
