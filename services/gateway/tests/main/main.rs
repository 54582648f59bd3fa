//! The gateway against fakes of the services behind it, over the pipes that the platform uses. What is real: the
//! router with all its layers, service tokens, principals, the guard of every fake.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod bodies;
mod documents;
mod every_route;
mod lists;
mod operator;
mod own_data;
mod problems;
mod serving;
mod sessions;
mod signed;
mod support;
