//! The assembly of the platform and the commands of its one binary. A service knows nothing of the others: here they
//! are built, given their channels, and served together, in one process or in several.

pub mod cli;
pub mod config;
pub mod demo;
pub mod dev;
mod harden;
mod migrate;
pub mod platform;
mod serve;
mod tenant;
mod verify;

pub use config::Config;
