//! The eraser. First the secrets die, so that what is left in pages, WAL and backups opens no more; then the rows go, in
//! small transactions that write down what they did. It may be stopped anywhere and begun again.
//!
//! What outlives the secret is sealed anew before that dies: the messages of a contact who goes without them, and what is under
//! a legal hold. Where a part of a contact goes, its secret lives on, and those of the part's months die.
//!
//! Each column of the type contact_id or conversation_id has a statement here; a test fails on one that has none.

use lethe_ids::{ContactId, ConversationId, SubjectId, TenantId, UnitId};
use lethe_outbox::{Actor, Audit};
use lethe_service::TenantTx;
use time::OffsetDateTime;

use crate::{
    census::{Census, Counted, RESEALED},
    error::Error,
    scope::{Mode, Scope},
    state::State,
    store::{
        eraser::{self, ERASERS, Eraser},
        fence::{self, FenceRow},
        head, hold, merge, notice, reach, reseal,
    },
};

/// Conversations that one notice names at the most: some 20 KB.
const IN_A_NOTICE: usize = 400;

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
        if (fence.contact(), fence.mode()) != (scope.contact, scope.mode) {
            return Err(Error::NotFenced);
        }
        let frozen = fence::frozen(&mut tx, scope.id).await?.ok_or(Error::NotFenced)?;
        let census = Census::open(scope, census_key, &frozen.census)?;
        let held = hold::held_of_scope(&mut tx, scope.id).await?;
        let reach = match scope.is_whole() {
            true => reach::of(&mut tx, &fence.contacts(), &held).await?,
            false => {
                let mut open = fence.conversations();
                open.retain(|conversation| !held.contains(conversation));
                reach::of_part(&mut tx, &open).await?
            }
        };
        // Where a part goes, the contact lives on, and may have been merged since.
        let contacts = match scope.is_whole() {
            true => fence.contacts(),
            false => {
                let owner = merge::owner_of(&mut tx, scope.contact).await?;
                merge::ids_of(&mut tx, owner).await?
            }
        };
        drop(tx);

        // The census, and whatever else there may be: what is here now is the contact's too.
        let mut conversations = union(census.conversations(), reach.conversations);
        conversations.retain(|conversation| !held.contains(conversation));
        let mut subjects = union(census.subjects(), reach.subjects);
        let units = union(census.units(), reach.units);
        if scope.is_whole() {
            subjects.extend(self.save(scope, &fence, &held, &census).await?);
        }
        if scope.mode == Mode::ContactOnly {
            conversations.clear();
        }
        let units = match scope.is_whole() {
            true => units,
            // What is held of a part stays under its own units.
            false => self.without_units_of(scope.tenant, units, &held).await?,
        };
        let destroyed = self.keyring.destroy(scope.tenant, &subjects, &units, scope.erasure).await?;
        self.routes.evict(scope.tenant, &conversations);
        let mut done = vec![
            Counted::new("keystore", "secrets", destroyed.subjects + destroyed.units),
            Counted::new("keystore", "blind_index", destroyed.blind_index_rows),
        ];
        let mut tx = self.tx(scope.tenant).await?;
        if scope.mode == Mode::ContactOnly {
            let mut moved = census.conversations();
            moved.retain(|conversation| !held.contains(conversation));
            let texts = reach::texts_of(&mut tx, &moved).await?.len() as u64;
            // All that are there now, not those of this call.
            let known = fence::evidence(&mut tx, scope.id).await?;
            let known = known.iter().find(|one| one.kind == RESEALED).map_or(0, |one| one.count);
            done.push(Counted::new("postgres", RESEALED, texts.saturating_sub(known)));
        }
        fence::note_destroyed(&mut tx, scope.id, &done, self.keyring.shred_bound()).await?;
        tx.commit().await?;

        let erasers: Vec<&Eraser> = match scope.is_whole() {
            true => ERASERS.iter().collect(),
            false => eraser::of_part().collect(),
        };
        for eraser in erasers {
            self.erase_rows(scope, eraser, (&contacts, &conversations)).await?;
        }
        let at = fence.purged_at.unwrap_or_else(|| self.clock.now());
        let mut tx = self.tx(scope.tenant).await?;
        if scope.is_whole() {
            fence::note_purged(&mut tx, scope.id, at).await?;
        } else {
            self.note_part_purged(&mut tx, scope, at, &held).await?;
        }
        // An attempt that met no fence may still be on its way with news of the contact: a notice does not overtake it.
        notice::release(&mut tx, scope.id, at + self.config.webhooks.settled_after()).await?;
        let evidence = fence::evidence(&mut tx, scope.id).await?;
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
        self.queued.notify_one();
        Ok(Purged { evidence, at })
    }

    /// Notes that a part is purged but for what is `held`, and lays down who is to be told of what went with this purge.
    async fn note_part_purged(
        &self,
        tx: &mut TenantTx,
        scope: &Scope,
        at: OffsetDateTime,
        held: &[ConversationId],
    ) -> Result<(), Error> {
        // A merge takes the recipients along: it waits, or has been.
        let owner = merge::owner_of(tx, scope.contact).await?;
        head::lock(tx, owner).await?;
        if merge::owner_of(tx, scope.contact).await? != owner {
            return Err(Error::Contended);
        }
        fence::note_purged(tx, scope.id, at).await?;
        // Under the fence's lock, that of two purges each sees what the other has laid down.
        let fence = fence::find(tx, scope.id).await?.ok_or(Error::NotFenced)?;
        let mut gone = fence.unnoticed();
        gone.retain(|conversation| !held.contains(conversation));
        fence::note_noticed(tx, scope.id, &gone).await?;
        for some in gone.chunks(IN_A_NOTICE) {
            self.lay_notices(tx, (scope.id, Some(some)), owner, fence.fenced_at).await?;
        }
        Ok(())
    }

    /// Seals anew what outlives the person's secret, and makes sure that nothing of it is left under that. Answers what else
    /// is to be destroyed: the secret of what was held and is so no more.
    async fn save(
        &self,
        scope: &Scope,
        fence: &FenceRow,
        held: &[ConversationId],
        census: &Census,
    ) -> Result<Option<SubjectId>, Error> {
        if scope.mode == Mode::ContactOnly {
            let mut tx = self.tx(scope.tenant).await?;
            let moving = reach::of(&mut tx, &fence.contacts(), held).await?.conversations;
            drop(tx);
            self.move_away(scope, fence, &moving).await?;
        }
        let released = match held {
            [] => fence.hold_subject(),
            held => {
                let subject = self.hold_subject(scope, fence).await?;
                for conversation in held {
                    self.reseal(scope, *conversation, subject, None).await?;
                }
                None
            }
        };
        let kept = match scope.mode {
            Mode::ContactOnly => census.conversations(),
            _ => held.to_vec(),
        };
        let mut tx = self.tx(scope.tenant).await?;
        let mut dying = census.subjects();
        dying.extend(released);
        if reseal::left_under(&mut tx, &kept, &dying).await? > 0 {
            return Err(Error::NotResealed);
        }
        Ok(released)
    }

    /// The subject whose secret the held conversations of a scope are sealed under.
    async fn hold_subject(&self, scope: &Scope, fence: &FenceRow) -> Result<SubjectId, Error> {
        if let Some(subject) = fence.hold_subject() {
            return Ok(subject);
        }
        let subject = SubjectId::new(self.entropy.uuid4());
        self.create_secrets(scope.tenant, Some(subject), &[], subject).await?;
        let mut tx = self.tx(scope.tenant).await?;
        let kept = fence::note_hold_subject(&mut tx, scope.id, subject).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// `units` but those of `held`.
    async fn without_units_of(
        &self,
        tenant: TenantId,
        mut units: Vec<UnitId>,
        held: &[ConversationId],
    ) -> Result<Vec<UnitId>, Error> {
        if !held.is_empty() {
            let mut tx = self.tx(tenant).await?;
            let kept = reach::of_part(&mut tx, held).await?.units;
            units.retain(|unit| !kept.contains(unit));
        }
        Ok(units)
    }

    async fn erase_rows(
        &self,
        scope: &Scope,
        eraser: &Eraser,
        (contacts, conversations): (&[ContactId], &[ConversationId]),
    ) -> Result<(), Error> {
        let most = i64::from(self.config.erasure.batch.max(1));
        loop {
            let mut tx = self.tx(scope.tenant).await?;
            let gone = eraser::erase(&mut tx, eraser, contacts, conversations, most).await?;
            if gone == 0 {
                return Ok(());
            }
            fence::note(&mut tx, scope.id, &[Counted::new("postgres", eraser.table, gone)]).await?;
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
