//! Tests of the search service, by its own stores: a real engine in a folder, real PostgreSQL and NATS.

mod engine;
mod erasing;
mod expunge;
mod languages;
mod messaging;
mod rebuilding;
mod searching;
mod stage;
mod support;
