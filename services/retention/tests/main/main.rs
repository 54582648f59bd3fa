//! retention against a real PostgreSQL and a real NATS. The other participants are the edge of this service: fakes behind
//! the in-process pipe that can be away, slow or lying.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test that panics has failed")]

mod certificates;
mod confirm;
mod fake;
mod fixture;
mod isolation;
mod journey;
mod ledger;
mod modes;
mod operated;
mod own_rows;
mod pieces;
mod trouble;
