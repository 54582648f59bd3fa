//! The eraser. First the secrets die, so that what is left in pages, WAL and backups opens no more; then the rows go, in
//! small transactions that write down what they did. It may be stopped anywhere and begun again.
//!
//! Each column of the type contact_id or conversation_id has a statement here; a test fails on one that has none.

use lethe_ids::ConversationId;
use lethe_outbox::{Actor, Audit};
use time::OffsetDateTime;

use crate::{
    census::{Census, Counted},
    error::Error,
    scope::Scope,
    state::State,
    store::{
        eraser::{self, ERASERS},
        fence,
    },
};

/// What was done over all calls, and when it was finished.
pub(crate) struct Purged {
    pub(crate) evidence: Vec<Counted>,
    pub(crate) at: OffsetDateTime,
}

impl State {
    /// Erases a fenced scope.
    ///
    /// # Errors
    /// [`Error::NotFenced`]; [`Error::Census`] under another key; whatever stops it: begin again.
    pub(crate) async fn erase(&self, scope: &Scope, census_key: &[u8; 32]) -> Result<Purged, Error> {
        let mut tx = self.tx(scope.tenant).await?;
        let fence = fence::find(&mut tx, scope.id).await?.ok_or(Error::NotFenced)?;
        if fence.contact() != scope.contact {
            return Err(Error::NotFenced);
        }
        let census = Census::open(scope, census_key, &fence.census)?;
        let reach = fence::reach_of(&mut tx, scope.contact).await?;
        drop(tx);
        let mut evidence = fence.evidence.0;

        // The census, and whatever else there may be: what is here now is the contact's too.
        let subjects = union(census.subjects(), reach.subjects);
        let units = union(census.units(), reach.units);
        let conversations = union(census.conversations(), reach.conversations);
        let destroyed = self.keyring.destroy(scope.tenant, &subjects, &units, scope.erasure).await?;
        self.routes.evict(scope.tenant, &conversations);
        add(&mut evidence, "keystore", "secrets", destroyed.subjects + destroyed.units);
        add(&mut evidence, "keystore", "blind_index", destroyed.blind_index_rows);
        let mut tx = self.tx(scope.tenant).await?;
        fence::note_destroyed(&mut tx, scope.id, &evidence, self.keyring.shred_bound()).await?;
        tx.commit().await?;

        for eraser in ERASERS {
            self.erase_rows(scope, eraser, &conversations, &mut evidence).await?;
        }
        let at = fence.purged_at.unwrap_or_else(|| self.clock.now());
        let mut tx = self.tx(scope.tenant).await?;
        fence::note_purged(&mut tx, scope.id, at).await?;
        if fence.purged_at.is_none() {
            // About the erasure: an event that named the contact would bring its id back where it was erased.
            let id = scope.erasure.to_string();
            let audit = Audit {
                actor: Actor::Service("retention"),
                action: "Purge",
                target_kind: "erasure",
                target_id: &id,
                contact: None,
                request_id: "",
            };
            self.outbox.audit(&mut tx, &audit).await?;
        }
        self.commit(tx).await?;
        Ok(Purged { evidence, at })
    }

    async fn erase_rows(
        &self,
        scope: &Scope,
        eraser: &eraser::Eraser,
        conversations: &[ConversationId],
        evidence: &mut Vec<Counted>,
    ) -> Result<(), Error> {
        let most = i64::from(self.config.erasure.batch.max(1));
        loop {
            let mut tx = self.tx(scope.tenant).await?;
            let gone = eraser::erase(&mut tx, eraser, scope.contact, conversations, most).await?;
            if gone == 0 {
                return Ok(());
            }
            add(evidence, "postgres", eraser.table, gone);
            fence::note(&mut tx, scope.id, evidence).await?;
            tx.commit().await?;
        }
    }
}

fn union<T: Ord + Copy>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    one.extend(other);
    one.sort_unstable();
    one.dedup();
    one
}

/// Adds to the evidence.
fn add(evidence: &mut Vec<Counted>, store: &str, kind: &str, count: u64) {
    match evidence.iter_mut().find(|one| one.store == store && one.kind == kind) {
        Some(one) => one.count += count,
        None => evidence.push(Counted::new(store, kind, count)),
    }
}
