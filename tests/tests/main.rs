//! What crosses services, as one binary: each module is a promise of the design and its tests.

#[path = "../conformance/mod.rs"]
mod conformance;
mod authz;
mod isolation;
mod journey;
mod tidy;
