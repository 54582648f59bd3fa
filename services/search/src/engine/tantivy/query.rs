//! A search as a query of Tantivy: every phrase and every filter must match, the tenant first of all.

use lethe_ids::TenantId;
use tantivy::{
    Term,
    query::{BooleanQuery, Occur, PhraseQuery, Query, TermQuery},
    schema::IndexRecordOption,
};

use super::schema::{Fields, key_term, tenant_term};
use crate::{analysis::Phrase, engine::Search};

/// The query of `search` among the documents of `tenant`.
pub(super) fn query(fields: &Fields, tenant: TenantId, search: &Search) -> BooleanQuery {
    let mut all = vec![must(tenant_term(fields, tenant))];
    if let Some(channel) = search.channel {
        all.push(must(Term::from_field_bytes(fields.channel, &channel_bytes(channel as i32))));
    }
    if let Some(contact) = search.contact {
        all.push(must(key_term(fields.contact, tenant, contact.uuid())));
    }
    if let Some(conversation) = search.conversation {
        all.push(must(key_term(fields.conversation, tenant, conversation.uuid())));
    }
    if let Some(member) = search.member {
        all.push(must(key_term(fields.member, tenant, member.uuid())));
    }
    all.extend(search.sought.phrases.iter().map(|phrase| (Occur::Must, phrase_query(fields, phrase))));
    BooleanQuery::new(all)
}

/// A channel as it is indexed.
pub(super) fn channel_bytes(channel: i32) -> [u8; 4] {
    channel.to_be_bytes()
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
