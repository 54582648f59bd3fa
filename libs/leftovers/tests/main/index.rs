//! A search index, by its engine's own reader.

use std::convert::Infallible;

use lethe_leftovers::{Form, IndexPiece, Search, Tokens};
use tantivy::{
    Index, IndexWriter, SegmentReader, TantivyError, Term, doc,
    schema::{STORED, STRING, Schema, TEXT},
};

use crate::{forms, one};

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[test]
fn a_deleted_document_is_found_by_its_terms() {
    let mut schema = Schema::builder();
    let (id, body) = (schema.add_text_field("id", STRING | STORED), schema.add_text_field("body", TEXT));
    let index = Index::create_in_ram(schema.build());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    for number in 0..500 {
        writer.add_document(doc!(id => format!("{number}"), body => "some words of another person")).unwrap();
    }
    writer.add_document(doc!(id => "501", body => "I live in Ölmützgasse 4711 since zq0c9d8e7f")).unwrap();
    writer.add_document(doc!(id => "502", body => "stays")).unwrap();
    writer.commit().unwrap();
    writer.delete_term(Term::from_field_text(id, "501"));
    writer.commit().unwrap();

    let tokens = Tokens::new([
        ("term", "zq0c9d8e7f"),
        ("words", "Ölmützgasse 4711"),
        ("absent", "Ölmützgasse 4712"),
        ("parts only", "zq0c9d8e7f-other"),
    ])
    .unwrap();
    let search = Search::new(&tokens);
    search
        .index("index", words, |visit| {
            for segment in index.searchable_segments()? {
                let reader = SegmentReader::open(&segment)?;
                let id = segment.id().uuid_string();
                let terms = reader.inverted_index(body)?;
                let mut stream = terms.terms().stream()?;
                while let Some((term, _)) = stream.next() {
                    visit(IndexPiece { segment: &id, field: "body", is_term: true, bytes: term });
                }
            }
            Ok::<_, TantivyError>(())
        })
        .unwrap();
    let report = search.report();
    assert!(report.of("term").any(|finding| finding.form == Form::Plain));
    assert!(report.of("words").any(|finding| finding.form == Form::Terms));
    assert_eq!(report.of("absent").count() + report.of("parts only").count(), 0);
    assert!(report.looked.index_pieces > 5);
}

#[test]
fn runs_without_spaces_are_found_by_their_pairs_in_one_segment() {
    let pairs = |text: &str| -> Vec<String> {
        let all: Vec<char> = text.chars().collect();
        all.windows(2).map(|pair| pair.iter().collect()).collect()
    };
    let visit_all = |segments: &[(&str, &[&str])], search: &Search<'_>| {
        search
            .index("index", pairs, |visit| {
                for (segment, terms) in segments {
                    for term in *terms {
                        visit(IndexPiece { segment, field: "body", is_term: true, bytes: term.as_bytes() });
                    }
                }
                Ok::<_, Infallible>(())
            })
            .unwrap();
    };
    let search = Search::new(&one("鵺鸞麒麟"));
    visit_all(&[("a", &["鵺鸞", "鸞麒", "別的", "麒麟"])], &search);
    assert_eq!(forms(&search.report()), [Form::Terms].into());
    let search = Search::new(&one("鵺鸞麒麟"));
    visit_all(&[("a", &["鵺鸞", "鸞麒"]), ("b", &["麒麟"])], &search);
    assert_eq!(search.report().findings, []);
    // A stored value is no term.
    let search = Search::new(&one("鵺鸞麒麟"));
    search
        .index("index", pairs, |visit| {
            visit(IndexPiece {
                segment: "a", field: "x", is_term: false, bytes: "a 鵺鸞麒麟 b".as_bytes()
            });
            Ok::<_, Infallible>(())
        })
        .unwrap();
    assert_eq!(forms(&search.report()), [Form::Plain].into());
}
