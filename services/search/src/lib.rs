//! search
pub mod analysis;
pub mod engine;
