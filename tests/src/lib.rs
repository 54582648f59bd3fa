//! What the tests that cross services share: one started platform for the process, a fresh tenant for each test, and
//! the public API as a client.

mod alone;
mod apart;
mod api;
mod collector;
mod erase;
mod machine;
mod operator;
mod platform;
mod replica;
mod signers;
mod talk;
mod within;

pub use alone::alone;
pub use apart::{Apart, Paused, Process, apart};
pub use api::{Answer, Api, PASSWORD};
pub use collector::Collector;
pub use erase::{confirmed, erase, erase_as};
pub use machine::{Machine, Signed};
pub use operator::{open_operator_access, request_operator_access};
pub use platform::{Platform, Tenant, platform};
pub use replica::Replica;
pub use signers::{Signers, name_of, servers_of};
pub use talk::Talk;
pub use within::within;
