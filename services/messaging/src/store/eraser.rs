//! The statements that delete a contact's rows, one for each table that has any.

use lethe_ids::{ContactId, ConversationId};
use lethe_service::TenantTx;
use uuid::Uuid;

/// What a statement finds the rows of a table by.
#[derive(Debug, Clone, Copy)]
enum By {
    /// The contact.
    Contact,
    /// Its conversations.
    Conversations,
}

/// How the rows of a table go.
#[derive(Debug)]
pub struct Eraser {
    /// The table.
    pub table: &'static str,
    /// Its columns of the types contact_id and conversation_id: a test compares them with the catalogue.
    pub columns: &'static [&'static str],
    by: By,
    /// Deletes at most `$3` rows of the contacts or conversations `$2` in the tenant `$1`.
    statement: &'static str,
}

/// The requests that made what is in conversations, where their contact lives on: before the messages and ratings go, by which
/// they are found.
static REQUESTS: Eraser = Eraser {
    table: "idempotency",
    columns: &["contact_id"],
    by: By::Conversations,
    statement: "with gone as (
                  delete from idempotency where tenant_id = $1 and key_mac in
                    (select i.key_mac from idempotency i
                      where i.tenant_id = $1 and i.contact_id = any ($4)
                        and (i.resource_id = any ($2) or exists (select from messages m where m.tenant_id = $1
                               and m.message_id = i.resource_id and m.conversation_id = any ($2))
                             or exists (select from ratings r where r.tenant_id = $1
                               and r.rating_id = i.resource_id and r.conversation_id = any ($2))) limit $3)
                  returning key_mac, created_at)
                insert into gone_keys (tenant_id, key_mac, created_at)
                select $1, key_mac, created_at from gone on conflict do nothing",
};

/// Events on their way about conversations, where their contact lives on.
static DELIVERIES: Eraser = Eraser {
    table: "webhook_deliveries",
    columns: &["conversation_id"],
    by: By::Conversations,
    statement: "delete from webhook_deliveries where tenant_id = $1 and delivery_id in
                  (select delivery_id from webhook_deliveries
                    where tenant_id = $1 and conversation_id = any ($2) limit $3)",
};

/// Keys of imported conversations, where their contact lives on.
static IMPORT_KEYS: Eraser = Eraser {
    table: "import_keys",
    columns: &["conversation_id"],
    by: By::Conversations,
    statement: "with gone as (
                  delete from import_keys where tenant_id = $1 and key_mac in
                    (select key_mac from import_keys where tenant_id = $1 and conversation_id = any ($2) limit $3)
                  returning key_mac, kind, created_at),
                kept as (
                  insert into gone_import_keys (tenant_id, key_mac, created_at)
                  select $1, key_mac, created_at from gone where kind <> 3 on conflict do nothing)
                select from gone",
};

/// Those of a part of a contact, in their order: what is found by conversations.
pub(crate) fn of_part() -> impl Iterator<Item = &'static Eraser> {
    [&REQUESTS, &DELIVERIES, &IMPORT_KEYS]
        .into_iter()
        .chain(ERASERS.iter().filter(|eraser| matches!(eraser.by, By::Conversations)))
}

/// In this order: what is found by conversations goes before them, and the head, at which every writer stops, goes last.
pub const ERASERS: &[Eraser] = &[
    Eraser {
        table: "messages",
        columns: &["conversation_id"],
        by: By::Conversations,
        statement: "delete from messages where tenant_id = $1 and message_id in
                      (select message_id from messages where tenant_id = $1 and conversation_id = any ($2) limit $3)",
    },
    Eraser {
        table: "ratings",
        columns: &["conversation_id"],
        by: By::Conversations,
        statement: "delete from ratings where tenant_id = $1 and rating_id in
                      (select rating_id from ratings where tenant_id = $1 and conversation_id = any ($2) limit $3)",
    },
    Eraser {
        table: "conversation_units",
        columns: &["conversation_id"],
        by: By::Conversations,
        statement: "delete from conversation_units where tenant_id = $1 and unit_id in
                      (select unit_id from conversation_units
                        where tenant_id = $1 and conversation_id = any ($2) limit $3)",
    },
    Eraser {
        table: "consents",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from consents where tenant_id = $1 and consent_id in
                      (select consent_id from consents where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "contact_bans",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from contact_bans where tenant_id = $1 and contact_id in
                      (select contact_id from contact_bans
                        where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "contact_pictures",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from contact_pictures where tenant_id = $1 and contact_id in
                      (select contact_id from contact_pictures
                        where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "idempotency",
        columns: &["contact_id"],
        by: By::Contact,
        // What is kept says that a key's resource is gone, not whose it was.
        statement: "with gone as (
                      delete from idempotency where tenant_id = $1 and key_mac in
                        (select key_mac from idempotency where tenant_id = $1 and contact_id = any ($2) limit $3)
                      returning key_mac, created_at)
                    insert into gone_keys (tenant_id, key_mac, created_at)
                    select $1, key_mac, created_at from gone on conflict do nothing",
    },
    Eraser {
        table: "import_keys",
        columns: &["contact_id", "conversation_id"],
        by: By::Contact,
        // What is kept says that a row is not to be brought again, not whose it was. Messages go with their conversation's key.
        statement: "with gone as (
                      delete from import_keys where tenant_id = $1 and key_mac in
                        (select key_mac from import_keys where tenant_id = $1 and contact_id = any ($2) limit $3)
                      returning key_mac, kind, created_at),
                    kept as (
                      insert into gone_import_keys (tenant_id, key_mac, created_at)
                      select $1, key_mac, created_at from gone where kind <> 3 on conflict do nothing)
                    select from gone",
    },
    Eraser {
        table: "opt_out_spreads",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from opt_out_spreads where tenant_id = $1 and contact_id in
                      (select contact_id from opt_out_spreads
                        where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "webhook_deliveries",
        columns: &["contact_id", "conversation_id"],
        by: By::Contact,
        statement: "delete from webhook_deliveries where tenant_id = $1 and delivery_id in
                      (select delivery_id from webhook_deliveries
                        where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "recipients",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from recipients where tenant_id = $1 and recipient_id in
                      (select recipient_id from recipients where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "conversations",
        columns: &["contact_id", "conversation_id"],
        by: By::Conversations,
        statement: "delete from conversations where tenant_id = $1 and conversation_id in
                      (select conversation_id from conversations
                        where tenant_id = $1 and conversation_id = any ($2) limit $3)",
    },
    Eraser {
        table: "contact_subjects",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from contact_subjects where tenant_id = $1 and subject_id in
                      (select subject_id from contact_subjects
                        where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "merged_contacts",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from merged_contacts where tenant_id = $1 and merged_id in
                      (select merged_id from merged_contacts where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "contacts",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from contacts where tenant_id = $1 and contact_id in
                      (select contact_id from contacts where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
    Eraser {
        table: "contact_head",
        columns: &["contact_id"],
        by: By::Contact,
        statement: "delete from contact_head where tenant_id = $1 and contact_id in
                      (select contact_id from contact_head where tenant_id = $1 and contact_id = any ($2) limit $3)",
    },
];

/// Deletes at most `most` rows, and answers how many.
pub(crate) async fn erase(
    tx: &mut TenantTx,
    eraser: &Eraser,
    contacts: &[ContactId],
    conversations: &[ConversationId],
    most: i64,
) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let contacts: Vec<Uuid> = contacts.iter().map(|id| id.uuid()).collect();
    let ids: Vec<Uuid> = match eraser.by {
        By::Contact => contacts.clone(),
        By::Conversations => conversations.iter().map(|id| id.uuid()).collect(),
    };
    let mut query = sqlx::query(eraser.statement).bind(tenant.uuid()).bind(ids).bind(most);
    if std::ptr::eq(eraser, &REQUESTS) {
        query = query.bind(contacts);
    }
    let done = query.execute(&mut **tx).await?;
    Ok(done.rows_affected())
}
