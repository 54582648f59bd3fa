//! What a tenant knows of a contact: checked, normalised, and never to be printed. It is sealed as one blob, the
//! protobuf encoding of `lethe.messaging.v1.Profile`.

mod encoded;
mod united;

use std::collections::BTreeMap;

use lethe_ids::LabelId;
use lethe_keyring::{AddressKind, normalise};
use lethe_proto::messaging::{self as proto, UpdateContactRequest};

use self::united::Email;
use super::{
    Invalid,
    label::label_ids,
    text::{Lines, line},
};

/// Most characters of name, company, address and e-mail address.
pub(crate) const MOST_CHARACTERS: usize = 200;
/// Most tags.
pub(crate) const MOST_TAGS: usize = 50;
/// Most characters of a tag.
pub(crate) const MOST_TAG_CHARACTERS: usize = 64;
/// Most custom fields.
pub(crate) const MOST_FIELDS: usize = 50;
/// Most characters of a custom field's key.
pub(crate) const MOST_KEY_CHARACTERS: usize = 64;
/// Most characters of a custom field's value.
pub(crate) const MOST_VALUE_CHARACTERS: usize = 1024;
/// Most characters of a lifecycle stage.
pub(crate) const MOST_STAGE_CHARACTERS: usize = 32;
/// Most further phone numbers, and as many e-mail addresses.
pub(crate) const MOST_OTHERS: usize = 20;
/// The best lead score.
pub(crate) const BEST_SCORE: u32 = 100;

/// A profile that fits. No `Debug`: it is personal data from end to end. Wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    name: String,
    /// E.164, or empty.
    phone: String,
    /// As it was written; `email_index` is what it is found by.
    email: String,
    email_index: String,
    company: String,
    address: String,
    tags: Vec<String>,
    custom_fields: BTreeMap<String, String>,
    label_ids: Vec<LabelId>,
    lifecycle_stage: String,
    lead_score: Option<u32>,
    /// Without `phone`.
    other_phones: Vec<String>,
    /// Without `email`.
    other_emails: Vec<Email>,
}

/// An address that a contact can be found by, normalised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// E.164.
    Phone(&'a str),
    /// An e-mail address.
    Email(&'a str),
}

impl<'a> Address<'a> {
    /// As the keyring takes it.
    pub(crate) fn kind_and_text(&self) -> (AddressKind, &'a str) {
        match self {
            Self::Phone(text) => (AddressKind::Phone, text),
            Self::Email(text) => (AddressKind::Email, text),
        }
    }
}

impl Profile {
    /// Checks a new contact's profile.
    ///
    /// # Errors
    /// [`Invalid`] at the first field that does not fit, as `profile.<field>`.
    pub(crate) fn new(given: proto::Profile) -> Result<Self, Invalid> {
        let mut profile = Self::default();
        profile.set_name(&given.name, "profile.name")?;
        profile.set_phone(&given.phone, "profile.phone")?;
        profile.set_email(&given.email, "profile.email")?;
        profile.set_company(&given.company, "profile.company")?;
        profile.set_address(&given.address, "profile.address")?;
        profile.set_tags(&given.tags, "profile.tags")?;
        profile.set_custom_fields(&given.custom_fields, "profile.custom_fields")?;
        profile.label_ids = label_ids("profile.label_ids", &given.label_ids)?;
        profile.set_stage(&given.lifecycle_stage, "profile.lifecycle_stage")?;
        profile.set_score(given.lead_score, "profile.lead_score")?;
        profile.set_other_phones(&given.other_phones, "profile.other_phones")?;
        profile.set_other_emails(&given.other_emails, "profile.other_emails")?;
        profile.drop_twins();
        Ok(profile)
    }

    /// The profile after a rectification: absent fields stay, empty ones are cleared.
    ///
    /// # Errors
    /// [`Invalid`] at the first field that does not fit.
    pub(crate) fn rectified(&self, change: &UpdateContactRequest) -> Result<Self, Invalid> {
        let mut profile = self.clone();
        if let Some(name) = &change.name {
            profile.set_name(name, "name")?;
        }
        if let Some(phone) = &change.phone {
            profile.set_phone(phone, "phone")?;
        }
        if let Some(email) = &change.email {
            profile.set_email(email, "email")?;
        }
        if let Some(company) = &change.company {
            profile.set_company(company, "company")?;
        }
        if let Some(address) = &change.address {
            profile.set_address(address, "address")?;
        }
        if let Some(tags) = &change.tags {
            profile.set_tags(&tags.values, "tags.values")?;
        }
        profile.set_custom_fields(&change.custom_fields, "custom_fields")?;
        if let Some(labels) = &change.label_ids {
            profile.label_ids = label_ids("label_ids", &labels.values)?;
        }
        if let Some(stage) = &change.lifecycle_stage {
            profile.set_stage(stage, "lifecycle_stage")?;
        }
        if let Some(score) = &change.lead_score {
            profile.set_score(score.value, "lead_score")?;
        }
        if let Some(phones) = &change.other_phones {
            profile.set_other_phones(&phones.values, "other_phones.values")?;
        }
        if let Some(emails) = &change.other_emails {
            profile.set_other_emails(&emails.values, "other_emails.values")?;
        }
        profile.drop_twins();
        Ok(profile)
    }

    fn set_name(&mut self, text: &str, field: &str) -> Result<(), Invalid> {
        self.name = line(field, text, MOST_CHARACTERS, Lines::One)?;
        Ok(())
    }

    fn set_company(&mut self, text: &str, field: &str) -> Result<(), Invalid> {
        self.company = line(field, text, MOST_CHARACTERS, Lines::One)?;
        Ok(())
    }

    fn set_address(&mut self, text: &str, field: &str) -> Result<(), Invalid> {
        self.address = line(field, text, MOST_CHARACTERS, Lines::Many)?;
        Ok(())
    }

    fn set_phone(&mut self, text: &str, field: &str) -> Result<(), Invalid> {
        self.phone = if text.trim().is_empty() {
            String::new()
        } else {
            normalise::phone(text, None).map_err(|error| Invalid::new(field, error.to_string()))?
        };
        Ok(())
    }

    fn set_email(&mut self, text: &str, field: &str) -> Result<(), Invalid> {
        self.email = line(field, text, MOST_CHARACTERS, Lines::One)?;
        self.email_index = if self.email.is_empty() {
            String::new()
        } else {
            normalise::email(&self.email).map_err(|error| Invalid::new(field, error.to_string()))?
        };
        Ok(())
    }

    fn set_tags(&mut self, given: &[String], field: &str) -> Result<(), Invalid> {
        if given.len() > MOST_TAGS {
            return Err(Invalid::new(field, format!("has more than {MOST_TAGS} tags")));
        }
        let mut tags: Vec<String> = Vec::with_capacity(given.len());
        for (number, tag) in given.iter().enumerate() {
            let field = format!("{field}[{number}]");
            let tag = line(&field, tag, MOST_TAG_CHARACTERS, Lines::One)?;
            if tag.is_empty() {
                return Err(Invalid::new(field, "is empty"));
            }
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        self.tags = tags;
        Ok(())
    }

    /// Sets the keys given; an empty value removes its key.
    fn set_custom_fields(&mut self, given: &BTreeMap<String, String>, field: &str) -> Result<(), Invalid> {
        // In the order of keys, so that the same request fails at the same field.
        let mut given: Vec<_> = given.iter().collect();
        given.sort_unstable();
        for (key, value) in given {
            let key = line(field, key, MOST_KEY_CHARACTERS, Lines::One)
                .map_err(|invalid| Invalid::new(field, format!("has a key that {}", invalid.message)))?;
            if key.is_empty() {
                return Err(Invalid::new(field, "has an empty key"));
            }
            // The key is personal too, so the field's path ends here.
            let value = line(field, value, MOST_VALUE_CHARACTERS, Lines::Many)
                .map_err(|invalid| Invalid::new(field, format!("has a value that {}", invalid.message)))?;
            if value.is_empty() {
                self.custom_fields.remove(&key);
            } else {
                self.custom_fields.insert(key, value);
            }
        }
        if self.custom_fields.len() > MOST_FIELDS {
            return Err(Invalid::new(field, format!("has more than {MOST_FIELDS} fields")));
        }
        Ok(())
    }

    fn set_stage(&mut self, code: &str, field: &str) -> Result<(), Invalid> {
        let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if code.len() > MOST_STAGE_CHARACTERS || !code.bytes().all(fits) {
            return Err(Invalid::new(field, "must be at most 32 characters of a-z, 0-9 and _"));
        }
        code.clone_into(&mut self.lifecycle_stage);
        Ok(())
    }

    fn set_score(&mut self, score: Option<u32>, field: &str) -> Result<(), Invalid> {
        if score.is_some_and(|score| score > BEST_SCORE) {
            return Err(Invalid::new(field, "must be 0 to 100"));
        }
        self.lead_score = score;
        Ok(())
    }

    /// The labels that it carries.
    pub(crate) fn label_ids(&self) -> &[LabelId] {
        &self.label_ids
    }

    /// What the contact is found by, and what is put on the opt-out list.
    pub(crate) fn addresses(&self) -> Vec<Address<'_>> {
        let phone = (!self.phone.is_empty()).then_some(Address::Phone(&self.phone));
        let email = (!self.email_index.is_empty()).then_some(Address::Email(&self.email_index));
        let other_phones = self.other_phones.iter().map(|phone| Address::Phone(phone));
        let other_emails = self.other_emails.iter().filter(|email| !email.index.is_empty());
        let other_emails = other_emails.map(|email| Address::Email(&email.index));
        phone.into_iter().chain(email).chain(other_phones).chain(other_emails).collect()
    }

    /// Whether it has this address.
    pub(crate) fn has(&self, address: Address<'_>) -> bool {
        self.addresses().contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use lethe_proto::messaging::{LabelIds, LeadScore};
    use proptest::prelude::*;

    use super::*;

    fn given() -> proto::Profile {
        proto::Profile {
            name: " Maud Ellingham ".into(),
            phone: "+44 20 7946 0018".into(),
            email: "Maud@Example.org".into(),
            company: "Ellingham & Söhne".into(),
            address: "1 High Street\nLeeds".into(),
            tags: vec!["vip".into(), "vip".into(), "leeds".into()],
            custom_fields: BTreeMap::from([("size".into(), "XL".into())]),
            label_ids: vec![LABEL.into(), LABEL.into()],
            lifecycle_stage: "customer".into(),
            lead_score: Some(100),
            other_phones: vec!["+49 30 901820".into(), "+442079460018".into()],
            other_emails: vec!["M@Example.org".into(), "m@example.org".into()],
        }
    }

    const LABEL: &str = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa";

    fn unfit(change: impl FnOnce(&mut proto::Profile)) -> String {
        let mut profile = given();
        change(&mut profile);
        Profile::new(profile).err().expect("it does not fit").field
    }

    #[test]
    fn a_profile_is_normalised_and_comes_back_from_its_blob() {
        let profile = Profile::new(given()).unwrap();
        let read = Profile::decode(&profile.encode()).unwrap();
        assert!(read == profile);
        let shown = read.to_proto();
        assert_eq!((shown.name.as_str(), shown.phone.as_str()), ("Maud Ellingham", "+442079460018"));
        assert_eq!(shown.email, "Maud@Example.org");
        assert_eq!(shown.tags, ["vip", "leeds"]);
        assert_eq!((shown.label_ids, shown.lead_score), (vec![LABEL.to_owned()], Some(100)));
        assert!(read.has(Address::Email("maud@example.org")) && read.has(Address::Phone("+442079460018")));
        assert_eq!(shown.other_phones, ["+4930901820"], "each address once");
        assert_eq!(shown.other_emails, ["M@Example.org"]);
        assert!(read.has(Address::Email("m@example.org")) && read.addresses().len() == 4);
        assert!(Profile::new(proto::Profile::default()).unwrap().addresses().is_empty());
    }

    #[test]
    fn one_past_each_limit_is_refused_and_the_limit_is_not() {
        for (most, field, set) in [
            (200, "profile.name", (|p, n| p.name = "ü".repeat(n)) as fn(&mut proto::Profile, usize)),
            (200, "profile.company", |p, n| p.company = "ü".repeat(n)),
            (200, "profile.address", |p, n| p.address = "ü".repeat(n)),
            (64, "profile.tags[0]", |p, n| p.tags = vec!["ü".repeat(n)]),
            (50, "profile.tags", |p, n| p.tags = (0..n).map(|i| i.to_string()).collect()),
            (64, "profile.custom_fields", |p, n| {
                p.custom_fields = BTreeMap::from([("ü".repeat(n), "v".into())]);
            }),
            (1024, "profile.custom_fields", |p, n| {
                p.custom_fields = BTreeMap::from([("k".into(), "ü".repeat(n))]);
            }),
            (50, "profile.custom_fields", |p, n| {
                p.custom_fields = (0..n).map(|i| (i.to_string(), "v".into())).collect();
            }),
            (50, "profile.label_ids", |p, n| {
                p.label_ids = (0..n).map(|i| format!("lbl_{i:032x}")).collect();
            }),
            (32, "profile.lifecycle_stage", |p, n| p.lifecycle_stage = "s".repeat(n)),
            (100, "profile.lead_score", |p, n| p.lead_score = u32::try_from(n).ok()),
        ] {
            assert_eq!(unfit(|p| set(p, most + 1)), field);
            let mut profile = given();
            set(&mut profile, most);
            assert!(Profile::new(profile).is_ok(), "{field} at its limit");
        }
        assert_eq!(unfit(|p| p.email = format!("{}@example.org", "a".repeat(200))), "profile.email");
    }

    #[test]
    fn what_is_no_address_and_what_holds_controls_is_refused() {
        assert_eq!(unfit(|p| p.phone = "020 7946 0018".into()), "profile.phone");
        assert_eq!(unfit(|p| p.email = "maud".into()), "profile.email");
        assert_eq!(unfit(|p| p.name = "Ma\u{0}ud".into()), "profile.name");
        assert_eq!(unfit(|p| p.tags = vec!["a".into(), " ".into()]), "profile.tags[1]");
        assert_eq!(unfit(|p| p.label_ids = vec![LABEL.into(), "vip".into()]), "profile.label_ids[1]");
        assert_eq!(unfit(|p| p.lifecycle_stage = "Lead!".into()), "profile.lifecycle_stage");
        assert_eq!(
            unfit(|p| p.custom_fields = BTreeMap::from([(" ".into(), "v".into())])),
            "profile.custom_fields"
        );
    }

    #[test]
    fn a_rectification_touches_what_it_names() {
        let before = Profile::new(given()).unwrap();
        let change = UpdateContactRequest {
            phone: Some(String::new()),
            company: Some("New Ltd".into()),
            custom_fields: BTreeMap::from([("size".into(), String::new()), ("plan".into(), "pro".into())]),
            ..UpdateContactRequest::default()
        };
        let after = before.rectified(&change).unwrap().to_proto();
        assert_eq!(
            (after.name.as_str(), after.phone.as_str(), after.company.as_str()),
            ("Maud Ellingham", "", "New Ltd")
        );
        assert_eq!(after.custom_fields, BTreeMap::from([("plan".into(), "pro".into())]));
        assert_eq!(after.tags.len(), 2);
        assert_eq!((after.lifecycle_stage.as_str(), after.lead_score), ("customer", Some(100)));

        let change = UpdateContactRequest {
            label_ids: Some(LabelIds::default()),
            lifecycle_stage: Some(String::new()),
            lead_score: Some(LeadScore { value: None }),
            ..UpdateContactRequest::default()
        };
        let after = before.rectified(&change).unwrap().to_proto();
        assert!(after.label_ids.is_empty() && after.lifecycle_stage.is_empty() && after.lead_score.is_none());
    }

    #[test]
    fn a_rectification_meets_the_limits_too() {
        let mut full = given();
        full.custom_fields = (0..50).map(|i| (i.to_string(), "v".into())).collect();
        let before = Profile::new(full).unwrap();
        let with = |key: &str, value: &str| UpdateContactRequest {
            custom_fields: BTreeMap::from([(key.into(), value.into())]),
            ..UpdateContactRequest::default()
        };
        assert_eq!(before.rectified(&with("one more", "v")).err().unwrap().field, "custom_fields");
        assert!(before.rectified(&with("7", "another")).is_ok(), "one in the place of another");
        assert!(before.rectified(&with("7", "")).is_ok());
        let score =
            UpdateContactRequest { lead_score: Some(LeadScore { value: Some(101) }), ..Default::default() };
        assert_eq!(before.rectified(&score).err().unwrap().field, "lead_score");
    }

    proptest! {
        #[test]
        fn any_profile_is_either_refused_or_comes_back_as_it_was(
            name in ".{0,220}", company in ".{0,20}", address in "(.|\n){0,40}",
            tags in prop::collection::vec(".{0,66}", 0..6), key in ".{0,10}", value in ".{0,30}",
        ) {
            let given = proto::Profile {
                name, company, address, tags, custom_fields: BTreeMap::from([(key, value)]), ..proto::Profile::default()
            };
            if let Ok(profile) = Profile::new(given) {
                prop_assert!(Profile::decode(&profile.encode()).unwrap() == profile);
                prop_assert!(Profile::new(profile.to_proto()).unwrap() == profile);
            }
        }
    }
}
