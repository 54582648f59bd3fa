//! Conversations that outlive the secret they were sealed under: those of a contact who is erased without its messages,
//! and those under a legal hold. All that is sealed in them is sealed anew under another subject's secret, row by row,
//! while the fence keeps every writer out; then the conversation changes hands in one transaction.
//!
//! It may be stopped anywhere and begun again: each value says in its header whose secret it is under, the units that
//! follow are noted before they are used, and nothing of the old secret is destroyed before nothing is left under it.

use std::collections::HashMap;

use lethe_ids::{ContactId, ConversationId, SubjectId, TenantId, UnitId};
use lethe_keyring::{
    OpenError,
    header::{self, Header},
};
use lethe_outbox::{Event, kind};
use lethe_proto::{event::ConversationChanged, messaging::ConversationStatus};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    census::Counted,
    domain::{channel::Code, profile::Profile},
    error::Error,
    scope::Scope,
    seal,
    state::State,
    store::{
        contact::{self, NewContact},
        fence::{self, FenceRow},
        head,
        reseal::{self, Anew, RESEALED, Resealed},
    },
};

impl State {
    /// Moves conversations of an erased contact to a fresh anonymous one, who has no name, no address and no tie to it.
    ///
    /// # Errors
    /// Whatever stops it: begin again.
    pub(crate) async fn move_away(
        &self,
        scope: &Scope,
        fence: &FenceRow,
        conversations: &[ConversationId],
    ) -> Result<(), Error> {
        if !conversations.is_empty() {
            let heir = match fence.heir() {
                Some(heir) => heir,
                None => self.make_heir(scope, fence.contacts()[0]).await?,
            };
            for conversation in conversations {
                self.reseal(scope, *conversation, heir.1, Some(heir.0)).await?;
            }
        } else if fence.heir().is_none() {
            return Ok(());
        }
        // All have moved: nothing says any more where.
        let mut tx = self.tx(scope.tenant).await?;
        fence::note_heir(&mut tx, scope.id, None).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn make_heir(&self, scope: &Scope, of: ContactId) -> Result<(ContactId, SubjectId), Error> {
        let (tenant, at) = (scope.tenant, self.clock.now());
        let contact = ContactId::new(self.entropy.uuid7(&self.clock));
        let (subject, unit) = (SubjectId::new(self.entropy.uuid4()), UnitId::new(self.entropy.uuid4()));
        self.create_secrets(tenant, Some(subject), &[unit], subject).await?;
        let sealer = self.sealer(tenant, subject, unit, "contact").await?;
        let profile = seal::seal_profile(&sealer, contact, 1, &Profile::default());
        let mut tx = self.tx(tenant).await?;
        let new = NewContact { contact, subject, unit, profile: &profile, opted_out: true, at };
        contact::insert(&mut tx, &new).await?;
        reseal::copy_head(&mut tx, of, contact).await?;
        let seq = head::count_up(&mut tx, contact).await?;
        contact::touch(&mut tx, contact, seq, at).await?;
        fence::note_heir(&mut tx, scope.id, Some((contact, subject))).await?;
        self.contact_changed(&mut tx, contact, seq).await?;
        self.commit(tx).await?;
        Ok((contact, subject))
    }

    /// Seals all of a conversation under the secret of `to`, and hands it over: to the contact `heir`, if it is to be
    /// another's.
    ///
    /// # Errors
    /// Whatever stops it: begin again.
    pub(crate) async fn reseal(
        &self,
        scope: &Scope,
        conversation: ConversationId,
        to: SubjectId,
        heir: Option<ContactId>,
    ) -> Result<(), Error> {
        let tenant = scope.tenant;
        let mut tx = self.tx(tenant).await?;
        if reseal::subject_of(&mut tx, conversation).await?.is_none_or(|subject| subject == to) {
            return Ok(());
        }
        let units = reseal::units(&mut tx, conversation).await?;
        // A message that is another contact's is a newer state of it, for whoever orders states by sequence.
        let seq = match heir {
            Some(heir) => Some(head::seq(&mut tx, heir).await?),
            None => None,
        };
        drop(tx);
        let mut following: HashMap<UnitId, UnitId> = HashMap::with_capacity(units.len());
        for (unit, next) in units {
            let next = match next {
                Some(next) => next,
                None => {
                    let next = UnitId::new(self.entropy.uuid4());
                    self.create_secrets(tenant, None, &[next], to).await?;
                    let mut tx = self.tx(tenant).await?;
                    let kept = reseal::note_next(&mut tx, unit, next).await?;
                    tx.commit().await?;
                    kept
                }
            };
            following.insert(unit, next);
        }
        for table in RESEALED {
            self.reseal_rows(scope, table, (conversation, seq), to, &following).await?;
        }
        let mut tx = self.tx(tenant).await?;
        let mut moved = None;
        if let Some(heir) = heir {
            let seq = head::count_up(&mut tx, heir).await?;
            let payload = ConversationChanged {
                conversation_id: conversation.to_string(),
                contact_id: heir.to_string(),
                version: None,
                imported: false,
            };
            let (aggregate, unsigned) = (heir.uuid(), seq.unsigned_abs());
            let event = Event { kind: kind::CONVERSATION_CHANGED, aggregate, seq: unsigned, payload };
            self.outbox.put(&mut tx, &event).await?;
            moved = Some((heir, seq));
        }
        let resolved = ConversationStatus::Resolved.number();
        reseal::hand_over(&mut tx, conversation, to, moved, resolved).await?;
        self.commit(tx).await?;
        self.routes.evict(tenant, &[conversation]);
        Ok(())
    }

    /// What does not open is lost, and would keep all the rest from being erased: it is erased, and counted in the evidence.
    async fn reseal_rows(
        &self,
        scope: &Scope,
        table: &Resealed,
        (conversation, seq): (ConversationId, Option<i64>),
        to: SubjectId,
        following: &HashMap<UnitId, UnitId>,
    ) -> Result<(), Error> {
        let (tenant, most) = (scope.tenant, i64::from(self.config.erasure.batch.max(1)));
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.tx(tenant).await?;
            let rows = reseal::read(&mut tx, table, conversation, after, most).await?;
            drop(tx);
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            let mut anew = Anew::default();
            for (id, value) in rows {
                if header::parse(&value).is_some_and(|header| header.subject == to) {
                    continue;
                }
                let sealed = match self.open_any(tenant, table, id, &value).await {
                    Ok((header, opened)) => {
                        let next = following.get(&header.unit).copied();
                        let next = next.ok_or(Error::Corrupt("conversation_units"))?;
                        let sealer = self.keyring.sealer(tenant, to, next).await?;
                        Some(sealer.seal(table.purpose, id, header.version, &opened))
                    }
                    Err(error) if error.is_about_one_value() => None,
                    Err(error) => return Err(error),
                };
                anew.ids.push(id);
                anew.old.push(value);
                anew.new.push(sealed);
            }
            if !anew.ids.is_empty() {
                let mut tx = self.tx(tenant).await?;
                let unreadable = reseal::write(&mut tx, table, &anew, seq).await?;
                if unreadable > 0 {
                    tracing::error!(
                        unreadable,
                        table.table,
                        "values that do not open are erased, not sealed anew"
                    );
                    fence::note(&mut tx, scope.id, &[Counted::new("postgres", "unreadable", unreadable)])
                        .await?;
                }
                tx.commit().await?;
            }
        }
    }

    /// A value under whatever secret its header names.
    async fn open_any(
        &self,
        tenant: TenantId,
        table: &Resealed,
        id: Uuid,
        value: &[u8],
    ) -> Result<(Header, Zeroizing<Vec<u8>>), Error> {
        let header = header::parse(value).ok_or(OpenError::Format)?;
        let sealer = self.keyring.sealer(tenant, header.subject, header.unit).await?;
        Ok((header, sealer.open(table.purpose, id, header.version, value)?))
    }
}
