//! Words of 31 languages in 18 scripts find the articles they stand in, and find them first.

use std::collections::{BTreeMap, BTreeSet};

use lethe_ambient::Entropy;
use lethe_ids::MessageId;
use lethe_search::engine::{Engine, Order, tantivy::TantivyEngine};

use crate::support::{TOKEN, contact, document, found, open, put, search, tenant};

/// Beside the repository; not part of it.
const ARTICLES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/articles-by-language.jsonl");
/// Of the words of a language's articles, those that find the article they are from.
const RECALL: f64 = 0.99;
/// Of the pieces of five words in a row that stand in one article alone, those that find it first.
const FIRST: f64 = 0.95;
/// What a person remembers of a sentence.
const IN_A_ROW: usize = 5;
/// Such pieces of one article.
const PIECES: usize = 6;

#[derive(serde::Deserialize)]
struct Article {
    language: String,
    text: String,
}

/// What a person would type who looks for this article, in its order: words between spaces, and where a script has none,
/// pieces of two to four characters.
fn words(article: &Article) -> Vec<String> {
    let unspaced = matches!(article.language.as_str(), "cmn" | "jpn" | "tha");
    let mut words = Vec::new();
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
            words.push(piece.to_owned());
        }
    }
    words.retain(|word| word.chars().any(char::is_alphanumeric));
    words
}

fn articles() -> Option<Vec<Article>> {
    let Ok(articles) = std::fs::read_to_string(ARTICLES) else {
        println!("languages: articles-by-language.jsonl is not here, nothing is measured");
        return None;
    };
    Some(articles.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// All articles in all languages, as one tenant's messages.
async fn indexed(engine: &TantivyEngine, articles: &[Article]) -> (lethe_ids::TenantId, Vec<MessageId>) {
    let tenant = tenant();
    let documents: Vec<_> = articles.iter().map(|article| document(contact(), &article.text)).collect();
    engine.write(TOKEN, tenant, documents.iter().map(put).collect()).await.unwrap();
    engine.refresh(tenant).await.unwrap();
    (tenant, documents.iter().map(|document| document.message).collect())
}

#[derive(Default)]
struct Measured {
    words: usize,
    found: usize,
    pieces: usize,
    first: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_every_language_find_their_article_and_find_it_first() {
    let Some(articles) = articles() else { return };
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let (tenant, messages) = indexed(&engine, &articles).await;
    let entropy = Entropy::seeded(31);
    let said: Vec<String> = articles.iter().map(|article| words(article).concat()).collect();
    let mut measured: BTreeMap<&str, Measured> = BTreeMap::new();
    for (article, message) in articles.iter().zip(&messages) {
        let words = words(article);
        let counts = measured.entry(&article.language).or_default();
        for (at, word) in words.iter().collect::<BTreeSet<_>>().into_iter().enumerate() {
            // Every other one in capitals: it must be found all the same.
            let mut search = search(&if at % 2 == 0 { word.clone() } else { word.to_uppercase() });
            search.limit = articles.len();
            counts.found += usize::from(found(&engine, tenant, search).await.contains(message));
            counts.words += 1;
        }
        // What the articles of a language begin with alike ("Everyone has the right to") is nobody's in particular.
        let of_language = |(_, other): &(&String, &Article)| other.language == article.language;
        let is_its_own = |piece: &&[String]| {
            let others = said.iter().zip(&articles).filter(of_language);
            others.filter(|(said, _)| said.contains(&piece.concat())).count() == 1
        };
        let windows: Vec<_> = words.windows(IN_A_ROW).collect();
        let drawn = (0..PIECES * 4).filter(|_| !windows.is_empty());
        let drawn = drawn.map(|_| windows[entropy.uuid4().as_u128() as usize % windows.len()]);
        for piece in drawn.filter(is_its_own).take(PIECES) {
            let mut search = search(&piece.join(" "));
            (search.order, search.limit) = (Order::Relevance, 1);
            counts.first += usize::from(found(&engine, tenant, search).await.first() == Some(message));
            counts.pieces += 1;
        }
    }
    let share = |part: usize, all: usize| part as f64 / all as f64;
    println!("| language | words | recall | pieces | first |\n|---|---|---|---|---|");
    for (language, of) in &measured {
        let (recall, first) = (share(of.found, of.words), share(of.first, of.pieces));
        println!("| {language} | {} | {recall:.4} | {} | {first:.3} |", of.words, of.pieces);
    }
    assert_eq!(measured.len(), 31);
    for (language, of) in measured {
        assert!(of.words > 500 && of.pieces > 150, "{language}");
        assert!(share(of.found, of.words) >= RECALL, "{language}: {} of {} found", of.found, of.words);
        assert!(share(of.first, of.pieces) >= FIRST, "{language}: {} of {} first", of.first, of.pieces);
    }
}

/// Two forms of one word in one language: what is typed, and what stands in the text. Our own.
const FORMS: [(&str, &str, &str); 29] = [
    ("eng", "cancelling", "I want to cancel my order"),
    ("deu", "Rechnungen", "Ich habe die Rechnung nicht bekommen"),
    ("fra", "annulées", "ma commande a été annulée par vous"),
    ("spa", "devoluciones", "quiero hacer una devolución de mi compra"),
    ("ita", "fatture", "non ho ricevuto la fattura"),
    ("por", "entregas", "quando chega a minha entrega"),
    ("nld", "bestellingen", "ik wil mijn bestelling annuleren"),
    ("swe", "fakturorna", "jag har inte fått min faktura"),
    ("dan", "ordrer", "jeg vil se min ordre"),
    ("nob", "regninger", "jeg har ikke fått en regning"),
    ("fin", "laskut", "en ole saanut laskun vielä, missä se on"),
    ("hun", "rendelések", "hol van a rendelésem"),
    ("ron", "facturile", "nu am primit factura de la voi"),
    ("tur", "siparişler", "bir sipariş için yazıyorum"),
    ("pol", "faktury", "proszę o fakturę na moje konto"),
    ("ces", "objednávky", "chci zrušit moji objednávku, ale jen tu"),
    ("ind", "pesanannya", "saya ingin membatalkan pesanan ini"),
    ("est", "arved", "ma ei ole saanud arve ja see on kadunud"),
    ("lit", "sąskaitos", "aš negavau sąskaitą ir tai yra blogai"),
    ("cat", "factures", "no he rebut la factura"),
    ("rus", "заказы", "я хочу отменить мой заказ"),
    ("srp", "поруџбине", "где је моја поруџбина"),
    ("ell", "λογαριασμοί", "πού είναι ο λογαριασμός μου"),
    ("arb", "الطلبات", "أين الطلب من فضلك"),
    ("pes", "سفارشها", "من سفارش را لغو کردم"),
    ("hin", "सवालों", "मेरा सवाल यह है"),
    ("nep", "किताबहरू", "मेरो किताब यो हो"),
    ("tam", "புத்தகங்கள்", "ஒரு புத்தகம்"),
    ("hye", "պատվերներ", "որտեղ է իմ պատվեր"),
];

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_a_word_find_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let mut missed = Vec::new();
    for (language, typed, text) in FORMS {
        let message = document(contact(), text);
        engine.write(TOKEN, tenant, vec![put(&message)]).await.unwrap();
        engine.refresh(tenant).await.unwrap();
        if !found(&engine, tenant, search(typed)).await.contains(&message.message) {
            missed.push(language);
        }
    }
    println!(
        "forms of a word: {} of {} find each other; not: {missed:?}",
        FORMS.len() - missed.len(),
        FORMS.len()
    );
    assert_eq!(missed, [""; 0]);
}
