//! Every parser of ours, as a function that takes any bytes. None may panic, hang or take much memory whatever it is given;
//! beyond that each says here what else must be true of what it takes, and answers whether it took it.
//!
//! The fuzz targets in `fuzz/` feed them what a coverage-guided fuzzer thinks of; the test here feeds them the corpus of these
//! targets and small changes of it, so that every run of the tests exercises what was once found.

use http::{HeaderMap, HeaderName, HeaderValue};
use lethe_access::{
    SigningKey, parse_keyid,
    signature::{Signable, Signature, check_digest},
};
use lethe_identity::domain::{
    client::Client, member::Profile, password::BcryptHash, session::Token, tenant::Slug,
};
use lethe_ids::ContactId;
use lethe_keyring::{header, wrapped};
use lethe_proto::request::Page;
use lethe_retention::{certificate, domain::Code, ledger};
use lethe_search::analysis;
use lethe_service::page::PageKey;

/// A parser: whether it took the bytes.
pub type Parser = fn(&[u8]) -> bool;

/// All of them: the name of the fuzz target and of its corpus' folder, and the function.
pub const PARSERS: [(&str, Parser); 22] = [
    ("api_key", api_key),
    ("bcrypt_hash", bcrypt_hash),
    ("certificate", certificate),
    ("config", config),
    ("cookie", cookie),
    ("cursor", cursor),
    ("email", email),
    ("id", id),
    ("import_lines", import_lines),
    ("json_body", json_body),
    ("keyword", keyword),
    ("label", label),
    ("ledger_entry", ledger_entry),
    ("page_key", page_key),
    ("phone", phone),
    ("picture", picture),
    ("profile", profile),
    ("s2_block", s2_block),
    ("sealed", sealed),
    ("session_token", session_token),
    ("signature", signature),
    ("words", words),
];

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `lth_k_…`: one key has one text.
pub fn api_key(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    parse_keyid(text);
    let key = SigningKey::parse(text);
    key.inspect(|key| assert_eq!(*key.reveal(), text)).is_some()
}

/// What is taken is what will be verified.
pub fn bcrypt_hash(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    BcryptHash::parse("hash", text).inspect(|hash| assert_eq!(hash.expose(), text)).is_ok()
}

/// An envelope and the document of keys, with a zero byte between them.
pub fn certificate(bytes: &[u8]) -> bool {
    let (envelope, keys) = split(bytes);
    if let Ok(statement) = serde_json::from_slice(envelope) {
        certificate::explain(&statement);
    }
    certificate::verify(envelope, keys).inspect(|statement| drop(certificate::explain(statement))).is_ok()
}

/// A configuration of the gateway's, every option of it.
pub fn config(bytes: &[u8]) -> bool {
    let Some(Ok(table)) = text(bytes).map(str::parse) else { return false };
    lethe_service::config::parse::<lethe_gateway::Config>(table).is_ok()
}

/// The Cookie header.
pub fn cookie(bytes: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return false };
    let token = lethe_gateway::parsers::cookie(&value);
    token.inspect(|token| assert!(!token.contains(';'))).is_some()
}

/// Nobody makes a cursor but the gateway, which made one here.
pub fn cursor(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let (is_one, made) = lethe_gateway::parsers::cursor(text);
    assert_eq!(is_one, made == text);
    is_one
}

/// Normalised once is normalised.
pub fn email(bytes: &[u8]) -> bool {
    let Some(Ok(address)) = text(bytes).map(lethe_keyring::normalise::email) else { return false };
    assert_eq!(lethe_keyring::normalise::email(&address).as_ref(), Ok(&address));
    true
}

/// One id has one text.
pub fn id(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    text.parse::<ContactId>().inspect(|id| assert_eq!(id.to_string(), text)).is_ok()
}

/// A chunk of an import: each line by itself. What the report says of one is short, and names no field that is not ours.
pub fn import_lines(bytes: &[u8]) -> bool {
    let (count, lines) = lethe_gateway::parsers::import_lines(bytes);
    assert!(lines.iter().is_sorted_by(|one, next| one.0 < next.0));
    assert!(lines.iter().all(|(number, _)| (1..=count).contains(number)));
    for (field, detail) in lines.iter().filter_map(|(_, said)| said.as_ref()) {
        assert!(detail.len() < 1_000, "{} bytes are said", detail.len());
        let told = lethe_messaging::parsers::told_field(field);
        assert!(field.starts_with(&told) && told.len() < 100, "{told}");
        assert_eq!(lethe_messaging::parsers::told_field(&told), told);
    }
    !lines.is_empty() && lines.iter().all(|(_, said)| said.is_none())
}

/// What is said of a body that does not fit is short, however long the body is.
pub fn json_body(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let said = lethe_gateway::parsers::body(text);
    said.inspect(|said| assert!(said.len() < 1_000, "{} bytes are said", said.len())).is_none()
}

/// STOP and START, in any language and spelling: spaces around them make no difference.
pub fn keyword(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let is_one = lethe_messaging::parsers::is_keyword(text);
    let spaced = format!(" {text}\n");
    // Longer texts are not looked at.
    assert!(!is_one || spaced.len() > 96 || lethe_messaging::parsers::is_keyword(&spaced));
    is_one
}

/// A label's name and colour, and why a step waits: only codes are said again.
pub fn label(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let code = Code::of_reason(text);
    assert!(code == Code::UNAVAILABLE || code.text() == text);
    lethe_messaging::parsers::is_label(text)
}

/// An entry of the rights ledger: it is written as it was read.
pub fn ledger_entry(bytes: &[u8]) -> bool {
    let Ok(entry) = serde_json::from_slice::<ledger::Entry>(bytes) else { return false };
    let again = serde_json::to_vec(&entry).expect("an entry is written");
    assert_eq!(serde_json::from_slice::<ledger::Entry>(&again).ok(), Some(entry));
    true
}

/// Where a page ended, as a service has it.
pub fn page_key(bytes: &[u8]) -> bool {
    let page = Page { limit: 1, after: bytes.to_vec().into() };
    let Ok(Some(key)) = PageKey::of(Some(&page)) else { return false };
    assert_eq!(key.encode()[..], *bytes);
    true
}

/// Normalised once is normalised; with a region, after two letters.
pub fn phone(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let of_region = text
        .split_at_checked(2)
        .and_then(|(region, text)| lethe_keyring::normalise::phone(text, Some(region)).ok());
    let numbers = lethe_keyring::normalise::phone(text, None).ok().into_iter().chain(of_region);
    numbers
        .inspect(|number| assert_eq!(lethe_keyring::normalise::phone(number, None).as_ref(), Ok(number)))
        .count()
        > 0
}

/// A picture is of one kind.
pub fn picture(bytes: &[u8]) -> bool {
    let kinds = ["image/png", "image/jpeg", "image/webp"];
    let of = kinds.iter().filter(|kind| lethe_messaging::parsers::is_picture(kind, bytes)).count();
    assert!(of <= 1, "one picture is of {of} kinds");
    of == 1
}

/// A contact's profile, a member's, and the client of a session: each comes back from its blob as it was.
pub fn profile(bytes: &[u8]) -> bool {
    if let Some(agent) = text(bytes) {
        assert!(Client::new("192.0.2.1", agent).is_ok());
    }
    let client = Client::from_bytes(bytes);
    assert!(Client::from_bytes(&client.to_bytes()) == client);
    let of_contact = lethe_messaging::parsers::profile(bytes);
    assert_ne!(of_contact, Some(false), "the contact's profile comes back another one");
    let of_member = Profile::from_bytes(bytes);
    if let Some(profile) = &of_member {
        let again = Profile::from_bytes(&profile.to_bytes());
        assert!(again.is_some_and(|again| again.email() == profile.email()));
    }
    of_contact.is_some() || of_member.is_some()
}

/// A block of NATS' stores, as leftovers are looked for in.
pub fn s2_block(bytes: &[u8]) -> bool {
    let Ok(block) = lethe_leftovers::s2::unpack(bytes) else { return false };
    assert!(block.len() <= 4 << 20, "{} bytes out of {}", block.len(), bytes.len());
    true
}

/// What is sealed, and what is wrapped: what is found is one.
pub fn sealed(bytes: &[u8]) -> bool {
    header::parse(bytes);
    let sealed = header::find(bytes).inspect(|at| assert!(header::parse(&bytes[*at..]).is_some()));
    let wrapped = wrapped::find(bytes).inspect(|at| assert!(wrapped::parse(&bytes[*at..]).is_some()));
    sealed.count() + wrapped.count() > 0
}

/// `lth_s_…`, one session has one text; a tenant's slug and a trace, which come with it.
pub fn session_token(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let token = Token::parse(text).inspect(|token| assert_eq!(token.reveal(), text));
    let slug = Slug::parse("slug", text);
    let trace = lethe_service::call::Trace::parse(text);
    token.is_some() || slug.is_ok() || trace.is_some()
}

/// The fields of a signed request, a line each: `Signature-Input: …`. Nobody signs with a key that nobody has.
pub fn signature(bytes: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().and_then(|value| HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    check_digest(&headers, b"body").ok();
    let target_uri = "https://api.example.com/v1/contacts?limit=10";
    let request = Signable { method: "POST", authority: "api.example.com", target_uri, headers: &headers };
    let Ok(signature) = Signature::read(&request) else { return false };
    signature.check_time(0).ok();
    assert!(signature.verify(b"nobody's secret").is_err());
    true
}

/// A query and the text that it is sought in, with a zero byte between them: what is marked stands in the text, in order.
pub fn words(bytes: &[u8]) -> bool {
    let (query, said) = split(bytes);
    let (Some(query), Some(said)) = (text(query), text(said)) else { return false };
    let Some(sought) = analysis::sought(query) else { return false };
    let marked = analysis::highlight(&sought, said).unwrap_or_default();
    let mut before = 0;
    for (from, to) in &marked {
        assert!(before <= *from && from < to, "{from} to {to} after {before}");
        before = *to;
    }
    assert!(before as usize <= said.chars().count());
    !marked.is_empty()
}

/// What is before the first zero byte, and what is behind it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}
