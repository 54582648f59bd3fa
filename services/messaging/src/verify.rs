//! Disbelieves the eraser. Reads what the stores really hold, as the verify role, by the census and by the catalogue, with
//! statements of its own: nothing here is shared with `erase.rs` but the format of the census.
//!
//! It answers with findings, and a finding that something is there is an answer, not an error.

use std::collections::BTreeMap;

use lethe_ambient::{Planted, planted};
use lethe_proto::erasure::{Attestation, Finding};
use lethe_service::{TenantTx, timestamp};
use sqlx::{AssertSqlSafe, FromRow};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    census::{Census, RESEALED},
    error::Error,
    scope::{Mode, Scope},
    state::State,
};

/// Ids looked for in one statement.
const AT_ONCE: usize = 10_000;

#[derive(FromRow)]
struct Fenced {
    census: Vec<u8>,
    purged_at: Option<OffsetDateTime>,
    mode: i16,
    /// Conversations that were under a legal hold at the fence, and are so still.
    held: Vec<Uuid>,
    /// Whether notices were laid down where there was somebody to notify: of a part, since migration 200.
    is_noticed: bool,
}

/// A column that says whose a row is, as the catalogue has it.
#[derive(FromRow)]
struct Column {
    tbl: String,
    name: String,
    domain: String,
    /// What keys the table beside the tenant.
    key: Option<String>,
}

impl State {
    /// Looks for everything of the scope.
    ///
    /// # Errors
    /// [`Error::NotFenced`]; [`Error::Census`] under another key; when a store does not answer.
    pub(crate) async fn verify_absent(
        &self,
        scope: &Scope,
        census_key: &[u8; 32],
    ) -> Result<(Vec<Finding>, OffsetDateTime), Error> {
        let mut tx = self.db.verify_tenant(scope.tenant).await?;
        let fenced: Option<Fenced> = sqlx::query_as(
            "select f.census, f.purged_at, f.mode,
                    array (select distinct h.held_conversation from holds h
                            where h.tenant_id = f.tenant_id and h.held_conversation = any (f.held)) as held,
                    cardinality(f.noticed) > 0 as is_noticed
               from fences f where f.tenant_id = $1 and f.scope_id = $2 and f.erased = $3 and f.census is not null",
        )
        .bind(scope.tenant.uuid())
        .bind(scope.id.uuid())
        .bind(scope.contact.uuid())
        .fetch_optional(&mut *tx)
        .await?;
        let fenced = fenced.ok_or(Error::NotFenced)?;
        if i32::from(fenced.mode) != i32::from(scope.mode) {
            return Err(Error::NotFenced);
        }
        let census = Census::open(scope, census_key, &fenced.census)?;
        let mut findings = rows(&mut tx, scope, &census, &fenced.held).await?;
        if scope.mode == Mode::ContactOnly {
            findings.extend(resealed(&mut tx, scope, &census, &fenced.held).await?);
        }
        let kept = kept_units(&mut tx, scope, &fenced.held).await?;
        let now = self.clock.now();
        if scope.is_whole() || fenced.is_noticed {
            findings.extend(told(&recipients(&mut tx, scope, now, self.longest_notice()).await?));
        }
        drop(tx);
        findings.extend(self.secrets(scope, &census, &kept).await?);
        let backups = Duration::days(i64::from(self.config.erasure.backups_kept_days));
        let purged_at = fenced.purged_at.unwrap_or(now);
        let listed = if scope.suppress { "ADDRESSES_SUPPRESSED" } else { "SUPPRESSION_KEPT" };
        findings.push(declared("postgres", "opt_outs", listed));
        findings.push(declared("postgres", "gone_keys", "GONE_KEYS_KEPT"));
        findings.push(declared("postgres", "gone_import_keys", "GONE_KEYS_KEPT"));
        if !scope.is_whole() {
            // Their secret is the person's, or they were never sealed: what is clear of a conversation in its rows.
            findings.push(Finding {
                kind: "conversations".into(),
                ..residual("postgres", "ROWS_ONLY", purged_at + backups)
            });
        }
        findings.push(declared("postgres", "address_bans", "BANS_KEPT"));
        findings.push(residual("postgres", "OLD_PAGES_POSTGRES", purged_at + backups));
        // Until when old pages and backups of the keystore open what the purge destroyed, nobody can say as long as nothing
        // closes an epoch and deletes its key.
        findings.push(declared("keystore", "old_pages", "EPOCH_KEY_NOT_ROTATED"));
        Ok((findings, now))
    }

    /// How long a notice is tried, at the longest.
    fn longest_notice(&self) -> Duration {
        let webhooks = &self.config.webhooks;
        let waits: u64 = webhooks.backoff_s.iter().sum();
        Duration::seconds(i64::try_from(waits + waits / 10).unwrap_or(i64::MAX)) + webhooks.settled_after()
    }

    async fn secrets(&self, scope: &Scope, census: &Census, kept: &[Uuid]) -> Result<Vec<Finding>, Error> {
        let subjects = census.subjects();
        let mut units = census.units();
        units.retain(|unit| !kept.contains(&unit.uuid()));
        let remains = self.keyring.verify_destroyed(scope.tenant, &subjects, &units).await?;
        let (of_subjects, all) = (subjects.len() as u64, (subjects.len() + units.len()) as u64);
        let mut findings = vec![
            re_read("keystore", "secrets", (all, remains.secrets), ["SECRETS_DESTROYED", "SECRETS_PRESENT"]),
            re_read(
                "keystore",
                "tombstones",
                (all, remains.without_tombstone),
                ["TOMBSTONES_SET", "TOMBSTONES_MISSING"],
            ),
            re_read(
                "keystore",
                "blind_index",
                (of_subjects, remains.blind_index_rows),
                ["ROWS_ABSENT", "ROWS_PRESENT"],
            ),
        ];
        if !kept.is_empty() {
            findings.push(Finding { store: "keystore".into(), ..held_line("secrets", kept.len() as u64) });
        }
        Ok(findings)
    }
}

/// What the service's own database still holds, table by table.
async fn rows(
    tx: &mut TenantTx,
    scope: &Scope,
    census: &Census,
    held: &[Uuid],
) -> Result<Vec<Finding>, Error> {
    let columns: Vec<Column> = sqlx::query_as(
        "select c.relname::text as tbl, a.attname::text as name, a.atttypid::regtype::text as domain,
                (select k.attname::text
                   from pg_constraint p join pg_attribute k on k.attrelid = p.conrelid and k.attnum = p.conkey[2]
                  where p.conrelid = c.oid and p.contype = 'p' and cardinality(p.conkey) = 2) as key
           from pg_attribute a join pg_class c on c.oid = a.attrelid
          where a.atttypid in ('contact_id'::regtype, 'conversation_id'::regtype, 'subject_id'::regtype)
            and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p') and not c.relispartition
            and pg_table_is_visible(c.oid)
          order by 1, 2",
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids = |domain: &str| -> Vec<Uuid> {
        match domain {
            "contact_id" if scope.is_whole() => census.contacts().iter().map(|id| id.uuid()).collect(),
            // Where they are kept, and where the contact lives on, the id alone says nothing.
            "conversation_id" if scope.mode == Mode::ContactOnly => Vec::new(),
            "contact_id" => Vec::new(),
            "conversation_id" => census.conversations().iter().map(|id| id.uuid()).collect(),
            _ => census.subjects().iter().map(|id| id.uuid()).collect(),
        }
    };
    // Table by table: how many were looked for, how many are there.
    let mut found: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    let mut of_conversations: BTreeMap<&str, &str> = BTreeMap::new();
    for column in columns.iter().filter(|column| column.domain == "conversation_id") {
        of_conversations.insert(&column.tbl, &column.name);
    }
    for column in &columns {
        let but = of_conversations.get(column.tbl.as_str()).map(|name| (*name, held));
        let there = count(tx, scope, (&column.tbl, but), &column.name, &ids(&column.domain)).await?;
        let entry = found.entry(&column.tbl).or_default();
        entry.1 = entry.1.max(there);
        if let Some(key) = &column.key {
            keys.insert(&column.tbl, key);
        }
    }
    let listed: Vec<(&str, Vec<Uuid>)> = census.tables().filter(|(table, _)| *table != RESEALED).collect();
    for (table, ids) in &listed {
        let entry = found.entry(table).or_default();
        entry.0 += ids.len() as u64;
        // A table that is no longer there holds nothing.
        if let Some(key) = keys.get(table) {
            let but = of_conversations.get(table).map(|name| (*name, held));
            entry.1 = entry.1.max(count(tx, scope, (table, but), key, ids).await?);
        }
    }
    let codes = ["ROWS_ABSENT", "ROWS_PRESENT"];
    let mut findings = Vec::with_capacity(found.len());
    for (table, (looked_for, there)) in found {
        let kept = match of_conversations.get(table) {
            Some(column) if !held.is_empty() => count(tx, scope, (table, None), column, held).await?,
            _ => 0,
        };
        findings.push(re_read("postgres", table, (looked_for.saturating_sub(kept), there), codes));
        if kept > 0 {
            findings.push(held_line(table, kept));
        }
    }
    Ok(findings)
}

/// How many rows have one of these ids in the column, `but` those of conversations that are held.
async fn count(
    tx: &mut TenantTx,
    scope: &Scope,
    (table, but): (&str, Option<(&str, &[Uuid])>),
    column: &str,
    ids: &[Uuid],
) -> Result<u64, Error> {
    if planted(Planted::DeletersWordBelieved) {
        return Ok(0);
    }
    // Safe: both names come from the catalogue, and are quoted.
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (table, column) = (quoted(table), quoted(column));
    let (spared, held) = match but {
        Some((name, held)) => (format!(" and not ({} = any ($3))", quoted(name)), held),
        None => (" and $3::uuid[] is not null".to_owned(), &[][..]),
    };
    let statement =
        format!("select count(*) from {table} where tenant_id = $1 and {column} = any ($2){spared}");
    let mut there = 0;
    for some in ids.chunks(AT_ONCE) {
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(statement.as_str()))
            .bind(scope.tenant.uuid())
            .bind(some)
            .bind(held)
            .fetch_one(&mut **tx)
            .await?;
        there += rows.unsigned_abs();
    }
    Ok(there)
}

/// Of the messages and comments that are kept: how many are still sealed under one of the subjects' secrets, by their headers.
async fn resealed(
    tx: &mut TenantTx,
    scope: &Scope,
    census: &Census,
    held: &[Uuid],
) -> Result<Vec<Finding>, Error> {
    let subjects: Vec<Vec<u8>> =
        census.subjects().iter().map(|subject| subject.uuid().as_bytes().to_vec()).collect();
    let (mut looked_for, mut found, mut kept) = (0, 0, 0);
    for (_, ids) in census.tables().filter(|(table, _)| *table == RESEALED) {
        for some in ids.chunks(AT_ONCE) {
            // The header's subject stands after 5 bytes of magic, 2 of purpose, 4 of version.
            let (of_person, of_hold): (i64, i64) = sqlx::query_as(
                "select count(*) filter (where substring(text from 12 for 16) = any ($3)),
                        count(*) filter (where conversation_id = any ($4))
                   from messages where tenant_id = $1 and message_id = any ($2)",
            )
            .bind(scope.tenant.uuid())
            .bind(some)
            .bind(&subjects)
            .bind(held)
            .fetch_one(&mut **tx)
            .await?;
            looked_for += some.len() as u64;
            found += of_person.unsigned_abs();
            kept += of_hold.unsigned_abs();
        }
    }
    // Comments of ratings are in no census of those that are kept: all that are there are looked at.
    let conversations: Vec<Uuid> = census.conversations().iter().map(|id| id.uuid()).collect();
    let (comments, of_person): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where substring(comment from 12 for 16) = any ($3))
           from ratings where tenant_id = $1 and conversation_id = any ($2) and comment is not null",
    )
    .bind(scope.tenant.uuid())
    .bind(conversations)
    .bind(&subjects)
    .fetch_one(&mut **tx)
    .await?;
    let comments = (comments.unsigned_abs(), of_person.unsigned_abs());
    let codes = ["SEALED_ANEW", "SEALED_UNDER_THE_PERSON"];
    let mut findings = vec![
        re_read("postgres", RESEALED, (looked_for.saturating_sub(kept), found), codes),
        re_read("postgres", "comments_resealed", comments, codes),
    ];
    if kept > 0 {
        findings.push(held_line(RESEALED, kept));
    }
    Ok(findings)
}

/// The units of what is held, where the person lives on: they live on too.
async fn kept_units(tx: &mut TenantTx, scope: &Scope, held: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    if scope.is_whole() || held.is_empty() {
        return Ok(Vec::new());
    }
    let units = sqlx::query_scalar(
        "select unit_id from conversation_units where tenant_id = $1 and conversation_id = any ($2)",
    )
    .bind(scope.tenant.uuid())
    .bind(held)
    .fetch_all(&mut **tx)
    .await?;
    Ok(units)
}

/// A line of what is kept under a legal hold.
fn held_line(kind: &str, held: u64) -> Finding {
    Finding {
        attestation: Attestation::Held.into(),
        ..re_read("postgres", kind, (held, held), ["LEGAL_HOLD", "LEGAL_HOLD"])
    }
}

/// A line of what was read again: the first code when nothing is there, else the second.
fn re_read(store: &str, kind: &str, (looked_for, found): (u64, u64), codes: [&str; 2]) -> Finding {
    Finding {
        store: store.into(),
        kind: kind.into(),
        attestation: Attestation::ReRead.into(),
        looked_for,
        found,
        code: codes[usize::from(found > 0)].into(),
        until: None,
    }
}

/// What stays on purpose, whoever was erased.
fn declared(store: &str, kind: &str, code: &str) -> Finding {
    Finding {
        store: store.into(),
        kind: kind.into(),
        attestation: Attestation::Declared.into(),
        looked_for: 0,
        found: 0,
        code: code.into(),
        until: None,
    }
}

/// A line of what lingers.
fn residual(store: &str, code: &str, until: OffsetDateTime) -> Finding {
    Finding {
        store: store.into(),
        kind: "old_pages".into(),
        attestation: Attestation::Residual.into(),
        looked_for: 0,
        found: 0,
        code: code.into(),
        until: Some(timestamp(until)),
    }
}

/// How many recipients of an erasure's notices are in a state: being told, answered, not reached.
#[derive(FromRow)]
struct Recipients {
    state: i16,
    count: i64,
    tried_until: OffsetDateTime,
}

/// How far the recipients of the erasure were told. Of several notices to one (a part, and what a legal hold had kept of it) the one
/// that still waits counts, else one that failed. A notice is tried `longest` after it could go out at the earliest: one that
/// waits longer has failed too, for nobody promises a date that is past.
async fn recipients(
    tx: &mut TenantTx,
    scope: &Scope,
    now: OffsetDateTime,
    longest: Duration,
) -> Result<Vec<Recipients>, Error> {
    let recipients = sqlx::query_as(
        "with notices as (
           select d.endpoint_id, d.state, greatest(d.created_at, coalesce(f.purged_at, $3)) + $4 as tried_until
             from webhook_deliveries d join fences f using (tenant_id, scope_id)
            where d.tenant_id = $1 and d.scope_id = $2),
         recipients as (
           select case when bool_or(state = 1 and tried_until >= $3) then 1::smallint
                       when bool_or(state <> 2) then 3::smallint
                       else 2::smallint end as state,
                  max(tried_until) as tried_until
             from notices group by endpoint_id)
         select state, count(*), max(tried_until) as tried_until from recipients group by state order by state",
    )
    .bind(scope.tenant.uuid())
    .bind(scope.id.uuid())
    .bind(now)
    .bind(longest)
    .fetch_all(&mut **tx)
    .await?;
    Ok(recipients)
}

/// Who was told of the erasure (GDPR Art. 19), by what means, and how they answered. `looked_for` is how many.
fn told(recipients: &[Recipients]) -> Vec<Finding> {
    let line = |code: &str, count: u64, until: Option<OffsetDateTime>| Finding {
        store: "webhooks".into(),
        kind: "recipients".into(),
        attestation: Attestation::Told.into(),
        looked_for: count,
        found: 0,
        code: code.into(),
        until: until.map(timestamp),
    };
    if recipients.is_empty() {
        return vec![line("NO_RECIPIENTS", 0, None)];
    }
    let of = |one: &Recipients| {
        let count = one.count.unsigned_abs();
        match one.state {
            1 => line("RECIPIENTS_BEING_TOLD", count, Some(one.tried_until)),
            2 => line("RECIPIENTS_ANSWERED", count, None),
            _ => line("RECIPIENTS_NOT_REACHED", count, None),
        }
    };
    recipients.iter().map(of).collect()
}
