//! Sessions: the token that stands for one, and when it ends.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_ambient::{Entropy, Sensitive};
use lethe_ids::TenantId;
use time::OffsetDateTime;
use uuid::Uuid;

const PREFIX: &str = "lth_s_";

/// `lth_s_<tenant>_<secret>`: the tenant as 32 hex digits, 256 random bits as base64url. Whoever has it is the member.
pub struct Token {
    tenant: TenantId,
    secret: Sensitive<[u8; 32]>,
}

impl Token {
    /// A new one.
    pub fn new(tenant: TenantId, entropy: &Entropy) -> Self {
        Self { tenant, secret: entropy.bytes().into() }
    }

    /// Reads one; `None` when it is none. One token has one text.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (tenant, secret) = rest.split_at_checked(32)?;
        let secret = secret.strip_prefix('_')?;
        if secret.len() != 43 || tenant.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let tenant = TenantId::new(Uuid::try_parse(tenant).ok()?);
        let mut bytes = [0; 32];
        let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes).ok()?;
        (length == 32).then(|| Self { tenant, secret: bytes.into() })
    }

    /// Whose tenant it opens.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What is kept of it: SHA-256 of the secret. A hash without salt is enough for 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.secret.expose()).as_ref());
        hash
    }

    /// Its text, said once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.tenant.uuid().simple(), URL_SAFE_NO_PAD.encode(self.secret.expose()))
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Without being used.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

impl Lifetimes {
    /// When a session ends that was last seen then and can live until `expires_at` at the most.
    pub fn end(&self, last_seen_at: OffsetDateTime, expires_at: OffsetDateTime) -> OffsetDateTime {
        expires_at.min(last_seen_at + self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_one_text() {
        let entropy = Entropy::seeded(5);
        let tenant = TenantId::new(entropy.uuid4());
        let token = Token::new(tenant, &entropy);
        let text = token.reveal();
        assert_eq!(text.len(), 6 + 32 + 1 + 43);
        let again = Token::parse(&text).unwrap();
        assert_eq!((again.tenant(), again.hash()), (tenant, token.hash()));
        assert_eq!(again.secret.expose().len() * 8, 256);
        assert_ne!(Token::new(tenant, &entropy).hash(), token.hash());
        // base64url of 32 bytes has two bits to spare: only one spelling counts.
        let last = text.chars().last().unwrap();
        let spellings = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        let others = spellings.filter(|c| *c != last).filter(|c| {
            Token::parse(&format!("{}{c}", &text[..text.len() - 1])).is_some_and(|t| t.hash() == token.hash())
        });
        assert_eq!(others.count(), 0);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = Token::new(TenantId::new(Uuid::from_u128(1)), &Entropy::seeded(1)).reveal();
        for bad in [
            String::new(),
            good[1..].to_owned(),
            format!("{good}A"),
            good[..good.len() - 1].to_owned(),
            good.replacen("lth_s_0", "lth_s_G", 1),
            good.replacen("lth_s_", "lth_k_", 1),
            format!("lth_s_{}", "ä".repeat(60)),
        ] {
            assert!(Token::parse(&bad).is_none(), "{bad}");
        }
        assert!(Token::parse(&good).is_some());
    }

    #[test]
    fn a_session_ends_idle_or_at_its_age() {
        let life = Lifetimes { idle: Duration::from_secs(10), absolute: Duration::from_secs(100) };
        let start = OffsetDateTime::UNIX_EPOCH;
        let expires = start + life.absolute;
        assert_eq!(life.end(start, expires), start + Duration::from_secs(10));
        assert_eq!(life.end(start + Duration::from_secs(95), expires), expires);
    }
}
