//! A profile as it is sealed and as it goes to a reader, and its end in memory.

use lethe_ids::LabelId;
use lethe_keyring::normalise;
use lethe_proto::messaging as proto;
use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::{Profile, united::Email};

impl Profile {
    /// As it is sealed.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut message = self.to_proto();
        let bytes = Zeroizing::new(message.encode_to_vec());
        message.name.zeroize();
        message.phone.zeroize();
        message.email.zeroize();
        message.address.zeroize();
        message.other_phones.zeroize();
        message.other_emails.zeroize();
        bytes
    }

    /// From what was sealed. It was checked before, and is not checked again: rules that became stricter do not make a
    /// stored profile unreadable.
    ///
    /// # Errors
    /// When the bytes are no profile.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let message = proto::Profile::decode(bytes)?;
        Ok(Self {
            email_index: normalise::email(&message.email).unwrap_or_default(),
            name: message.name,
            phone: message.phone,
            email: message.email,
            company: message.company,
            address: message.address,
            tags: message.tags,
            custom_fields: message.custom_fields.into_iter().collect(),
            label_ids: message.label_ids.iter().filter_map(|id| id.parse().ok()).collect(),
            lifecycle_stage: message.lifecycle_stage,
            lead_score: message.lead_score,
            other_phones: message.other_phones,
            other_emails: message.other_emails.into_iter().map(Email::stored).collect(),
        })
    }

    /// As it goes to a reader.
    pub(crate) fn to_proto(&self) -> proto::Profile {
        proto::Profile {
            name: self.name.clone(),
            phone: self.phone.clone(),
            email: self.email.clone(),
            company: self.company.clone(),
            address: self.address.clone(),
            tags: self.tags.clone(),
            custom_fields: self.custom_fields.clone().into_iter().collect(),
            label_ids: self.label_ids.iter().map(LabelId::to_string).collect(),
            lifecycle_stage: self.lifecycle_stage.clone(),
            lead_score: self.lead_score,
            other_phones: self.other_phones.clone(),
            other_emails: self.other_emails.iter().map(|email| email.text.clone()).collect(),
        }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        for text in [
            &mut self.name,
            &mut self.phone,
            &mut self.email,
            &mut self.email_index,
            &mut self.company,
            &mut self.address,
            &mut self.lifecycle_stage,
        ] {
            text.zeroize();
        }
        self.tags.zeroize();
        self.other_phones.zeroize();
        for value in self.custom_fields.values_mut() {
            value.zeroize();
        }
    }
}
