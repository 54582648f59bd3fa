//! A certificate in plain words: what it attests, what it does not, and what lingers until when.

use std::fmt::{self, Write};

use super::{
    keys::date,
    statement::{Attestation, Line, Statement, outside},
};
use crate::domain::Mode;

/// What a verified certificate says, for a reader who knows nothing of its format. Ends with a line break.
pub fn explain(statement: &Statement) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, statement);
    text
}

fn write_all(out: &mut String, statement: &Statement) -> fmt::Result {
    let dates = &statement.dates;
    let turn = match statement.sequence {
        1 => "the first, after the purge".to_owned(),
        2 => "the second, after everything was read again later".to_owned(),
        more => format!("number {more}"),
    };
    writeln!(out, "Certificate of erasure {}: {turn}.", statement.certificate_id)?;
    writeln!(
        out,
        "Erasure {} of tenant {}, mode {}: {}.",
        statement.erasure_id,
        statement.tenant_id,
        statement.mode,
        mode_in_words(&statement.mode)
    )?;
    if statement.suppression {
        writeln!(
            out,
            "The person's addresses stay blocked: keyed hashes of them are kept, and nothing else."
        )?;
    }
    writeln!(out, "Whose it was stands in it only as a commitment: {}.", statement.subject_commitment)?;
    writeln!(out)?;
    writeln!(out, "Dates (UTC)")?;
    for (what, at) in [
        ("the request was received", dates.received_at),
        ("an answer was due", dates.due_at),
        ("a member confirmed", dates.confirmed_at),
        ("every service had stopped all writing about the person", dates.fenced_at),
        ("every service had deleted and destroyed", dates.purged_at),
        ("every service had read its stores again", dates.verified_at),
        ("this certificate was signed", dates.certified_at),
    ] {
        writeln!(out, "  {}  {what}", date(at))?;
    }
    let in_time = if dates.purged_at <= dates.due_at { "within" } else { "after the end of" };
    writeln!(out, "  The purge was complete {in_time} the period of Art. 12(3) GDPR.")?;

    let section = |out: &mut String, title: &str, kind: Attestation| -> fmt::Result {
        let mut lines = lines_of(statement, kind).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        writeln!(out, "\n{title}")?;
        lines.try_for_each(|(participant, line)| writeln!(out, "  {participant}: {}", Plain(line)))
    };
    section(out, "Read again by other code than the eraser's, and found as said", Attestation::ReRead)?;
    section(out, "The storage engine's own figures, not read by us", Attestation::EngineFigure)?;
    section(out, "Declared, not checked", Attestation::Declared)?;
    section(out, "Not looked at", Attestation::NotLookedAt)?;
    section(
        out,
        "Lingers, unreadable through the platform, and is gone by the date",
        Attestation::ResidualUntil,
    )?;

    section(out, "Kept under a legal hold, and erased when that is released", Attestation::Held)?;
    section(out, "Recipients of the person's data, told of the erasure (Art. 19 GDPR)", Attestation::Told)?;

    match statement.shred_bound {
        Some(bound) => writeln!(
            out,
            "\nUntil {} an old copy of a key store may still open what an old copy of a\n\
             database holds: the erased is unreadable through the platform. After that date it is unrecoverable, if the\n\
             operator has by then rotated the epoch's key, deleted it, and let the backups of the key store expire.",
            date(bound)
        )?,
        None => writeln!(
            out,
            "\nThe erased is unreadable through the platform. An old copy of a key store may still open what an old copy of a\n\
             database holds, for whoever has both and the epoch's key; no date is stated by which that key is gone."
        )?,
    }
    writeln!(out, "\nOutside of what is promised")?;
    for code in &statement.outside_the_promise {
        writeln!(out, "  {}", sentence(code).unwrap_or(code))?;
    }
    writeln!(
        out,
        "\nThe rights ledger has it as entry {} ({}).",
        statement.ledger.number, statement.ledger.digest
    )?;
    writeln!(out, "The certificate attests what was read, when and by whom, and nothing more.")
}

fn mode_in_words(mode: &str) -> &'static str {
    match mode.parse() {
        Ok(Mode::Everything) => "all that there was of a contact",
        Ok(Mode::Conversation) => "one conversation of a contact, who lives on",
        Ok(Mode::ContactOnly) => "a contact without its messages, which stay, under nobody's name",
        Ok(Mode::Email) => "all e-mail of a contact, who lives on",
        Err(_) => "which this version has no words for",
    }
}

fn lines_of(statement: &Statement, kind: Attestation) -> impl Iterator<Item = (&str, &Line)> {
    statement.participants.iter().flat_map(move |participant| {
        participant
            .lines
            .iter()
            .filter(move |line| line.attestation == kind)
            .map(move |line| (participant.name.as_str(), line))
    })
}

/// One line of the certificate as a sentence.
struct Plain<'a>(&'a Line);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { store, kind, attestation, code, looked_for, found, until } = self.0;
        write!(f, "{store}, {}", kind.replace('_', " "))?;
        if *attestation == Attestation::Told {
            write!(f, ": {looked_for}")?;
        } else if *attestation != Attestation::NotLookedAt && (*looked_for > 0 || *found > 0) {
            write!(f, ": looked for {looked_for}, found {found}")?;
        }
        if let Some(at) = until {
            write!(f, ": until {}", date(*at))?;
        }
        match sentence(code) {
            Some(sentence) => write!(f, ". {sentence}"),
            None => write!(f, " ({code})"),
        }
    }
}

/// The codes that have a sentence. Another code is printed as it stands.
fn sentence(code: &str) -> Option<&'static str> {
    Some(match code {
        outside::OTHERS_WRITING_ABOUT_THE_PERSON => {
            "What somebody else wrote about the person in a conversation of their own is not part of this erasure."
        }
        outside::COPIES_MADE_OUTSIDE_BEFORE => {
            "What members or recipients copied out of the platform before is not in its reach."
        }
        outside::RANDOM_IDS_IN_FENCES_AND_LEDGER => {
            "Random ids stay in fences and in the rights ledger, so that a restored backup is erased again; who read and \
             erased, and when, stays in the audit log."
        }
        outside::MESSAGES_KEPT_WITHOUT_A_NAME => {
            "The messages stay readable for the tenant as they were written, under a new anonymous contact: a text that names \
             the person itself still does."
        }
        outside::THE_CONTACT_LIVES_ON => "The contact and what was not asked to be erased stay as they are.",
        "CONVERSATION_ID_ABSENT" => "No row names the conversation any more.",
        "LEGAL_HOLD" => {
            "Kept, unread by anybody, until the legal hold is released; then it is erased and certified again."
        }
        "SEALED_ANEW" => {
            "The messages are sealed under secrets that are nobody's; none is under the person's."
        }
        "ROWS_ONLY" => {
            "Rows that no secret of their own covers are deleted; backups may hold them until then, in the clear or under \
             secrets that live on."
        }
        "ADDRESSES_SUPPRESSED" => {
            "Keyed hashes of the person's addresses are on the list of those that may not be written to."
        }
        "GONE_KEYS_KEPT" => {
            "Keyed hashes of requests that made what is gone stay until they would have been forgotten: a repeated request \
             is told so."
        }
        "MESSAGE_IDS_IN_AUDIT_LOG" => {
            "Random ids of single messages stay in the audit log: who edited or deleted one, and when."
        }
        "NO_RECIPIENTS" => "Nobody is known to have been sent events about the person.",
        "RECIPIENTS_ANSWERED" => "Told by a signed webhook, and answered.",
        "RECIPIENTS_BEING_TOLD" => {
            "Being told by a signed webhook; tried until they answer, or until that date."
        }
        "RECIPIENTS_NOT_REACHED" => {
            "Could not be told: they are not registered any more, or did not answer in three days."
        }
        "ROWS_ABSENT" => "No row is left.",
        "CONTACT_ID_ABSENT" => "No row names the contact any more.",
        "OLD_PAGES_RANDOM_IDS" => {
            "Old pages, logs and backups may hold the contact's random id, and nothing else of them."
        }
        "SECRETS_DESTROYED" => "The keys are destroyed; what is sealed under them opens no more.",
        "TERMS_ABSENT" => "No word of it is in the index.",
        "DOCUMENTS_ABSENT" => "No document of it is in the index.",
        "NO_STRAY_FILES" => "No file lies in the index that it does not know of.",
        "VOLUME_ENCRYPTED" => "The operator declares the index's volume encrypted.",
        "VOLUME_NOT_DECLARED" => "The operator declares nothing about the index's volume.",
        "BLIND_INDEX_ABSENT" => "The person is no longer found by telephone number or address.",
        "FENCE_KEPT" => "The fence stays and keeps the contact's random id from being written about again.",
        "CASE_REFERENCES_KEPT" => {
            "If a legal hold was on it, the hold's reason and the case reference that was given stay on record, without \
             whose they were about: a reference that names the person still does."
        }
        "CENSUS_KEY_KEPT" => "The key of the lists of what was there is kept for the second verification.",
        "SUPPRESSION_KEPT" => {
            "If the person had opted out, keyed hashes of their telephone number and address stay on the opt-out list, so \
             that nobody writes to them again."
        }
        "BANS_KEPT" => {
            "If the person had been banned, keyed hashes of their telephone number and address stay, so that the ban does."
        }
        "OLD_PAGES_KEYSTORE" => {
            "Old pages, logs and backups of the key store may hold wrapped keys and keyed hashes of addresses. The date \
             holds if the operator has by then rotated the epoch's key, deleted it, and let those backups expire."
        }
        "EPOCH_KEY_NOT_ROTATED" => {
            "Old pages, logs and backups of the key store may hold wrapped keys and keyed hashes of addresses, which the epoch's \
             key opens until it is rotated and deleted: the platform does not do that, and states no date."
        }
        "TOMBSTONES_SET" => {
            "Looked for were destroyed keys without a mark: each has one, so that none is ever made again."
        }
        "OLD_PAGES_POSTGRES" | "OLD_PAGES_DATABASE" => {
            "Old pages, logs and backups of the database hold sealed rows, random ids and keyed hashes. The outbox and the \
             bus name random ids for 72 hours, events that could not be delivered until an operator deals with them."
        }
        _ => return None,
    })
}
