//! What breaks, and that nothing is lost by it. Each test here has a platform of its own to hurt: servers that it can
//! take away, and the services in a process that it can kill. Only `twice` harms nobody and uses the shared one.

mod bus;
mod crowd;
mod cycles;
mod imported;
mod keys;
mod killed;
mod operated;
mod saga;
mod stage;
mod stores;
mod twice;
