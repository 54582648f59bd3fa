//! Words of 31 languages in 18 scripts are found in the articles they stand in.

use std::collections::{BTreeMap, BTreeSet};

use lethe_ids::MessageId;
use lethe_search::engine::Engine;

use crate::support::{TOKEN, contact, document, found, open, put, search, tenant};

/// Beside the repository; not part of it.
const ARTICLES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/articles-by-language.jsonl");
/// A share of the words of each article.
const GOAL: f64 = 0.99;

#[derive(serde::Deserialize)]
struct Article {
    language: String,
    text: String,
}

/// What a person would type who looks for this article: words between spaces, and where a script has none, pieces of
/// two to four characters.
fn words(article: &Article) -> BTreeSet<String> {
    let unspaced = matches!(article.language.as_str(), "cmn" | "jpn" | "tha");
    let mut words = BTreeSet::new();
    for piece in article
        .text
        .split(|c: char| c.is_whitespace() || "،。、，；：．.,;:()（）《》「」“”\"፡።፣፤".contains(c))
    {
        if piece.is_empty() {
            continue;
        }
        if unspaced {
            let characters: Vec<char> = piece.chars().collect();
            let length = 2 + words.len() % 3;
            words.extend(characters.chunks(length).map(|chunk| chunk.iter().collect::<String>()));
        } else {
            words.insert(piece.to_owned());
        }
    }
    words.retain(|word| word.chars().any(char::is_alphanumeric));
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_every_language_find_their_article() {
    let Ok(articles) = std::fs::read_to_string(ARTICLES) else {
        println!("languages: articles-by-language.jsonl is not here, nothing is measured");
        return;
    };
    let articles: Vec<Article> = articles.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let tenant = tenant();
    let documents: Vec<_> = articles.iter().map(|article| document(contact(), &article.text)).collect();
    engine.write(TOKEN, tenant, documents.iter().map(put).collect()).await.unwrap();
    engine.refresh(tenant).await.unwrap();
    let mut recall: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (article, document) in articles.iter().zip(&documents) {
        let counts = recall.entry(&article.language).or_default();
        for (at, word) in words(article).into_iter().enumerate() {
            // Every other one in capitals: it must be found all the same.
            let mut search = search(&if at % 2 == 0 { word } else { word.to_uppercase() });
            search.limit = articles.len();
            let found: Vec<MessageId> = found(&engine, tenant, search).await;
            counts.0 += usize::from(found.contains(&document.message));
            counts.1 += 1;
        }
    }
    println!("language  words  recall");
    for (language, (found, all)) in &recall {
        println!("{language:<8} {all:>6}  {:.4}", *found as f64 / *all as f64);
    }
    assert_eq!(recall.len(), 31);
    for (language, (found, all)) in recall {
        assert!(all > 500 && found as f64 >= GOAL * all as f64, "{language}: {found} of {all}");
    }
}
