//! A tenant's API key as its program has it, and how that program signs.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use lethe_ids::{ApiKeyId, TenantId};
use sfv::{Dictionary, FieldType, InnerList, Item, ListEntry};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::signature::{
    self, CONTENT_DIGEST, Fault, IDEMPOTENCY_KEY, SIGNATURE, SIGNATURE_INPUT, Signable, content_digest,
};

const PREFIX: &str = "lth_k_";
const LABEL: &sfv::KeyRef = sfv::key_ref("lethe");

/// `lth_k_<tenant>_<key>_<secret>`: tenant and key as 32 hex digits each, 256 random bits as base64url. What comes before
/// the secret is the `keyid` of signatures; the 32 bytes are the HMAC's key.
#[derive(Clone)]
pub struct SigningKey {
    tenant: TenantId,
    id: ApiKeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl SigningKey {
    /// The key of these parts.
    pub fn new(tenant: TenantId, id: ApiKeyId, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { tenant, id, secret }
    }

    /// Reads one; `None` when it is none. One key has one text.
    pub fn parse(text: &str) -> Option<Self> {
        // The secret may hold an underscore of its own.
        let (keyid, secret) = text.split_at_checked(PREFIX.len() + 65)?;
        let (tenant, id) = parse_keyid(keyid)?;
        let secret = secret.strip_prefix('_').filter(|secret| secret.len() == 43)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut()).ok()?;
        (length == 32).then_some(Self { tenant, id, secret: bytes })
    }

    /// The secret's bytes.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Its text, said once.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}_{}", self.keyid(), URL_SAFE_NO_PAD.encode(*self.secret)))
    }

    /// What signatures name it by: `lth_k_<tenant>_<key>`.
    pub fn keyid(&self) -> String {
        keyid(self.tenant, self.id)
    }

    /// Signs a request: adds `Content-Digest` where it has a body, `Signature-Input` and `Signature`. All other fields,
    /// `Idempotency-Key` and `If-Match` among them, must be there before.
    ///
    /// # Errors
    /// [`Fault::Component`] when a field cannot be signed.
    pub fn sign(
        &self,
        (method, authority, target_uri): (&str, &str, &str),
        headers: &mut HeaderMap,
        body: &[u8],
        created_s: i64,
    ) -> Result<(), Fault> {
        let put = |headers: &mut HeaderMap, name, text: Option<String>| {
            let value = text.and_then(|text| HeaderValue::try_from(text).ok()).ok_or(Fault::Component)?;
            headers.insert(name, value);
            Ok(())
        };
        let mut components = vec!["@method", "@authority", "@target-uri"];
        if !body.is_empty() {
            put(headers, CONTENT_DIGEST, Some(content_digest(body)))?;
            components.push("content-digest");
        }
        for name in [IDEMPOTENCY_KEY, http::header::IF_MATCH] {
            if headers.contains_key(&name) {
                components.push(if name == IDEMPOTENCY_KEY { "idempotency-key" } else { "if-match" });
            }
        }
        let text = |text: &str| sfv::String::from_string(text.to_owned()).map_err(|_| Fault::Component);
        let items: Result<Vec<Item>, Fault> =
            components.into_iter().map(|name| text(name).map(Item::new)).collect();
        let mut covered = InnerList::new(items?);
        let created = sfv::Integer::try_from(created_s).map_err(|_| Fault::Component)?;
        covered.params.insert(sfv::key_ref("created").to_owned(), created.into());
        covered.params.insert(sfv::key_ref("keyid").to_owned(), text(&self.keyid())?.into());
        covered.params.insert(sfv::key_ref("alg").to_owned(), text("hmac-sha256")?.into());
        let base = signature::base(&Signable { method, authority, target_uri, headers }, &covered)?;
        let mac: hmac::Tag = signature::mac(&*self.secret, &base);
        let one = |entry: ListEntry| Dictionary::from([(LABEL.to_owned(), entry)]).serialize();
        put(headers, SIGNATURE_INPUT, one(ListEntry::InnerList(covered)))?;
        put(headers, SIGNATURE, one(ListEntry::Item(Item::new(mac.as_ref().to_vec()))))
    }
}

/// What signatures name a key by: `lth_k_<tenant>_<key>`.
pub fn keyid(tenant: TenantId, id: ApiKeyId) -> String {
    format!("{PREFIX}{}_{}", tenant.uuid().simple(), id.uuid().simple())
}

/// Whose key, and which; `None` when the text names none.
pub fn parse_keyid(text: &str) -> Option<(TenantId, ApiKeyId)> {
    let (tenant, id) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let uuid = |hex: &str| {
        let fits = hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Uuid::try_parse(hex).ok())?
    };
    Some((TenantId::new(uuid(tenant)?), ApiKeyId::new(uuid(id)?)))
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header::IF_MATCH;

    use super::*;
    use crate::signature::Signature;

    const NOW_S: i64 = 1_795_000_000;

    fn key() -> SigningKey {
        let id = |n: u128| Uuid::from_u128(0x0199_aabb_ccdd_7eef_8123_4567_89ab_0000 + n);
        SigningKey::new(TenantId::new(id(1)), ApiKeyId::new(id(2)), Zeroizing::new([0xfb; 32]))
    }

    const URI: &str = "https://api.example.com/v1/contacts?limit=1";

    fn signed(body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("k-1"));
        headers.insert(IF_MATCH, HeaderValue::from_static("\"3\""));
        key().sign(("POST", "api.example.com", URI), &mut headers, body, NOW_S).unwrap();
        headers
    }

    fn read(headers: &HeaderMap) -> Result<Signature, Fault> {
        Signature::read(&Signable { method: "POST", authority: "api.example.com", target_uri: URI, headers })
    }

    #[test]
    fn a_key_has_one_text() {
        let text = key().reveal();
        assert_eq!(SigningKey::parse(&text).unwrap().secret(), key().secret());
        assert_eq!(parse_keyid(&key().keyid()), Some((key().tenant, key().id)));
        for wrong in
            [&text[1..], &text[..text.len() - 1], &text.to_uppercase(), &format!("{}_", *text), "lth_k_"]
        {
            assert!(SigningKey::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(parse_keyid(&text), None);
        assert!(!format!("{:?}", key()).contains("-_"), "a secret is never printed");
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else() {
        let headers = signed(b"{}");
        let signature = read(&headers).unwrap();
        assert_eq!(signature.keyid, key().keyid());
        assert_eq!(signature.verify(key().secret()), Ok(()));
        assert_eq!(signature.verify(&[0; 32]), Err(Fault::Mismatch));
        assert_eq!(signature::check_digest(&headers, b"{}"), Ok(()));
        assert_eq!(signature::check_digest(&headers, b"{ }"), Err(Fault::Digest));
        let other = |method, authority, target_uri, headers: &HeaderMap| {
            Signature::read(&Signable { method, authority, target_uri, headers })
                .unwrap()
                .verify(key().secret())
        };
        assert_eq!(other("POST", "api.example.com", URI, &headers), Ok(()));
        for (method, authority, uri) in [
            ("PUT", "api.example.com", URI),
            ("POST", "evil.example.com", URI),
            ("POST", "api.example.com", "https://api.example.com/v1/contacts?limit=2"),
            ("POST", "api.example.com", "http://api.example.com/v1/contacts?limit=1"),
        ] {
            assert_eq!(
                other(method, authority, uri, &headers),
                Err(Fault::Mismatch),
                "{method} {authority} {uri}"
            );
        }
        for (name, value) in
            [("idempotency-key", "k-2"), ("if-match", "\"4\""), ("content-digest", "sha-256=:AA==:")]
        {
            let mut changed = headers.clone();
            changed.insert(name, HeaderValue::from_static(value));
            assert_eq!(read(&changed).unwrap().verify(key().secret()), Err(Fault::Mismatch), "{name}");
        }
        let mut twice = headers.clone();
        twice.append("if-match", HeaderValue::from_static("\"3\""));
        assert_eq!(read(&twice).unwrap().verify(key().secret()), Err(Fault::Mismatch));
    }

    #[test]
    fn it_is_good_for_a_minute_either_way() {
        let signature = read(&signed(b"")).unwrap();
        for (at, wanted) in
            [(0, Ok(())), (60, Ok(())), (-60, Ok(())), (61, Err(Fault::Created)), (-61, Err(Fault::Created))]
        {
            assert_eq!(signature.check_time((NOW_S + at) * 1_000), wanted, "{at}");
        }
    }

    #[test]
    fn each_broken_rule_has_its_fault() {
        let with = |change: &dyn Fn(&str) -> String| {
            let mut headers = signed(b"{}");
            let input = headers[SIGNATURE_INPUT].to_str().unwrap().to_owned();
            headers.insert(SIGNATURE_INPUT, HeaderValue::try_from(change(&input)).unwrap());
            read(&headers).and_then(|signature| signature.check_time(NOW_S * 1_000)).unwrap_err()
        };
        let without =
            |name: &str| with(&|input| input.replace(&format!("\"{name}\""), "").replace("  ", " "));
        for name in ["@method", "@authority", "@target-uri", "content-digest", "idempotency-key", "if-match"]
        {
            assert_eq!(without(name), Fault::NotCovered(name.to_owned()));
        }
        assert_eq!(with(&|input| input.replace("hmac-sha256", "rsa-pss-sha512")), Fault::Algorithm);
        assert_eq!(with(&|input| input.replace("created=", "made=")), Fault::Created);
        assert_eq!(with(&|input| input.replace("keyid=", "key=")), Fault::KeyUnknown);
        assert_eq!(with(&|input| format!("{input};expires={NOW_S}")), Fault::Expired);
        assert_eq!(with(&|input| format!("{input};expires=\"soon\"")), Fault::Malformed("Signature-Input"));
        assert_eq!(with(&|input| format!("{input}, {input}")), Fault::Ambiguous);
        assert_eq!(with(&|input| format!("{input}, other=()")), Fault::Ambiguous);
        assert_eq!(with(&|input| input.replacen("lethe", "other", 1)), Fault::Malformed("Signature"));
        assert_eq!(with(&|_| "lethe=1".to_owned()), Fault::Malformed("Signature-Input"));
        assert_eq!(with(&|_| "(".to_owned()), Fault::Malformed("Signature-Input"));
        assert_eq!(with(&|input| input.replacen('(', "(\"x-none\" ", 1)), Fault::Component);
        assert_eq!(with(&|input| input.replacen('(', "(\"@method\" ", 1)), Fault::Component);
        assert_eq!(with(&|input| input.replacen('(', "(\"@status\" ", 1)), Fault::Component);
        assert_eq!(
            with(&|input| input.replace("\"@method\"", "\"@method\";req")),
            Fault::NotCovered("@method".to_owned())
        );
        let mut headers = signed(b"{}");
        headers.append(SIGNATURE, headers[SIGNATURE].clone());
        assert_eq!(read(&headers), Err(Fault::Ambiguous));
        headers.remove(SIGNATURE);
        assert_eq!(read(&headers), Err(Fault::Malformed("Signature")));
    }
}
