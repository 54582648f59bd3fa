//! identity against real PostgreSQL and NATS, through its RPCs.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api_keys;
mod audit;
mod erasure;
mod isolation;
mod log_in;
mod member_erasure;
mod member_requests;
mod members;
mod operator_access;
mod own_data;
mod photos;
mod revocations;
mod rig;
mod sessions;
mod sweeping;
mod teams;
mod tenants;
