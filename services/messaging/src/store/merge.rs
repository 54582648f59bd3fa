//! Merges: what the merged contact has becomes the survivor's, one statement a table, and the row that says who it is now.

use lethe_ids::{ContactId, ConversationId};
use lethe_service::TenantTx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// How the rows of a table change hands.
#[derive(Debug)]
pub struct Mover {
    /// The table.
    pub table: &'static str,
    /// SQL that makes the rows of the contact `$3` those of `$2` in the tenant `$1`.
    pub statement: &'static str,
}

/// All tables with a column of the type contact_id, but `conversations`, each of which is told of: a test compares them with
/// the catalogue. In this order: what says who it is now is written while the contact is still there.
pub const MOVERS: &[Mover] = &[
    Mover {
        table: "contact_head",
        // The sequence orders the messages of both: it goes on from the greater one.
        statement: "with gone as (
                      delete from contact_head where tenant_id = $1 and contact_id = $3
                      returning seq, opted_out, banned, fenced_conversations)
                    update contact_head h
                       set seq = greatest(h.seq, gone.seq), opted_out = h.opted_out or gone.opted_out,
                           banned = h.banned or gone.banned,
                           fenced_conversations =
                             array (select distinct unnest(h.fenced_conversations || gone.fenced_conversations))
                      from gone where h.tenant_id = $1 and h.contact_id = $2",
    },
    Mover {
        table: "contact_subjects",
        statement: "update contact_subjects set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "consents",
        statement: "update consents set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "idempotency",
        statement: "update idempotency set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "import_keys",
        statement: "update import_keys set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "webhook_deliveries",
        statement: "update webhook_deliveries set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "recipients",
        statement: "with gone as (
                      delete from recipients where tenant_id = $1 and contact_id = $3
                      returning recipient_id, endpoint_id, means, first_at, last_at)
                    insert into recipients as r (tenant_id, recipient_id, contact_id, endpoint_id, means, first_at, last_at)
                    select $1, recipient_id, $2, endpoint_id, means, first_at, last_at from gone
                    on conflict (tenant_id, contact_id, endpoint_id, means) do update
                       set first_at = least(r.first_at, excluded.first_at),
                           last_at = greatest(r.last_at, excluded.last_at)",
    },
    Mover {
        table: "opt_out_spreads",
        // A later note: whoever is at the survivor's now does not end it.
        statement: "with gone as (
                      delete from opt_out_spreads where tenant_id = $1 and contact_id = $3 returning asked_at)
                    insert into opt_out_spreads as s (tenant_id, contact_id, asked_at) select $1, $2, asked_at from gone
                    on conflict (tenant_id, contact_id) do update
                       set asked_at = greatest(excluded.asked_at, s.asked_at + interval '1 microsecond')",
    },
    Mover {
        table: "contact_pictures",
        // It is sealed for its place: where the survivor has none, it was sealed for that one's before.
        statement: "delete from contact_pictures where tenant_id = $1 and contact_id = $3 and contact_id <> $2",
    },
    Mover {
        table: "merged_contacts",
        statement: "update merged_contacts set contact_id = $2 where tenant_id = $1 and contact_id = $3",
    },
    Mover {
        table: "contacts",
        statement: "delete from contacts where tenant_id = $1 and contact_id = $3 and contact_id <> $2",
    },
];

/// Who a contact was merged into, if it was.
pub(crate) async fn survivor_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<ContactId>> {
    let tenant = tx.tenant();
    let survivor: Option<Uuid> = sqlx::query_scalar(
        "select contact_id::uuid from merged_contacts where tenant_id = $1 and merged_id = $2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(survivor.map(ContactId::new))
}

/// Who the contact is now: itself, or whom it was merged into.
pub(crate) async fn owner_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<ContactId> {
    Ok(survivor_of(tx, contact).await?.unwrap_or(contact))
}

/// All ids of a contact that is one now: its own, and those of whoever was merged into it.
pub(crate) async fn ids_of(tx: &mut TenantTx, owner: ContactId) -> sqlx::Result<Vec<ContactId>> {
    let tenant = tx.tenant();
    let merged: Vec<Uuid> = sqlx::query_scalar(
        "select merged_id from merged_contacts where tenant_id = $1 and contact_id = $2 order by 1",
    )
    .bind(tenant.uuid())
    .bind(owner.uuid())
    .fetch_all(&mut **tx)
    .await?;
    Ok([owner].into_iter().chain(merged.into_iter().map(ContactId::new)).collect())
}

/// Why a contact is not there: it was merged, or there is none.
pub(crate) async fn missing(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Error> {
    Ok(survivor_of(tx, contact).await?.map_or(Error::NotFound("contact"), Error::Merged))
}

/// Refuses a merge of contacts with these ids, of which something is held or being erased. The caller holds the locks of
/// their heads: whoever places a hold or raises a fence takes them too.
///
/// # Errors
/// [`Error::Held`], [`Error::BeingErased`].
pub(crate) async fn refuse_if_bound(tx: &mut TenantTx, ids: &[ContactId]) -> Result<(), Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let (held, fenced): (bool, bool) = sqlx::query_as(
        "select exists (select from holds where tenant_id = $1 and (held_contact = any ($2) or held_conversation in
                  (select c.conversation_id::uuid from conversations c where c.tenant_id = $1 and c.contact_id = any ($2)))),
                exists (select from fences where tenant_id = $1 and erased = any ($2) and purged_at is null)
             or exists (select from fences where tenant_id = $1 and heir = any ($2))",
    )
    .bind(tenant.uuid())
    .bind(ids)
    .fetch_one(&mut **tx)
    .await?;
    match (held, fenced) {
        (true, _) => Err(Error::Held),
        (_, true) => Err(Error::BeingErased),
        _ => Ok(()),
    }
}

/// Purposes to which one of both did not consent at last, while the later word of the two is a consent.
pub(crate) async fn withdrawn_by_one(
    tx: &mut TenantTx,
    survivor: ContactId,
    merged: ContactId,
) -> sqlx::Result<Vec<i16>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "with last as (
           select distinct on (contact_id, purpose) consent_id, purpose, act from consents
            where tenant_id = $1 and contact_id in ($2, $3)
            order by contact_id, purpose, consent_id desc)
         select purpose from last group by purpose
         having bool_or(act = 2) and (array_agg(act order by consent_id desc))[1] <> 2 order by purpose",
    )
    .bind(tenant.uuid())
    .bind(survivor.uuid())
    .bind(merged.uuid())
    .fetch_all(&mut **tx)
    .await
}

/// How many conversations a contact has.
pub(crate) async fn conversations(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select count(*) from conversations where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// Makes everything of `merged` but its conversations the survivor's. The caller holds the locks of both heads.
pub(crate) async fn unite(
    tx: &mut TenantTx,
    survivor: ContactId,
    merged: ContactId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into merged_contacts (tenant_id, merged_id, contact_id, unit_id, merged_at)
         select $1, $3, $2, unit_id, $4 from contacts where tenant_id = $1 and contact_id = $3",
    )
    .bind(tenant.uuid())
    .bind(survivor.uuid())
    .bind(merged.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    for mover in MOVERS {
        sqlx::query(mover.statement)
            .bind(tenant.uuid())
            .bind(survivor.uuid())
            .bind(merged.uuid())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Hands the conversations over: each with a sequence of the survivor's, and its messages with it, since a message that is
/// another contact's is a newer state of it. Answers them with their sequences. Called after [`unite`].
pub(crate) async fn hand_over(
    tx: &mut TenantTx,
    survivor: ContactId,
    merged: ContactId,
) -> sqlx::Result<Vec<(ConversationId, i64)>> {
    let tenant = tx.tenant();
    let moved: Vec<(Uuid, i64)> = sqlx::query_as(
        "with moving as (
           select conversation_id, row_number() over (order by conversation_id) as place from conversations
            where tenant_id = $1 and contact_id = $3),
         head as (
           update contact_head set seq = seq + (select count(*) from moving)
            where tenant_id = $1 and contact_id = $2 returning seq)
         update conversations c
            set contact_id = $2, version = c.version + 1,
                seq = head.seq - (select count(*) from moving) + moving.place
           from moving, head
          where c.tenant_id = $1 and c.conversation_id = moving.conversation_id
         returning c.conversation_id::uuid, c.seq",
    )
    .bind(tenant.uuid())
    .bind(survivor.uuid())
    .bind(merged.uuid())
    .fetch_all(&mut **tx)
    .await?;
    let conversations: Vec<Uuid> = moved.iter().map(|(conversation, _)| *conversation).collect();
    sqlx::query(
        "update messages m set seq = c.seq from conversations c
          where c.tenant_id = $1 and c.conversation_id = any ($2)
            and m.tenant_id = $1 and m.conversation_id = c.conversation_id",
    )
    .bind(tenant.uuid())
    .bind(conversations)
    .execute(&mut **tx)
    .await?;
    Ok(moved.into_iter().map(|(conversation, seq)| (ConversationId::new(conversation), seq)).collect())
}
