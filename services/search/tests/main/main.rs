//! Tests of the search service, by its own stores: a real engine in a folder, real PostgreSQL and NATS.

mod engine;
mod expunge;
mod languages;
mod support;
