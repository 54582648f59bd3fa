//! Tenants: the slug that log-in names, and the settings.

use std::collections::BTreeMap;

use super::{Invalid, line, text};

/// Most settings a tenant can have.
pub const MOST_SETTINGS: usize = 64;
const LONGEST_KEY: usize = 64;
const LONGEST_VALUE: usize = 1_024;
const LONGEST_NAME: usize = 200;
const LONGEST_CODE: usize = 64;

/// What a tenant is called at log-in: 3 to 40 of `[a-z0-9-]`, no hyphen at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

impl Slug {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none; names `field`.
    pub fn parse(field: &'static str, slug: &str) -> Result<Self, Invalid> {
        let fits = (3..=40).contains(&slug.len())
            && slug.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !slug.starts_with('-')
            && !slug.ends_with('-');
        if fits {
            Ok(Self(slug.to_owned()))
        } else {
            Err(Invalid::new(field, "must be 3 to 40 of a-z, 0-9 and hyphens, with no hyphen at its ends"))
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a tenant says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The business's name.
    pub name: String,
    /// A code of the operator's price list.
    pub plan: String,
    /// Where its data is.
    pub region: String,
}

impl Details {
    /// Checks a new tenant's.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn new(name: &str, plan: &str, region: &str) -> Result<Self, Invalid> {
        Ok(Self {
            name: text("name", name, LONGEST_NAME)?,
            plan: line("plan", plan, LONGEST_CODE)?,
            region: line("region", region, LONGEST_CODE)?,
        })
    }
}

/// A code of the operator's price list: 1 to 64 of a-z, 0-9, _ and -.
///
/// # Errors
/// Names `field`.
pub fn plan(field: &'static str, plan: &str) -> Result<String, Invalid> {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if (1..=LONGEST_CODE).contains(&plan.len()) && plan.bytes().all(fits) {
        Ok(plan.to_owned())
    } else {
        Err(Invalid::new(field, "must be 1 to 64 of a-z, 0-9, _ and -"))
    }
}

/// A change of a tenant; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    name: Option<String>,
    region: Option<String>,
    settings: BTreeMap<String, String>,
}

impl Change {
    /// Checks one.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn new(
        name: Option<&str>,
        region: Option<&str>,
        settings: &BTreeMap<String, String>,
    ) -> Result<Self, Invalid> {
        for (key, value) in settings {
            let fits = (1..=LONGEST_KEY).contains(&key.len())
                && key.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
            if !fits {
                return Err(Invalid::new("settings", "has a key that is not 1 to 64 of a-z, 0-9, _ . and -"));
            }
            line("settings", value, LONGEST_VALUE)?;
        }
        Ok(Self {
            name: name.map(|name| text("name", name, LONGEST_NAME)).transpose()?,
            region: region.map(|region| line("region", region, LONGEST_CODE)).transpose()?,
            settings: settings.iter().map(|(key, value)| (key.clone(), value.trim().to_owned())).collect(),
        })
    }

    /// The tenant as it is after the change: an empty value removes its key.
    ///
    /// # Errors
    /// When there would be too many settings.
    pub fn apply(
        self,
        details: &mut Details,
        settings: &mut BTreeMap<String, String>,
    ) -> Result<(), Invalid> {
        for (key, value) in self.settings {
            if value.is_empty() {
                settings.remove(&key);
            } else {
                settings.insert(key, value);
            }
        }
        if settings.len() > MOST_SETTINGS {
            return Err(Invalid::new("settings", "would be more than 64"));
        }
        if let Some(name) = self.name {
            details.name = name;
        }
        if let Some(region) = self.region {
            details.region = region;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_three_to_forty_of_few_characters() {
        for good in ["abc", "a-b", "x1y", &"a".repeat(40)] {
            assert_eq!(Slug::parse("slug", good).unwrap().as_str(), good);
        }
        for bad in ["ab", "", "-ab", "ab-", "Abc", "a_b", "a b", "äbc", &"a".repeat(41)] {
            assert!(Slug::parse("slug", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_sets_removes_and_counts() {
        let mut details = Details::new(" Acme ", "free", "eu").unwrap();
        assert_eq!(details.name, "Acme");
        let mut settings =
            BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let given = BTreeMap::from([("a".to_owned(), String::new()), ("c".to_owned(), "3".to_owned())]);
        Change::new(None, Some("us"), &given).unwrap().apply(&mut details, &mut settings).unwrap();
        assert_eq!(details.region, "us");
        assert_eq!(settings.keys().collect::<Vec<_>>(), ["b", "c"]);
        let many: BTreeMap<_, _> = (0..62).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        Change::new(None, None, &many).unwrap().apply(&mut details, &mut settings).unwrap();
        assert_eq!(settings.len(), 64);
        let one = BTreeMap::from([("z".to_owned(), "v".to_owned())]);
        assert!(Change::new(None, None, &one).unwrap().apply(&mut details, &mut settings).is_err());
        assert!(Change::new(None, None, &BTreeMap::from([("A".to_owned(), "v".to_owned())])).is_err());
        assert!(Change::new(Some(" "), None, &BTreeMap::new()).is_err());
    }
}
