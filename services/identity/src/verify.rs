//! Disbelieves the eraser: reads the tables again as the verify role, by statements and a reading of the census of its own.
//! It goes by the census (each event that named the contact) and by the catalogue (each column that could name one, whatever
//! table a later migration gives it to).

use lethe_ids::{ContactId, ErasureId, ScopeId, TenantId};
use lethe_keyring::{Place, Purpose, open_with};
use lethe_proto::erasure::{Attestation, Finding};
use lethe_service::{Database, TenantTx};
use serde::Deserialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::Error;

/// The census as its reader sees it: texts, and no key besides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frozen {
    contact: String,
    #[serde(default)]
    others: Vec<String>,
    audit_events: Vec<String>,
    #[serde(default)]
    part: Option<Vec<String>>,
}

/// Looks for what the scope had, and says what is still there.
///
/// # Errors
/// [`Error::NotFenced`], [`Error::Census`], or when the database does not answer: then nothing is attested.
pub(crate) async fn absent(
    db: &Database,
    tenant: TenantId,
    scope: ScopeId,
    erasure: ErasureId,
    census_key: &[u8; 32],
) -> Result<Vec<Finding>, Error> {
    let mut tx = db.verify_tenant(tenant).await?;
    let sealed: Option<Vec<u8>> = sqlx::query_scalar(
        "select census from fences where tenant_id = $1 and scope_id = $2 and erasure_id = $3",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(erasure.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let place =
        Place { tenant, unit: erasure.uuid(), purpose: Purpose::Census, record: scope.uuid(), version: 1 };
    let opened = open_with(census_key, place, &sealed.ok_or(Error::NotFenced)?).map_err(Error::Census)?;
    let frozen: Frozen = serde_json::from_slice(&opened).map_err(|_| Error::Corrupt("census"))?;
    let mut contacts: Vec<ContactId> = Vec::with_capacity(1 + frozen.others.len());
    for contact in [&frozen.contact].into_iter().chain(&frozen.others) {
        contacts.push(contact.parse().map_err(|_| Error::Corrupt("census"))?);
    }
    let mut events = Vec::with_capacity(frozen.audit_events.len());
    for event in &frozen.audit_events {
        let event: lethe_ids::AuditId = event.parse().map_err(|_| Error::Corrupt("census"))?;
        events.push(event.uuid());
    }

    let mut findings = vec![finding("audit_events", events.len(), still_naming(&mut tx, &events).await?)];
    if let Some(part) = &frozen.part {
        findings.push(naming_part(&mut tx, part).await?);
        // Where the contact lives on, what was done to single messages stays, and with it their random ids.
        findings.push(finding_of("audit_events", Attestation::Declared, "MESSAGE_IDS_IN_AUDIT_LOG"));
        findings.push(finding_of("old_pages", Attestation::NotLookedAt, "OLD_PAGES_RANDOM_IDS"));
        return Ok(findings);
    }
    let as_text: i64 = sqlx::query_scalar(
        "select count(*) from audit_events where tenant_id = $1 and (target_id = any($2) or actor_id = any($2))",
    )
    .bind(tenant.uuid())
    .bind(contacts.iter().map(ToString::to_string).collect::<Vec<_>>())
    .fetch_one(&mut *tx)
    .await?;
    findings.push(finding("audit_events.target_id", contacts.len(), as_text));
    for (table, column) in contact_columns(&mut tx).await? {
        let found = naming(&mut tx, &table, &column, &contacts).await?;
        findings.push(finding(&format!("{table}.{column}"), contacts.len(), found));
    }
    findings.push(finding_of("old_pages", Attestation::NotLookedAt, "OLD_PAGES_RANDOM_IDS"));
    Ok(findings)
}

/// Events, written since too, that name one of the conversations.
async fn naming_part(tx: &mut TenantTx, part: &[String]) -> Result<Finding, sqlx::Error> {
    let tenant = tx.tenant();
    let found: i64 = sqlx::query_scalar(
        "select count(*) from audit_events where tenant_id = $1 and (target_id = any ($2) or actor_id = any ($2))",
    )
    .bind(tenant.uuid())
    .bind(part)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Finding {
        code: "CONVERSATION_ID_ABSENT".to_owned(),
        ..finding("audit_events.target_id", part.len(), found)
    })
}

/// A line without numbers.
fn finding_of(kind: &str, attestation: Attestation, code: &str) -> Finding {
    Finding { attestation: attestation.into(), code: code.to_owned(), ..finding(kind, 0, 0) }
}

/// How many events of the census still say whom they were about, or can still prove it. The alias may be another erasure's: of a
/// person who was two contacts, two may be under way.
async fn still_naming(tx: &mut TenantTx, events: &[Uuid]) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select count(*) from audit_events where tenant_id = $1 and audit_id = any($2)
            and (contact_id is not null or about_salt is not null or target_id not like 'era\\_%')",
    )
    .bind(tenant.uuid())
    .bind(events)
    .fetch_one(&mut **tx)
    .await
}

/// Every column whose type says that it names a contact: (table, column).
async fn contact_columns(tx: &mut TenantTx) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select c.oid::regclass::text, a.attname::text
           from pg_attribute a
           join pg_type t on t.oid = a.atttypid and t.typname = 'contact_id'
           join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
          where a.attnum > 0 and not a.attisdropped order by 1, 2",
    )
    .fetch_all(&mut **tx)
    .await
}

/// How many rows of that column name the contact. A table that the verify role may not read is an error, not a zero.
async fn naming(
    tx: &mut TenantTx,
    table: &str,
    column: &str,
    contacts: &[ContactId],
) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    // Safe: the table comes quoted from the catalogue, the column is quoted here.
    let column = column.replace('"', "\"\"");
    let statement =
        format!("select count(*) from {table} where tenant_id = $1 and \"{column}\"::uuid = any($2)");
    sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(tenant.uuid())
        .bind(contacts.iter().map(|contact| contact.uuid()).collect::<Vec<_>>())
        .fetch_one(&mut **tx)
        .await
}

fn finding(kind: &str, looked_for: usize, found: i64) -> Finding {
    Finding {
        store: "postgres".to_owned(),
        kind: kind.to_owned(),
        attestation: Attestation::ReRead.into(),
        looked_for: looked_for as u64,
        found: found.unsigned_abs(),
        code: "CONTACT_ID_ABSENT".to_owned(),
        until: None,
    }
}
