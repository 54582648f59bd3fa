//! A search as a query of Tantivy: every phrase and every filter must match, the tenant first of all.

use lethe_ids::TenantId;
use tantivy::{
    Term,
    query::{BooleanQuery, Occur, PhraseQuery, Query, TermQuery},
    schema::IndexRecordOption,
};

use super::schema::{Fields, Key};
use crate::{analysis::Phrase, engine::Search};

/// The query of `search` among the documents of `tenant`.
pub(super) fn query(fields: &Fields, tenant: TenantId, search: &Search) -> BooleanQuery {
    let mut keys = vec![Key::Tenant];
    keys.extend(search.channel.map(|channel| Key::Channel(channel.into())));
    keys.extend(search.contact.map(|contact| Key::Contact(contact.uuid())));
    keys.extend(search.conversation.map(|conversation| Key::Conversation(conversation.uuid())));
    keys.extend(search.member.map(|member| Key::Member(member.uuid())));
    let mut all: Vec<_> = keys.into_iter().map(|key| must(key.term(fields, tenant))).collect();
    all.extend(search.sought.phrases.iter().map(|phrase| (Occur::Must, phrase_query(fields, phrase))));
    BooleanQuery::new(all)
}

fn must(term: Term) -> (Occur, Box<dyn Query>) {
    (Occur::Must, Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
}

fn phrase_query(fields: &Fields, phrase: &Phrase) -> Box<dyn Query> {
    let term = |text: &str| Term::from_field_text(fields.text, text);
    match phrase.terms.as_slice() {
        [(_, only)] => Box::new(TermQuery::new(term(only), IndexRecordOption::Basic)),
        terms => Box::new(PhraseQuery::new_with_offset(
            terms.iter().map(|(offset, text)| (*offset as usize, term(text))).collect(),
        )),
    }
}
