//! The mission as tests: a module a system, a test a claim, named after the row's id (`rows.tsv`).

mod claims;
mod helpcrunch;
mod helpkit;
mod helpr;
mod helpwise;
mod lethe;
mod whatsapp_crm;
