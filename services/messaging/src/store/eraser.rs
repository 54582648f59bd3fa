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
    /// SQL that deletes at most `$3` rows of the contacts or conversations `$2` in the tenant `$1`.
    pub statement: &'static str,
}

/// Rows that go as they are, found by `contact_id` or by `conversation_id`. By an array of their keys: a join of the table with
/// itself may be one that reads all of it.
macro_rules! plain {
    ($table:literal, $key:literal, $columns:tt, Contact) => {
        plain!($table, $key, $columns, Contact, "contact_id")
    };
    ($table:literal, $key:literal, $columns:tt, Conversations) => {
        plain!($table, $key, $columns, Conversations, "conversation_id")
    };
    ($table:literal, $key:literal, $columns:tt, $by:ident, $by_column:literal) => {
        Eraser {
            table: $table,
            columns: &$columns,
            by: By::$by,
            statement: concat!(
                "delete from ",
                $table,
                " where tenant_id = $1 and ",
                $key,
                " = any (array(select ",
                $key,
                " from ",
                $table,
                " where tenant_id = $1 and ",
                $by_column,
                " = any ($2) limit $3))"
            ),
        }
    };
}

/// Keys of imported rows. What is kept says that a row is not to be brought again, not whose it was. Messages go with their
/// conversation's key.
macro_rules! import_keys {
    ($columns:tt, $by:ident, $by_column:literal) => {
        Eraser {
            table: "import_keys",
            columns: &$columns,
            by: By::$by,
            statement: concat!(
                "with gone as (
                   delete from import_keys where tenant_id = $1 and key_mac = any (array(
                     select key_mac from import_keys where tenant_id = $1 and ",
                $by_column,
                " = any ($2) limit $3))
                   returning key_mac, kind, created_at),
                 kept as (
                   insert into gone_import_keys (tenant_id, key_mac, created_at)
                   select $1, key_mac, created_at from gone where kind <> 3 on conflict do nothing)
                 select from gone"
            ),
        }
    };
}

/// Rows about conversations in tables that are their contact's, where it lives on. In this order: the requests that made what is
/// in a conversation are found by messages and ratings that are still there.
static OF_PART: [Eraser; 3] = [
    Eraser {
        table: "idempotency",
        columns: &["contact_id"],
        by: By::Conversations,
        statement: "with gone as (
                      delete from idempotency where tenant_id = $1 and key_mac = any (array(
                        select i.key_mac from idempotency i
                          where i.tenant_id = $1
                            and i.contact_id in (select c.contact_id from conversations c
                                                  where c.tenant_id = $1 and c.conversation_id = any ($2))
                            and (i.resource_id = any ($2) or exists (select from messages m where m.tenant_id = $1
                                   and m.message_id = i.resource_id and m.conversation_id = any ($2))
                                 or exists (select from ratings r where r.tenant_id = $1
                                   and r.rating_id = i.resource_id and r.conversation_id = any ($2))) limit $3))
                      returning key_mac, created_at)
                    insert into gone_keys (tenant_id, key_mac, created_at)
                    select $1, key_mac, created_at from gone on conflict do nothing",
    },
    plain!("webhook_deliveries", "delivery_id", ["conversation_id"], Conversations),
    import_keys!(["conversation_id"], Conversations, "conversation_id"),
];

/// Those of a part of a contact, in their order: what is found by conversations.
pub(crate) fn of_part() -> impl Iterator<Item = &'static Eraser> {
    OF_PART.iter().chain(ERASERS.iter().filter(|eraser| matches!(eraser.by, By::Conversations)))
}

/// In this order: what is found by conversations goes before them, and the head, at which every writer stops, goes last.
pub const ERASERS: &[Eraser] = &[
    plain!("messages", "message_id", ["conversation_id"], Conversations),
    plain!("ratings", "rating_id", ["conversation_id"], Conversations),
    plain!("conversation_units", "unit_id", ["conversation_id"], Conversations),
    plain!("consents", "consent_id", ["contact_id"], Contact),
    plain!("contact_pictures", "contact_id", ["contact_id"], Contact),
    Eraser {
        table: "idempotency",
        columns: &["contact_id"],
        by: By::Contact,
        // What is kept says that a key's resource is gone, not whose it was.
        statement: "with gone as (
                      delete from idempotency where tenant_id = $1 and key_mac = any (array(
                        select key_mac from idempotency where tenant_id = $1 and contact_id = any ($2) limit $3))
                      returning key_mac, created_at)
                    insert into gone_keys (tenant_id, key_mac, created_at)
                    select $1, key_mac, created_at from gone on conflict do nothing",
    },
    import_keys!(["contact_id", "conversation_id"], Contact, "contact_id"),
    plain!("opt_out_spreads", "contact_id", ["contact_id"], Contact),
    plain!("webhook_deliveries", "delivery_id", ["contact_id", "conversation_id"], Contact),
    plain!("recipients", "recipient_id", ["contact_id"], Contact),
    plain!("conversations", "conversation_id", ["contact_id", "conversation_id"], Conversations),
    plain!("contact_subjects", "subject_id", ["contact_id"], Contact),
    plain!("merged_contacts", "merged_id", ["contact_id"], Contact),
    plain!("contacts", "contact_id", ["contact_id"], Contact),
    plain!("contact_head", "contact_id", ["contact_id"], Contact),
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
    let ids: Vec<Uuid> = match eraser.by {
        By::Contact => contacts.iter().map(|id| id.uuid()).collect(),
        By::Conversations => conversations.iter().map(|id| id.uuid()).collect(),
    };
    let erased = sqlx::query(eraser.statement).bind(tenant.uuid()).bind(ids).bind(most);
    Ok(erased.execute(&mut **tx).await?.rows_affected())
}
