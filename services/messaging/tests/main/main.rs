//! messaging against real PostgreSQL, through its RPCs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accepting;
mod contacts;
mod conversations;
mod damaged;
mod database;
mod details;
mod erasure;
mod erasure_races;
mod holding;
mod identity;
mod imports;
mod imports_again;
mod inbox;
mod indexing;
mod isolation;
mod keywords;
mod merging;
mod merging_erased;
mod messages;
mod modes;
mod notices;
mod stage;
mod webhooks;
