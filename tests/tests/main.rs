//! What crosses services, as one binary: each module is a promise of the design and its tests.

mod across_tenants;
mod apart;
mod authz;
mod canaries;
#[path = "../conformance/mod.rs"]
mod conformance;
mod faults;
mod hostile;
mod imports;
mod isolation;
mod journey;
mod races;
mod second_verification;
mod starting;
mod tidy;
mod twice;
