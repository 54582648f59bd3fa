//! Members: their profile, which is sealed wherever it is kept, and their roles.

use lethe_access::{ROLES, Role};
use lethe_ambient::Sensitive;
use lethe_keyring::normalise;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Invalid, text};

const LONGEST_NAME: usize = 200;

/// Name, e-mail address and phone of a member.
#[derive(Clone)]
pub struct Profile {
    name: Sensitive<String>,
    email: Sensitive<String>,
    phone: Sensitive<String>,
}

/// A profile as it is sealed. Private, and without `Debug`.
#[derive(Serialize, Deserialize)]
struct Sealed {
    name: String,
    email: String,
    #[serde(default)]
    phone: String,
}

impl Profile {
    /// Checks a profile; `fields` are the names of name, e-mail and phone in the request. The address is kept as it
    /// was given, the phone as E.164 or empty.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn new(fields: [&'static str; 3], name: &str, email: &str, phone: &str) -> Result<Self, Invalid> {
        let name = text(fields[0], name, LONGEST_NAME)?;
        let email = email.trim();
        normalise::email(email).map_err(|_| Invalid::new(fields[1], "is not an e-mail address"))?;
        let phone = match phone.trim() {
            "" => String::new(),
            phone => normalise::phone(phone, None)
                .map_err(|_| Invalid::new(fields[2], "is not a phone number in international form"))?,
        };
        Ok(Self { name: name.into(), email: email.to_owned().into(), phone: phone.into() })
    }

    /// The profile with the parts that are given.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn changed(
        &self,
        name: Option<&str>,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Result<Self, Invalid> {
        Self::new(
            ["name", "email", "phone"],
            name.unwrap_or(self.name()),
            email.unwrap_or(self.email()),
            phone.unwrap_or(self.phone()),
        )
    }

    /// Of a member of whom nothing is left.
    pub fn erased() -> Self {
        let nothing = || String::new().into();
        Self { name: nothing(), email: nothing(), phone: nothing() }
    }

    /// Without the name but `first_name`, which must be a part of it: whole words, and not all of them.
    ///
    /// # Errors
    /// Names `field`.
    pub fn without_name(&self, field: &'static str, first_name: &str) -> Result<Self, Invalid> {
        let had: Vec<&str> = self.name().split_whitespace().collect();
        let kept: Vec<&str> = first_name.split_whitespace().collect();
        let is_part = kept.len() < had.len() && had.windows(kept.len().max(1)).any(|words| words == kept);
        if !kept.is_empty() && !is_part {
            return Err(Invalid::new(field, "must be a part of the name, or empty"));
        }
        Ok(Self { name: kept.join(" ").into(), ..self.clone() })
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.name.expose()
    }

    /// The address as it was given.
    pub fn email(&self) -> &str {
        self.email.expose()
    }

    /// The address as the blind index has it.
    pub fn normalised_email(&self) -> Sensitive<String> {
        normalise::email(self.email()).unwrap_or_default().into()
    }

    /// E.164, or empty.
    pub fn phone(&self) -> &str {
        self.phone.expose()
    }

    /// For sealing.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let sealed = Sealed {
            name: self.name().to_owned(),
            email: self.email().to_owned(),
            phone: self.phone().to_owned(),
        };
        Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default())
    }

    /// From what was sealed; `None` when it is no profile.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
        Some(Self { name: sealed.name.into(), email: sealed.email.into(), phone: sealed.phone.into() })
    }
}

/// The roles that a member was given, each once, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Reads the numbers of a request.
    ///
    /// # Errors
    /// When one is no role.
    pub fn parse(numbers: &[i32]) -> Result<Self, Invalid> {
        let mut roles = Self::default();
        for number in numbers {
            roles = roles.with(role("roles", *number)?);
        }
        Ok(roles)
    }

    /// What the database has. A number that this version does not know gives nothing.
    pub fn from_numbers(numbers: &[i16]) -> Self {
        Self(ROLES.into_iter().filter(|role| numbers.contains(&(*role as i16))).collect())
    }

    /// For the database.
    pub fn numbers(&self) -> Vec<i16> {
        self.0.iter().map(|role| *role as i16).collect()
    }

    /// Whether he has it.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// These and one more.
    #[must_use]
    pub fn with(&self, role: Role) -> Self {
        Self(ROLES.into_iter().filter(|r| *r == role || self.has(*r)).collect())
    }

    /// These without one.
    #[must_use]
    pub fn without(&self, role: Role) -> Self {
        Self(self.0.iter().copied().filter(|r| *r != role).collect())
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Role] {
        &self.0
    }
}

/// A role's name in the audit log: `privacy_officer`.
pub fn word(role: Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_lowercase()
}

/// The role of this number.
///
/// # Errors
/// When it is none.
pub fn role(field: &'static str, number: i32) -> Result<Role, Invalid> {
    Role::try_from(number)
        .ok()
        .filter(|role| ROLES.contains(role))
        .ok_or_else(|| Invalid::new(field, "is not a role"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_a_set() {
        let roles = Roles::parse(&[3, 1, 3]).unwrap();
        assert_eq!(roles.numbers(), [1, 3]);
        assert_eq!(roles.with(Role::Admin).numbers(), [1, 2, 3]);
        assert_eq!(roles.without(Role::Owner).numbers(), [3]);
        assert_eq!(Roles::from_numbers(&[9, 3, 1, 0]), roles);
        for wrong in [0, 6, -1] {
            assert!(Roles::parse(&[wrong]).is_err());
        }
    }

    #[test]
    fn of_a_name_a_part_may_stay_and_never_all_of_it() {
        let profile = Profile::new(["n", "e", "p"], "Ada King Lovelace", "ada@example.com", "").unwrap();
        for part in ["Ada", "King Lovelace", " Ada  King ", ""] {
            let kept = profile.without_name("first_name", part).unwrap();
            assert_eq!(kept.name(), part.split_whitespace().collect::<Vec<_>>().join(" "));
            assert_eq!(kept.email(), "ada@example.com");
        }
        for wrong in ["Ada King Lovelace", "Ad", "Eve", "Ada Lovelace"] {
            assert_eq!(profile.without_name("first_name", wrong).err().unwrap().field, "first_name");
        }
        let one = Profile::new(["n", "e", "p"], "Ada", "ada@example.com", "").unwrap();
        assert!(one.without_name("first_name", "Ada").is_err(), "her only name is her full name");
    }

    #[test]
    fn a_profile_survives_sealing_and_refuses_what_is_none() {
        let fields = ["name", "email", "phone"];
        let profile = Profile::new(fields, " Zoë ", "Zoe@Example.com", "+49 30 901820").unwrap();
        let again = Profile::from_bytes(&profile.to_bytes()).unwrap();
        assert_eq!((again.name(), again.email(), again.phone()), ("Zoë", "Zoe@Example.com", "+4930901820"));
        assert_eq!(again.normalised_email().expose(), "zoe@example.com");
        let field = |name: &str, email: &str, phone: &str| {
            Profile::new(fields, name, email, phone).err().unwrap().field
        };
        assert_eq!(field("", "a@example.com", ""), "name");
        assert_eq!(field("A\u{7}", "a@example.com", ""), "name");
        assert_eq!(field(&"x".repeat(201), "a@example.com", ""), "name");
        assert_eq!(field("A", "nobody", ""), "email");
        assert_eq!(field("A", "a@example.com", "12"), "phone");
        assert_eq!(profile.changed(Some("Zoe"), None, Some("")).unwrap().phone(), "");
        assert!(Profile::from_bytes(b"{}").is_none());
    }
}
