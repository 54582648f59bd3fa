//! What is left of an erased person: every store's files as raw bytes, what each store's own reader gives, and whether
//! anything that was sealed for the person still opens with any key that exists.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use anyhow::Context;
use lethe_ambient::{Clock, Entropy};
use lethe_ids::{ContactId, SubjectId, UnitId};
use lethe_keyring::{LocalKms, header::Header};
use lethe_leftovers::{IndexPiece, KeySource, Outcome, Search, Tokens, trial};
use lethe_search::{analysis, engine::tantivy};
use lethe_service::Nats;
use sqlx::{Connection, PgConnection};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{config, dev::Run};

const DATABASES: [&str; 4] = ["identity", "messaging", "search", "retention"];
const KEYSTORES: [&str; 3] = ["identity", "messaging", "retention"];

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// Texts, by what they are.
    pub tokens: Vec<(&'static str, String)>,
    /// Whatever is sealed for these people.
    pub subjects: Vec<SubjectId>,
    /// Whatever is sealed under these units, where a part of a person goes.
    pub units: Vec<UnitId>,
}

impl Sought {
    /// A person, wholly.
    pub fn person(tokens: Vec<(&'static str, String)>, subjects: Vec<SubjectId>) -> Self {
        Self { tokens, subjects, units: Vec::new() }
    }

    fn covers(&self, header: &Header) -> bool {
        self.subjects.contains(&header.subject) || self.units.contains(&header.unit)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// Places where one of the person's texts stands, in any form.
    pub plaintext: u64,
    /// The stores that those places are in.
    pub stores: BTreeSet<String>,
    /// Sealed values of the person that open, with no date at which that ends.
    pub undated: u64,
    /// Sealed values of the person that open only through an old wrapper in the keystore's files.
    pub dated: u64,
    /// When the last of those is useless, if the epoch's key is rotated and deleted as soon as that may be: nothing does it yet.
    pub until: Option<OffsetDateTime>,
    /// Sealed values of the person that were seen and do not open.
    pub closed: u64,
    /// What could not be looked at: while there is any, nothing is proven.
    pub unread: u64,
    /// Each of them, for a person.
    pub lines: Vec<String>,
}

impl Leftovers {
    /// Nothing undated is left, and everything was looked at.
    pub fn is_clean(&self) -> bool {
        self.plaintext == 0 && self.undated == 0 && self.unread == 0
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(
            f,
            "leftovers: {} plaintext, {} ciphertexts undated ({} dated, the last until {})",
            self.plaintext,
            self.undated,
            self.dated,
            self.until.map_or_else(|| "-".to_owned(), rfc3339)
        )
    }
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// The person's subjects, while the contact is still there: what their sealed values are recognised by.
///
/// # Errors
/// When messaging's database cannot be read.
pub async fn subjects(run: &Run, contact: &str) -> anyhow::Result<Vec<SubjectId>> {
    let contact: ContactId = contact.parse()?;
    let mut database = PgConnection::connect(&format!("{}/messaging", run.admin_url)).await?;
    let found = sqlx::query_scalar("select subject_id from contact_subjects where contact_id = $1");
    let found: Vec<uuid::Uuid> = found.bind(contact.uuid()).fetch_all(&mut database).await?;
    Ok(found.into_iter().map(SubjectId::new).collect())
}

/// Looks for the texts and the sealed values of `sought` in everything below `folder`, and in every store by its own
/// reader. `say` hears of each store.
///
/// # Errors
/// When a store cannot be entered: then nothing is proven.
pub async fn search_leftovers(
    folder: &Path,
    run: &Run,
    sought: &Sought,
    say: fn(&str),
) -> anyhow::Result<Leftovers> {
    let tokens = Tokens::new(sought.tokens.iter().cloned())?;
    let search = Search::new(&tokens);
    let mut names: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    // Replicas of search have one each.
    let indexes = names.iter().filter(|name| name.to_string_lossy().starts_with("index"));
    let indexes: Vec<_> = indexes.map(|name| folder.join(name)).collect();
    for name in names {
        let (store, path) = (name.to_string_lossy().into_owned(), folder.join(&name));
        if path.is_dir() {
            // Reading files is work for the processor: it may block this thread, not the others.
            tokio::task::block_in_place(|| search.folder(&store, &path));
        } else {
            match std::fs::read(&path) {
                Ok(bytes) => search.bytes("files", &store, &bytes),
                Err(error) => search.unread("files", &store, error.to_string()),
            }
        }
    }
    for (admin, store, databases) in [
        (&run.admin_url, "postgres", DATABASES.as_slice()),
        (&run.keystore_admin_url, "keystore", KEYSTORES.as_slice()),
    ] {
        for database in databases {
            search
                .postgres(store, &format!("{admin}/{database}"))
                .await
                .with_context(|| format!("{store} {database}"))?;
        }
    }
    let config = config::load(Some(&folder.join("lethe.toml")))?;
    let nats = Nats::connect("leftovers", &config.nats).await?;
    search.jetstream("nats", nats.jetstream()).await?;
    let terms = |text: &str| analysis::tokens(text).into_iter().map(|token| token.term).collect();
    for index in indexes {
        tokio::task::block_in_place(|| {
            search.index("index", terms, |visit| {
                tantivy::read_folder(&index, &mut |piece| {
                    let (segment, field, is_term) =
                        (piece.segment, piece.field, piece.kind == tantivy::PieceKind::Term);
                    visit(IndexPiece { segment, field, is_term, bytes: piece.bytes });
                })
            })
        })?;
    }
    let report = search.report();
    for (store, bytes) in &report.stores {
        say(&format!("{store}: {:.1} MiB", *bytes as f64 / f64::from(1 << 20)));
    }

    let clock = Clock::system();
    let kms =
        |service: &str| LocalKms::open(folder.join("kms").join(service), clock.clone(), Entropy::system());
    let mut sources = Vec::new();
    for service in KEYSTORES {
        let url = format!("{}/{service}", run.keystore_admin_url);
        sources.push(KeySource { store: "keystore".into(), url, kms: Arc::new(kms(service)?) });
    }
    let tried = trial(&report.harvest, &sources, clock.now()).await?;
    let sum = tried.of(&sought.subjects, &sought.units);
    say(&format!(
        "{} different sealed values and {} wrapped keys were seen; {} of the person's sealed values do not open",
        report.harvest.headers.len(),
        report.harvest.wrapped.len(),
        sum.closed
    ));
    let mut lines = Vec::new();
    for finding in &report.findings {
        lines.push(format!("plaintext: {} as {:?} in {}", finding.token, finding.form, finding.place));
    }
    for unread in &report.unread {
        lines.push(format!("not looked at: {} ({})", unread.place, unread.why));
    }
    for opening in tried.openings.iter().filter(|opening| sought.covers(&opening.header)) {
        let place = opening.sightings.first.values().next().map(ToString::to_string).unwrap_or_default();
        match opening.outcome {
            Outcome::Live | Outcome::Undated => lines.push(format!("opens, undated: {place}")),
            Outcome::Dated { until } => {
                let until = rfc3339(until);
                lines.push(format!("opens until the epoch's key goes, {until} at the earliest: {place}"));
            }
            Outcome::Closed => {}
        }
    }
    Ok(Leftovers {
        plaintext: report.findings.len() as u64,
        stores: report.findings.iter().map(|finding| finding.place.store.clone()).collect(),
        undated: sum.live + sum.undated + report.harvest.dropped,
        dated: sum.dated,
        until: sum.until,
        closed: sum.closed,
        unread: report.unread.len() as u64,
        lines,
    })
}
