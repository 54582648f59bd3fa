//! What a contact is found by beside its phone and its e-mail address, and how two profiles become one.

use lethe_keyring::normalise;
use zeroize::Zeroize;

use super::{MOST_CHARACTERS, MOST_FIELDS, MOST_OTHERS, MOST_TAGS, Profile};
use crate::domain::{
    Invalid,
    label::MOST_CARRIED,
    text::{Lines, line},
};

/// An e-mail address that fits.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Email {
    /// As it was written.
    pub(super) text: String,
    /// What it is found by.
    pub(super) index: String,
}

impl Email {
    fn new(text: &str, field: &str) -> Result<Self, Invalid> {
        let text = line(field, text, MOST_CHARACTERS, Lines::One)?;
        let index = normalise::email(&text).map_err(|error| Invalid::new(field, error.to_string()))?;
        Ok(Self { text, index })
    }

    /// As it was stored, which is not checked again.
    pub(super) fn stored(text: String) -> Self {
        Self { index: normalise::email(&text).unwrap_or_default(), text }
    }
}

impl Drop for Email {
    fn drop(&mut self) {
        self.text.zeroize();
        self.index.zeroize();
    }
}

impl Profile {
    /// The profile of two contacts that are one: this one's fields win, empty ones are filled, and it has all that the two
    /// have many of.
    ///
    /// # Errors
    /// What it would have more of than a profile may: `tags`.
    pub(crate) fn united(&self, with: &Self) -> Result<Self, &'static str> {
        let mut one = self.clone();
        for (ours, theirs) in [
            (&mut one.name, &with.name),
            (&mut one.phone, &with.phone),
            (&mut one.company, &with.company),
            (&mut one.address, &with.address),
            (&mut one.lifecycle_stage, &with.lifecycle_stage),
        ] {
            if ours.is_empty() {
                ours.clone_from(theirs);
            }
        }
        if one.email.is_empty() {
            one.email.clone_from(&with.email);
            one.email_index.clone_from(&with.email_index);
        }
        one.lead_score = one.lead_score.or(with.lead_score);
        for (key, value) in &with.custom_fields {
            one.custom_fields.entry(key.clone()).or_insert_with(|| value.clone());
        }
        one.tags.extend(with.tags.iter().filter(|tag| !self.tags.contains(tag)).cloned());
        one.label_ids.extend(with.label_ids.iter().filter(|label| !self.label_ids.contains(label)));
        let phone = (!with.phone.is_empty()).then_some(&with.phone);
        one.other_phones.extend(phone.into_iter().chain(&with.other_phones).cloned());
        let email = Email { text: with.email.clone(), index: with.email_index.clone() };
        one.other_emails.extend((!email.text.is_empty()).then_some(email));
        one.other_emails.extend(with.other_emails.iter().cloned());
        one.drop_twins();
        for (has, most, what) in [
            (one.tags.len(), MOST_TAGS, "tags"),
            (one.custom_fields.len(), MOST_FIELDS, "custom_fields"),
            (one.label_ids.len(), MOST_CARRIED, "labels"),
            (one.other_phones.len(), MOST_OTHERS, "other_phones"),
            (one.other_emails.len(), MOST_OTHERS, "other_emails"),
        ] {
            if has > most {
                return Err(what);
            }
        }
        Ok(one)
    }

    /// Each address once.
    pub(super) fn drop_twins(&mut self) {
        let (mut phones, mut emails) = (vec![self.phone.clone()], vec![self.email_index.clone()]);
        self.other_phones.retain(|phone| {
            let is_new = !phones.contains(phone);
            phones.push(phone.clone());
            is_new
        });
        self.other_emails.retain(|email| {
            let is_new = !emails.contains(&email.index);
            emails.push(email.index.clone());
            is_new
        });
        phones.zeroize();
        emails.zeroize();
    }

    pub(super) fn set_other_phones(&mut self, given: &[String], field: &str) -> Result<(), Invalid> {
        few(given, field)?;
        self.other_phones = given
            .iter()
            .enumerate()
            .map(|(number, text)| {
                normalise::phone(text, None)
                    .map_err(|error| Invalid::new(format!("{field}[{number}]"), error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(super) fn set_other_emails(&mut self, given: &[String], field: &str) -> Result<(), Invalid> {
        few(given, field)?;
        self.other_emails = given
            .iter()
            .enumerate()
            .map(|(number, text)| Email::new(text, &format!("{field}[{number}]")))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// No more than a profile may have.
fn few(given: &[String], field: &str) -> Result<(), Invalid> {
    if given.len() > MOST_OTHERS {
        return Err(Invalid::new(field, format!("has more than {MOST_OTHERS} addresses")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lethe_proto::messaging as proto;

    use super::*;

    const LABEL: &str = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa";

    fn given() -> proto::Profile {
        proto::Profile {
            name: "Maud Ellingham".into(),
            phone: "+44 20 7946 0018".into(),
            email: "Maud@Example.org".into(),
            tags: vec!["vip".into(), "leeds".into()],
            custom_fields: BTreeMap::from([("size".into(), "XL".into())]),
            label_ids: vec![LABEL.into()],
            lead_score: Some(100),
            other_phones: vec!["+49 30 901820".into()],
            other_emails: vec!["M@Example.org".into()],
            ..proto::Profile::default()
        }
    }

    #[test]
    fn two_profiles_are_one_in_which_the_first_ones_fields_win() {
        let ours = Profile::new(given()).unwrap();
        let theirs = proto::Profile {
            name: "Other".into(),
            phone: "+12025550123".into(),
            email: "MAUD@example.org".into(),
            company: "Theirs".into(),
            tags: vec!["leeds".into(), "new".into()],
            custom_fields: BTreeMap::from([("size".into(), "S".into()), ("plan".into(), "pro".into())]),
            other_emails: vec!["third@example.org".into()],
            ..proto::Profile::default()
        };
        let theirs = Profile::new(theirs).unwrap();
        let one = ours.united(&theirs).unwrap().to_proto();
        assert_eq!((one.name.as_str(), one.company.as_str()), ("Maud Ellingham", "Theirs"));
        assert_eq!((one.phone.as_str(), one.email.as_str()), ("+442079460018", "Maud@Example.org"));
        assert_eq!(one.other_phones, ["+4930901820", "+12025550123"]);
        assert_eq!(one.other_emails, ["M@Example.org", "third@example.org"], "the same mailbox is no other");
        assert_eq!(one.tags, ["vip", "leeds", "new"]);
        assert_eq!((one.custom_fields["size"].as_str(), one.custom_fields["plan"].as_str()), ("XL", "pro"));
        assert_eq!((one.lead_score, one.label_ids), (Some(100), vec![LABEL.to_owned()]));

        let back = theirs.united(&ours).unwrap();
        assert_eq!(back.to_proto().phone, "+12025550123");
        assert!(ours.addresses().iter().chain(&theirs.addresses()).all(|address| back.has(*address)));
        assert!(ours.united(&ours).unwrap() == ours && ours.united(&Profile::default()).unwrap() == ours);
        assert!(Profile::default().united(&ours).unwrap() == ours);
    }

    #[test]
    fn one_address_too_many_is_refused() {
        for (most, fits) in [(20, true), (21, false)] {
            let phones = (0..most).map(|i| format!("+4930901{i:03}")).collect();
            let emails = (0..most).map(|i| format!("m{i}@example.org")).collect();
            let phones = proto::Profile { other_phones: phones, ..given() };
            let emails = proto::Profile { other_emails: emails, ..given() };
            let refused = |profile| Profile::new(profile).err().map(|invalid| invalid.field);
            assert_eq!(refused(phones), (!fits).then(|| "profile.other_phones".to_owned()));
            assert_eq!(refused(emails), (!fits).then(|| "profile.other_emails".to_owned()));
        }
        let wrong = proto::Profile { other_emails: vec!["m@example.org".into(), "m".into()], ..given() };
        assert_eq!(
            Profile::new(wrong).err().map(|invalid| invalid.field).as_deref(),
            Some("profile.other_emails[1]")
        );
    }

    #[test]
    fn two_profiles_that_are_too_much_for_one_are_refused() {
        let many = |mark: &str, most: usize| (0..most).map(|i| format!("{mark}{i}")).collect::<Vec<_>>();
        for (most, what, set) in [
            (50, "tags", (|p, all| p.tags = all) as fn(&mut proto::Profile, Vec<String>)),
            (50, "custom_fields", |p, all| {
                p.custom_fields = all.into_iter().map(|key| (key, "v".to_owned())).collect();
            }),
            (20, "other_emails", |p, all| {
                p.other_emails = all.iter().map(|one| format!("{one}@example.org")).collect();
            }),
        ] {
            let (mut full, mut one) = (proto::Profile::default(), proto::Profile::default());
            set(&mut full, many("a", most));
            set(&mut one, many("b", 1));
            let (full, one) = (Profile::new(full).unwrap(), Profile::new(one).unwrap());
            assert_eq!(full.united(&one).err(), Some(what));
            assert!(full.united(&full).is_ok(), "{what} at the limit");
        }
    }
}
