//! A search index: its terms and stored fields, deleted documents' too, by the search engine's own reader, which the
//! caller brings.

use std::collections::{HashMap, HashSet};

use crate::{Form, Place, Search};

/// Some bytes of an index.
#[derive(Debug, Clone, Copy)]
pub struct IndexPiece<'a> {
    /// The segment it is in: unique in its store.
    pub segment: &'a str,
    /// The field it is of.
    pub field: &'a str,
    /// Whether it is a term of the dictionary, and no value that was stored.
    pub is_term: bool,
    /// The bytes, decoded from the engine's own encoding.
    pub bytes: &'a [u8],
}

impl Search<'_> {
    /// Looks at everything that `read` hands over. A token is found when it stands in a term or value; and when all its
    /// terms, as `terms_of` takes it apart, stand in one segment: so give tokens whose terms nobody else uses.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn index<T, E>(
        &self,
        store: &str,
        terms_of: impl Fn(&str) -> Vec<String>,
        read: impl FnOnce(&mut dyn FnMut(IndexPiece<'_>)) -> Result<T, E>,
    ) -> Result<T, E> {
        let wanted: Vec<HashSet<Vec<u8>>> = self
            .texts
            .iter()
            .map(|text| terms_of(text).into_iter().map(String::into_bytes).collect())
            .collect();
        let mut users: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (token, terms) in wanted.iter().enumerate() {
            for term in terms {
                users.entry(term).or_default().push(token);
            }
        }
        let mut segments: HashMap<String, HashMap<usize, HashSet<Vec<u8>>>> = HashMap::new();
        let mut pieces = 0;
        let outcome = read(&mut |piece| {
            pieces += 1;
            let path = format!("{} {}", piece.segment, piece.field);
            self.bytes(store, &path, piece.bytes);
            if !piece.is_term {
                return;
            }
            for token in users.get(piece.bytes).into_iter().flatten() {
                let found = segments.entry(piece.segment.to_owned()).or_default().entry(*token).or_default();
                found.insert(piece.bytes.to_vec());
            }
        });
        self.count(|looked| looked.index_pieces += pieces);
        for (segment, found) in segments {
            for (token, terms) in found {
                if terms.len() == wanted[token].len() {
                    let path = segment.clone();
                    self.found(token, Form::Terms, Place { store: store.to_owned(), path, offset: 0 });
                }
            }
        }
        outcome
    }
}
