//! What messaging does by itself.

pub(crate) mod send_webhooks;
pub(crate) mod settle_addresses;
pub(crate) mod spread_opt_outs;
pub(crate) mod sweep_idempotency;
pub(crate) mod sweep_imports;
pub(crate) mod sweep_secrets;
pub(crate) mod sweep_webhooks;
