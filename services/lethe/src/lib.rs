//! The assembly of the platform and the commands of its one binary. A service knows nothing of the others: here they
//! are built, given their channels, and served together, in one process or in several.

pub mod certificates;
pub mod cli;
pub mod config;
mod dead_letters;
pub mod demo;
pub mod dev;
mod erasures;
mod harden;
mod index;
mod migrate;
mod operate;
pub mod operator;
pub mod platform;
mod serve;
mod status;
mod tenant;
mod verify;

pub use config::Config;
