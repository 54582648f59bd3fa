//! HTTP message signatures (RFC 9421) by HMAC-SHA-256, as machines sign their requests, and digests of bodies (RFC 9530).
//! Pure: no clock, no store, no HTTP. The fields are read by a structured-fields parser (RFC 9651).
//!
//! What a signature must cover is ours, not the RFC's: `@method`, `@authority` and `@target-uri` always, and each of
//! `content-digest`, `idempotency-key` and `if-match` that the request has. One signature a request: a second one would
//! leave open which of them counts.

use std::fmt::Write;

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, FieldType, InnerList, KeyRef, ListEntry, Parser, visitor};

/// `Content-Digest` (RFC 9530).
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `Signature` (RFC 9421).
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// `Signature-Input` (RFC 9421).
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Idempotency-Key`: on a change it is the nonce.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How far a signature's `created` may be from now, in seconds, either way.
pub const WINDOW_S: i64 = 60;
/// The longest `Signature` or `Signature-Input` that is looked at, in bytes.
const LONGEST: usize = 4_096;
/// Components of one signature.
const MOST_COMPONENTS: usize = 32;
/// Must always be covered.
const ALWAYS: [&str; 3] = ["@method", "@authority", "@target-uri"];
/// Must be covered where the request has them.
const WHERE_PRESENT: [HeaderName; 3] = [CONTENT_DIGEST, IDEMPOTENCY_KEY, http::header::IF_MATCH];

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Host, and port unless it is the scheme's own, in lower case.
    pub authority: &'a str,
    /// The whole URI, its query included: `https://api.example.com/v1/contacts?limit=10`.
    pub target_uri: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// Why a signature is not taken. Says which rule, never which secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field is missing, or is no dictionary of the form that RFC 9421 wants.
    #[error("must be there and hold one signature, as RFC 9421 has it")]
    Malformed(&'static str),
    /// Several signatures, or one label twice.
    #[error("must hold one signature under one label")]
    Ambiguous,
    /// `alg` is another one.
    #[error("alg must be hmac-sha256")]
    Algorithm,
    /// Something that must be covered is not.
    #[error("the signature must cover {0}")]
    NotCovered(String),
    /// Covers what the request does not have, or what is not read here.
    #[error(
        "the signature covers a component that the request does not have, or one twice, or one of a kind that is not read here"
    )]
    Component,
    /// `created` is missing or more than a minute away.
    #[error("created must be there and within 60 seconds of now")]
    Created,
    /// `expires` is over.
    #[error("the signature has expired")]
    Expired,
    /// Made for a host that is not ours.
    #[error("the request names a host that is not this one's")]
    Authority,
    /// A change without `Idempotency-Key`.
    #[error("a signed change needs an Idempotency-Key: it is the nonce")]
    NonceRequired,
    /// `keyid` names no key: there is none, it was revoked, or it has expired.
    #[error("keyid names no API key that is in force")]
    KeyUnknown,
    /// The signature is another request's, or made with another key.
    #[error("the signature does not fit the request and the key")]
    Mismatch,
    /// The body's digest is missing or another one.
    #[error("must be the body's sha-256 (RFC 9530)")]
    Digest,
}

impl Fault {
    /// Stable and machine-readable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "SIGNATURE_MALFORMED",
            Self::Ambiguous => "SIGNATURE_AMBIGUOUS",
            Self::Algorithm => "SIGNATURE_ALGORITHM_UNSUPPORTED",
            Self::NotCovered(_) => "SIGNATURE_COMPONENT_MISSING",
            Self::Component => "SIGNATURE_COMPONENT_UNUSABLE",
            Self::Created => "SIGNATURE_NOT_CURRENT",
            Self::Expired => "SIGNATURE_EXPIRED",
            Self::Authority => "SIGNATURE_AUTHORITY_UNKNOWN",
            Self::NonceRequired => "SIGNATURE_NONCE_REQUIRED",
            Self::KeyUnknown => "API_KEY_UNKNOWN",
            Self::Mismatch => "SIGNATURE_INVALID",
            Self::Digest => "CONTENT_DIGEST_INVALID",
        }
    }

    /// The header that it is about.
    pub fn header(&self) -> &'static str {
        match self {
            Self::Malformed(header) => header,
            Self::Mismatch => "Signature",
            Self::Authority => "Host",
            Self::NonceRequired => "Idempotency-Key",
            Self::Digest => "Content-Digest",
            _ => "Signature-Input",
        }
    }
}

/// A signature that was read and covers what it must; not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key it says it was made with.
    pub keyid: String,
    /// What was signed.
    pub base: String,
    /// HMAC-SHA-256 of the base.
    pub mac: [u8; 32],
    created_s: i64,
    expires_s: Option<i64>,
}

impl Signature {
    /// Reads the request's one signature.
    ///
    /// # Errors
    /// What of it breaks a rule.
    pub fn read(request: &Signable<'_>) -> Result<Self, Fault> {
        let input = entry(request.headers, &SIGNATURE_INPUT, "Signature-Input")?;
        let signature = entry(request.headers, &SIGNATURE, "Signature")?;
        let (label, ListEntry::InnerList(covered)) = input else {
            return Err(Fault::Malformed("Signature-Input"));
        };
        let mac = match signature {
            (same, ListEntry::Item(item)) if same == label => match item.bare_item {
                BareItem::ByteSequence(bytes) => bytes.try_into().map_err(|_| Fault::Mismatch)?,
                _ => return Err(Fault::Malformed("Signature")),
            },
            _ => return Err(Fault::Malformed("Signature")),
        };
        let text = |name| match covered.params.get(KeyRef::from_str(name).ok()?) {
            Some(BareItem::String(text)) => Some(text.as_str().to_owned()),
            _ => None,
        };
        let number = |name| match covered.params.get(KeyRef::from_str(name).ok()?) {
            Some(BareItem::Integer(number)) => Some(i64::from(*number)),
            _ => None,
        };
        if has(&covered, "alg") && text("alg").as_deref() != Some("hmac-sha256") {
            return Err(Fault::Algorithm);
        }
        let expires_s = number("expires");
        if has(&covered, "expires") && expires_s.is_none() {
            return Err(Fault::Malformed("Signature-Input"));
        }
        let keyid = text("keyid").ok_or(Fault::KeyUnknown)?;
        let created_s = number("created").ok_or(Fault::Created)?;
        for name in ALWAYS.into_iter().chain(
            WHERE_PRESENT.iter().filter(|name| request.headers.contains_key(*name)).map(HeaderName::as_str),
        ) {
            if !covers(&covered, name) {
                return Err(Fault::NotCovered(name.to_owned()));
            }
        }
        Ok(Self { keyid, base: base(request, &covered)?, mac, created_s, expires_s })
    }

    /// Whether it was made lately enough.
    ///
    /// # Errors
    /// [`Fault::Created`], [`Fault::Expired`].
    pub fn check_time(&self, now_ms: i64) -> Result<(), Fault> {
        if (now_ms / 1_000).saturating_sub(self.created_s).abs() > WINDOW_S {
            return Err(Fault::Created);
        }
        match self.expires_s {
            Some(expires_s) if expires_s <= now_ms / 1_000 => Err(Fault::Expired),
            _ => Ok(()),
        }
    }

    /// Whether this secret made it. In constant time.
    ///
    /// # Errors
    /// [`Fault::Mismatch`].
    pub fn verify(&self, secret: &[u8]) -> Result<(), Fault> {
        verify(secret, &self.base, &self.mac)
    }
}

/// Whether `mac` is the HMAC-SHA-256 of `base` under `secret`. In constant time.
///
/// # Errors
/// [`Fault::Mismatch`].
pub fn verify(secret: &[u8], base: &str, mac: &[u8]) -> Result<(), Fault> {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes(), mac)
        .map_err(|_| Fault::Mismatch)
}

/// The HMAC-SHA-256 of a signature base.
pub(crate) fn mac(secret: &[u8], base: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes())
}

/// The value of `Content-Digest` for a body.
pub fn content_digest(body: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, body);
    let entry = ListEntry::Item(sfv::Item::new(digest.as_ref().to_vec()));
    let dictionary = Dictionary::from([(sfv::key_ref("sha-256").to_owned(), entry)]);
    dictionary.serialize().unwrap_or_default()
}

/// Whether `Content-Digest` is the body's. A body that is not empty must have one; digests by other algorithms beside it
/// are not looked at.
///
/// # Errors
/// [`Fault::Digest`].
pub fn check_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    if !headers.contains_key(CONTENT_DIGEST) {
        return if body.is_empty() { Ok(()) } else { Err(Fault::NotCovered("content-digest".to_owned())) };
    }
    let field = joined(headers, &CONTENT_DIGEST).ok_or(Fault::Digest)?;
    let given: Dictionary = Parser::new(&field).parse().map_err(|_| Fault::Digest)?;
    let Some(ListEntry::Item(item)) = given.get(sfv::key_ref("sha-256")) else { return Err(Fault::Digest) };
    let is = digest::digest(&digest::SHA256, body);
    match &item.bare_item {
        BareItem::ByteSequence(bytes) if bytes.as_slice() == is.as_ref() => Ok(()),
        _ => Err(Fault::Digest),
    }
}

/// The signature base (RFC 9421, 2.5).
pub(crate) fn base(request: &Signable<'_>, covered: &InnerList) -> Result<String, Fault> {
    if covered.items.len() > MOST_COMPONENTS {
        return Err(Fault::Component);
    }
    let mut base = String::with_capacity(512);
    for (place, item) in covered.items.iter().enumerate() {
        let name = match &item.bare_item {
            BareItem::String(name) if item.params.is_empty() => name.as_str(),
            _ => return Err(Fault::Component),
        };
        if covered.items[..place].contains(item) {
            return Err(Fault::Component);
        }
        let value = component(request, name).ok_or(Fault::Component)?;
        // Writing into a String does not fail.
        let _infallible = writeln!(base, "\"{name}\": {value}");
    }
    let params = vec![ListEntry::InnerList(covered.clone())].serialize().ok_or(Fault::Component)?;
    let _infallible = write!(base, "\"@signature-params\": {params}");
    Ok(base)
}

/// The value of a component; `None` where the request has none, or one that we do not read.
fn component(request: &Signable<'_>, name: &str) -> Option<String> {
    let after_authority = || {
        let (_, rest) = request.target_uri.split_once("://")?;
        Some(rest.find(['/', '?']).map_or("/", |at| &rest[at..]))
    };
    match name {
        "@method" => Some(request.method.to_owned()),
        "@authority" => Some(request.authority.to_owned()),
        "@target-uri" => Some(request.target_uri.to_owned()),
        "@scheme" => Some(request.target_uri.split_once("://")?.0.to_owned()),
        "@path" => Some(after_authority()?.split('?').next()?.to_owned()),
        "@query" => Some(format!("?{}", after_authority()?.split_once('?').map_or("", |(_, query)| query))),
        name if name.starts_with('@') || name.bytes().any(|byte| byte.is_ascii_uppercase()) => None,
        name => {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            request.headers.contains_key(&name).then(|| joined(request.headers, &name))?
        }
    }
}

/// All values of a field as one (RFC 9421, 2.1). `None` when one is not ASCII.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Option<Vec<&str>> =
        headers.get_all(name).iter().map(|value| value.to_str().ok().map(str::trim)).collect();
    values.map(|values| values.join(", "))
}

fn has(covered: &InnerList, parameter: &str) -> bool {
    KeyRef::from_str(parameter).is_ok_and(|parameter| covered.params.contains_key(parameter))
}

fn covers(covered: &InnerList, name: &str) -> bool {
    covered.items.iter().any(|item| {
        item.params.is_empty() && matches!(&item.bare_item, BareItem::String(text) if text.as_str() == name)
    })
}

/// The one entry of a dictionary, with its label.
fn entry(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<(sfv::Key, ListEntry), Fault> {
    let malformed = Fault::Malformed(shown);
    let field = joined(headers, name).filter(|field| field.len() <= LONGEST).ok_or(malformed.clone())?;
    let count =
        Parser::new(&field).parse_dictionary_with_visitor(Entries(0)).map_err(|_| malformed.clone())?;
    let entries: Dictionary = Parser::new(&field).parse().map_err(|_| malformed.clone())?;
    match count {
        0 => Err(malformed),
        1 => entries.into_iter().next().ok_or(malformed),
        _ => Err(Fault::Ambiguous),
    }
}

/// Counts the entries of a dictionary, those of one label too, which a dictionary that was read has lost.
struct Entries(usize);

impl<'de> visitor::DictionaryVisitor<'de> for Entries {
    type Out = usize;
    type Error = std::convert::Infallible;

    fn entry(&mut self, _: &'de KeyRef) -> Result<impl visitor::EntryVisitor<'de>, Self::Error> {
        self.0 += 1;
        Ok(visitor::Ignored)
    }

    fn finish(self) -> Result<usize, Self::Error> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use http::HeaderValue;

    use super::*;

    /// RFC 9421, B.2.5: signing a request using hmac-sha256.
    #[test]
    fn the_vector_of_the_rfc_verifies() {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Tue, 20 Apr 2021 02:07:55 GMT"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let request = Signable {
            method: "POST",
            authority: "example.com",
            target_uri: "https://example.com/foo?param=Value&Pet=dog",
            headers: &headers,
        };
        let field = "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
        let mut input: Dictionary = Parser::new(field).parse().unwrap();
        let ListEntry::InnerList(covered) = input.swap_remove(sfv::key_ref("sig-b25")).unwrap() else {
            panic!("an inner list");
        };
        let base = base(&request, &covered).unwrap();
        assert_eq!(
            base,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n\
             \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
        );
        let secret = STANDARD
            .decode(
                "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
            )
            .unwrap();
        let mac = STANDARD.decode("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=").unwrap();
        assert_eq!(verify(&secret, &base, &mac), Ok(()));
        assert_eq!(verify(&secret[1..], &base, &mac), Err(Fault::Mismatch));
    }

    /// RFC 9530, appendix B.1.
    #[test]
    fn the_digest_of_the_rfc_is_ours() {
        let field = content_digest(b"{\"hello\": \"world\"}\n");
        assert_eq!(field, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
        let mut headers = HeaderMap::new();
        assert_eq!(check_digest(&headers, b""), Ok(()));
        assert_eq!(check_digest(&headers, b"x"), Err(Fault::NotCovered("content-digest".to_owned())));
        headers.insert(CONTENT_DIGEST, HeaderValue::try_from(field).unwrap());
        assert_eq!(check_digest(&headers, b"{\"hello\": \"world\"}\n"), Ok(()));
        assert_eq!(check_digest(&headers, b"{\"hello\": \"World\"}\n"), Err(Fault::Digest));
        headers.insert(CONTENT_DIGEST, HeaderValue::from_static("sha-512=:AA==:"));
        assert_eq!(check_digest(&headers, b""), Err(Fault::Digest));
    }
}
