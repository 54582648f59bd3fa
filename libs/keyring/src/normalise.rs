//! One text for one address, so that a blind index finds it however it was written. A change of these rules is a new
//! [`NORMALISER_VERSION`]: what was indexed under the old one must still be found.

use std::str::FromStr;

use email_address::EmailAddress;
use phonenumber::Mode;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Loads the numbering plans of all countries, which the first number that is parsed would wait for: some tenths of a
/// second, seconds in a development build. Blocks.
pub fn load_plans() {
    // Whether it is a number does not matter.
    let _loaded = phonenumber::parse(None, "+493012345678");
}

/// The version of the rules below.
pub const NORMALISER_VERSION: u16 = 1;

/// Longest text that is looked at, in bytes.
const LONGEST: usize = 320;

/// A text that is no such address. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// No telephone number in international form.
    #[error("is not a telephone number in international form, such as +49 30 901820")]
    Phone,
    /// No e-mail address.
    #[error("is not an e-mail address")]
    Email,
}

/// A telephone number in E.164 (`+4930901820`). It must be in international form, unless `region` (ISO 3166, `DE`)
/// says where a national one is meant.
///
/// # Errors
/// [`NotAnAddress::Phone`].
pub fn phone(text: &str, region: Option<&str>) -> Result<String, NotAnAddress> {
    let text = folded(text).ok_or(NotAnAddress::Phone)?;
    let mut number = Zeroizing::new(String::with_capacity(text.len()));
    number.extend(text.chars().filter(|c| !is_invisible(*c)));
    // 00 is the international prefix nearly everywhere, and no E.164 number begins with it.
    if let Some(rest) = number.strip_prefix("00") {
        *number = format!("+{rest}");
    }
    let international = number.starts_with('+');
    if !international && region.is_none() {
        return Err(NotAnAddress::Phone);
    }
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/');
    if !number.chars().all(allowed) {
        return Err(NotAnAddress::Phone);
    }
    let region = match region {
        Some(region) if !international => {
            Some(phonenumber::country::Id::from_str(region).map_err(|_| NotAnAddress::Phone)?)
        }
        _ => None,
    };
    let parsed = phonenumber::parse(region, number.as_str()).map_err(|_| NotAnAddress::Phone)?;
    if parsed.extension().is_some() || parsed.country().code() == 0 {
        return Err(NotAnAddress::Phone);
    }
    let text = parsed.format().mode(Mode::E164).to_string();
    // `+49 000 301820` loses a zero each time that it is read: it would be found under none of its texts.
    let again = phonenumber::parse(None, &text).map_err(|_| NotAnAddress::Phone)?;
    if again.format().mode(Mode::E164).to_string() == text { Ok(text) } else { Err(NotAnAddress::Phone) }
}

/// An e-mail address: NFKC, trimmed, lower case. The domain is written as DNS has it (`xn--…`).
///
/// # Errors
/// [`NotAnAddress::Email`].
pub fn email(text: &str) -> Result<String, NotAnAddress> {
    let text = folded(text).ok_or(NotAnAddress::Email)?;
    // Once more NFKC: some letters with marks, such as ẖ, are one character only when they are small.
    let lower: Zeroizing<String> = Zeroizing::new(text.to_lowercase().nfkc().collect());
    let (local, domain) = lower.rsplit_once('@').ok_or(NotAnAddress::Email)?;
    if local.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c)) {
        return Err(NotAnAddress::Email);
    }
    let url::Host::Domain(domain) = url::Host::parse(domain).map_err(|_| NotAnAddress::Email)? else {
        return Err(NotAnAddress::Email);
    };
    let domain = domain.strip_suffix('.').unwrap_or(&domain);
    let address = format!("{local}@{domain}");
    if EmailAddress::is_valid(&address) { Ok(address) } else { Err(NotAnAddress::Email) }
}

/// NFKC and trimmed; `None` when empty or too long.
fn folded(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > LONGEST {
        return None;
    }
    let text: Zeroizing<String> = Zeroizing::new(text.nfkc().collect());
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    if trimmed.is_empty() { None } else { Some(Zeroizing::new(trimmed.to_owned())) }
}

/// Marks that are pasted along with numbers and addresses from chats: direction marks, joiners, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_text() {
        for text in [
            "+4930901820",
            "+49 30 901820",
            "+49 (0)30 90 18 20",
            " 0049 30 90-1820 ",
            "＋４９ ３０ ９０１８２０",
            "\u{202a}+49 30 901820\u{202c}",
        ] {
            assert_eq!(phone(text, None).as_deref(), Ok("+4930901820"), "{text}");
        }
        assert_eq!(phone("030 901820", Some("DE")).as_deref(), Ok("+4930901820"));
        assert_eq!(phone("+49 30 901820", Some("US")).as_deref(), Ok("+4930901820"));
        assert_eq!(phone("+1 202-555-0143", None).as_deref(), Ok("+12025550143"));
        assert_eq!(phone("+91 98765 43210", None).as_deref(), Ok("+919876543210"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            " ",
            "030 901820",
            "+",
            "+49",
            "+49 30 CALLME",
            "+999 1234567",
            "hello",
            "+49 30 901820 ext 7",
            "+49 000 301820",
        ] {
            assert_eq!(phone(text, None), Err(NotAnAddress::Phone), "{text}");
        }
        assert_eq!(phone("030 901820", Some("XX")), Err(NotAnAddress::Phone));
        assert_eq!(phone(&"1".repeat(1000), Some("DE")), Err(NotAnAddress::Phone));
    }

    #[test]
    fn one_mailbox_has_one_text() {
        for (text, wanted) in [
            ("Ada@Example.ORG", "ada@example.org"),
            (" ada@example.org\n", "ada@example.org"),
            ("ａｄａ＠example.org", "ada@example.org"),
            ("ada@müller.example", "ada@xn--mller-kva.example"),
            ("ada@XN--MLLER-KVA.example", "ada@xn--mller-kva.example"),
            ("Jose\u{301}@example.org", "josé@example.org"),
            ("H\u{331}@example.org", "\u{1e96}@example.org"),
            ("\u{1e96}@example.org", "\u{1e96}@example.org"),
        ] {
            assert_eq!(email(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in
            ["", "ada", "@example.org", "ada@", "a b@example.org", "ada@exa mple.org", "ada@[127.0.0.1]"]
        {
            assert_eq!(email(text), Err(NotAnAddress::Email), "{text}");
        }
    }
}
