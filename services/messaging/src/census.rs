//! The census of a scope: what there was when its fence went up. It is sealed under the erasure's own key, which lives
//! with retention, and is what the eraser and the verifier go by. This is its format, and nothing else: the two share no
//! other code.

use aws_lc_rs::digest::{SHA256, digest};
use lethe_ambient::Entropy;
use lethe_ids::{ContactId, ConversationId, SubjectId, UnitId};
use lethe_keyring::{Place, Purpose};
use lethe_proto::erasure::Tally;
use prost::Message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{domain::Invalid, error::Error, scope::Scope};

/// What messages that are kept are listed under: they are to be sealed under other secrets.
pub(crate) const RESEALED: &str = "messages_resealed";

/// What a scope held. Ids are 16 bytes each, one after the other.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Census {
    /// Whom it is about: all ids of the person.
    #[prost(bytes = "vec", tag = "1")]
    contacts: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    subjects: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    units: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    conversations: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    tables: Vec<Table>,
}

/// The rows of one table.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Table {
    /// `messages`.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "2")]
    rows: Vec<u8>,
}

/// A number of things of one kind in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// `postgres` or `keystore`.
    pub(crate) store: String,
    /// The table, or the kind of thing.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: u64,
}

impl Counted {
    /// So many `kind` in `store`.
    pub(crate) fn new(store: &str, kind: &str, count: u64) -> Self {
        Self { store: store.to_owned(), kind: kind.to_owned(), count }
    }

    /// As it goes to retention.
    pub(crate) fn tally(&self) -> Tally {
        Tally { store: self.store.clone(), kind: self.kind.clone(), count: self.count }
    }
}

impl Census {
    /// The census of a contact. `tables` are sorted, and the ids of their rows.
    pub(crate) fn new(
        contacts: &[ContactId],
        subjects: &[SubjectId],
        units: &[UnitId],
        conversations: &[ConversationId],
        tables: Vec<(String, Vec<Uuid>)>,
    ) -> Self {
        let tables = tables.into_iter().map(|(name, rows)| Table { name, rows: join(rows.into_iter()) });
        Self {
            contacts: join(contacts.iter().map(|id| id.uuid())),
            subjects: join(subjects.iter().map(|id| id.uuid())),
            units: join(units.iter().map(|id| id.uuid())),
            conversations: join(conversations.iter().map(|id| id.uuid())),
            tables: tables.collect(),
        }
    }

    /// All ids of the person.
    pub(crate) fn contacts(&self) -> Vec<ContactId> {
        split(&self.contacts).map(ContactId::new).collect()
    }
    /// Its subjects.
    pub(crate) fn subjects(&self) -> Vec<SubjectId> {
        split(&self.subjects).map(SubjectId::new).collect()
    }
    /// Its units.
    pub(crate) fn units(&self) -> Vec<UnitId> {
        split(&self.units).map(UnitId::new).collect()
    }
    /// Its conversations.
    pub(crate) fn conversations(&self) -> Vec<ConversationId> {
        split(&self.conversations).map(ConversationId::new).collect()
    }
    /// Its rows by table.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&str, Vec<Uuid>)> {
        self.tables.iter().map(|table| (table.name.as_str(), split(&table.rows).collect()))
    }

    /// Counts by store and kind.
    pub(crate) fn counts(&self) -> Vec<Counted> {
        let rows = self.tables().map(|(name, rows)| Counted::new("postgres", name, rows.len() as u64));
        let secrets = (self.subjects().len() + self.units().len()) as u64;
        rows.chain([Counted::new("keystore", "secrets", secrets)]).collect()
    }

    /// SHA-256 over it, and itself sealed.
    pub(crate) fn seal(&self, scope: &Scope, key: &[u8; 32], entropy: &Entropy) -> (Vec<u8>, Vec<u8>) {
        let bytes = self.encode_to_vec();
        let sealed = lethe_keyring::seal_with(key, entropy, place(scope), &bytes);
        (digest(&SHA256, &bytes).as_ref().to_vec(), sealed)
    }

    /// Opens what [`Census::seal`] sealed.
    ///
    /// # Errors
    /// [`Error::Census`] when the key is another, or the census was damaged.
    pub(crate) fn open(scope: &Scope, key: &[u8; 32], sealed: &[u8]) -> Result<Self, Error> {
        let bytes = lethe_keyring::open_with(key, place(scope), sealed).map_err(Error::Census)?;
        Self::decode(&bytes[..]).map_err(|_| Error::Corrupt("fences.census"))
    }
}

fn place(scope: &Scope) -> Place {
    Place {
        tenant: scope.tenant,
        unit: scope.erasure.uuid(),
        purpose: Purpose::Census,
        record: scope.id.uuid(),
        version: 1,
    }
}

fn join(ids: impl Iterator<Item = Uuid>) -> Vec<u8> {
    ids.flat_map(|id| *id.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> impl Iterator<Item = Uuid> {
    bytes.chunks_exact(16).map(|chunk| {
        let mut id = [0; 16];
        id.copy_from_slice(chunk);
        Uuid::from_bytes(id)
    })
}

/// The key that a participant is handed for its census.
///
/// # Errors
/// [`Invalid`] when it is not 32 bytes long.
pub(crate) fn census_key(bytes: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>, Invalid> {
    let key = bytes.try_into().map_err(|_| Invalid::new("census_key", "must be 32 bytes"))?;
    Ok(zeroize::Zeroizing::new(key))
}

#[cfg(test)]
mod tests {
    use lethe_ids::{ErasureId, ScopeId, TenantId};

    use super::*;

    #[test]
    fn a_census_opens_in_its_place_alone() {
        let id = Uuid::from_u128;
        let scope = Scope {
            id: ScopeId::new(id(1)),
            tenant: TenantId::new(id(2)),
            erasure: ErasureId::new(id(3)),
            contact: ContactId::new(id(4)),
            mode: crate::scope::Mode::Everything,
            conversations: Vec::new(),
            suppress: false,
        };
        let rows = vec![("a".to_owned(), vec![id(9)]), ("b".to_owned(), vec![id(7), id(8)])];
        let census =
            Census::new(&[scope.contact], &[SubjectId::new(id(5))], &[UnitId::new(id(6))], &[], rows);
        let (digest, sealed) = census.seal(&scope, &[7; 32], &Entropy::seeded(1));
        assert_eq!(digest.len(), 32);
        let opened = Census::open(&scope, &[7; 32], &sealed).unwrap();
        assert_eq!(opened, census);
        let tables: Vec<_> = opened.tables().collect();
        assert_eq!(tables, [("a", vec![id(9)]), ("b", vec![id(7), id(8)])]);
        assert_eq!(opened.counts().last(), Some(&Counted::new("keystore", "secrets", 2)));
        assert!(Census::open(&scope, &[8; 32], &sealed).is_err());
        let other = Scope { id: ScopeId::new(id(99)), ..scope.clone() };
        assert!(Census::open(&other, &[7; 32], &sealed).is_err());
    }
}
