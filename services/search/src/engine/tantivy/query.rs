//! A search as a query of Tantivy: every phrase and every filter must match, the tenant first of all.
//!
//! Scores are BM25's without the part that counts documents: how rare a word is among the texts of a shard would tell of
//! other tenants' texts.

use lethe_ids::TenantId;
use tantivy::{
    Term,
    query::{
        Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur,
        PhraseQuery, Query, TermQuery,
    },
    schema::{Field, IndexRecordOption},
};

use super::schema::{Fields, Key};

/// What a word as it was typed counts beside another form of it, and what all words in a row count beside one of them.
const TYPED: f32 = 1.5;
const IN_A_ROW: f32 = 2.0;
use crate::{
    analysis::{Phrase, Terms},
    engine::{Order, Search},
};

/// The query of `search` among the documents of `tenant`.
pub(super) fn query(fields: &Fields, tenant: TenantId, search: &Search) -> BooleanQuery {
    let mut keys = vec![Key::Tenant];
    keys.extend(search.channel.map(|channel| Key::Channel(channel.into())));
    keys.extend(search.contact.map(|contact| Key::Contact(contact.uuid())));
    keys.extend(search.conversation.map(|conversation| Key::Conversation(conversation.uuid())));
    keys.extend(search.member.map(|member| Key::Member(member.uuid())));
    let mut all: Vec<_> = keys.into_iter().map(|key| must(key.term(fields, tenant))).collect();
    all.extend(search.sought.phrases.iter().map(|phrase| (Occur::Must, phrase_query(fields, phrase))));
    if search.order == Order::Relevance
        && let Some(terms) = search.sought.in_a_row()
    {
        all.push((Occur::Should, boosted(terms_query(fields, &terms), IN_A_ROW)));
    }
    BooleanQuery::new(all)
}

/// Narrows, and adds nothing to the score.
fn must(term: Term) -> (Occur, Box<dyn Query>) {
    let query = TermQuery::new(term, IndexRecordOption::Basic);
    (Occur::Must, Box::new(ConstScoreQuery::new(Box::new(query), 0.0)))
}

fn boosted(query: Box<dyn Query>, boost: f32) -> Box<dyn Query> {
    Box::new(BoostQuery::new(query, boost))
}

/// The same numbers for every word and shard, so that a score comes from its document alone: a word that nobody wrote,
/// one text of one term.
pub(super) struct OneDocument;

impl Bm25StatisticsProvider for OneDocument {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(1)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(1)
    }

    fn doc_freq(&self, _: &Term) -> tantivy::Result<u64> {
        Ok(0)
    }
}

/// Any form of the phrase.
fn phrase_query(fields: &Fields, phrase: &Phrase) -> Box<dyn Query> {
    let typed = boosted(terms_query(fields, &phrase.exact), TYPED);
    if phrase.inflected.is_empty() {
        return typed;
    }
    let others = phrase.inflected.iter().map(|terms| terms_query(fields, terms));
    Box::new(DisjunctionMaxQuery::new(std::iter::once(typed).chain(others).collect()))
}

fn terms_query(fields: &Fields, terms: &Terms) -> Box<dyn Query> {
    let term = |text: &str| Term::from_field_text(fields.text, text);
    match terms.as_slice() {
        [(_, only)] => Box::new(TermQuery::new(term(only), IndexRecordOption::WithFreqs)),
        terms => Box::new(PhraseQuery::new_with_offset(
            terms.iter().map(|(offset, text)| (*offset as usize, term(text))).collect(),
        )),
    }
}
