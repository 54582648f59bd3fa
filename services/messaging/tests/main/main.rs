//! messaging against real PostgreSQL, through its RPCs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accepting;
mod contacts;
mod conversations;
mod database;
mod details;
mod erasure;
mod erasure_races;
mod inbox;
mod indexing;
mod isolation;
mod keywords;
mod messages;
mod modes;
mod stage;
mod webhooks;
