//! Where the sought words stand in a text, by the rule the index finds them by.

use std::collections::HashMap;

use super::{Sought, Terms, tokens};

/// No answer names more places than this in one text.
const MOST_HIGHLIGHTS: usize = 32;

/// The places of all phrases in `text`, ascending and apart, as ranges of characters (Unicode scalar values);
/// nothing when a phrase does not occur: the text has changed since it was indexed.
pub fn highlight(sought: &Sought, text: &str) -> Option<Vec<(u32, u32)>> {
    let tokens = tokens(text);
    let mut places: HashMap<&str, Vec<(u32, u32, u32)>> = HashMap::new();
    for token in &tokens {
        places.entry(&token.term).or_default().push((token.position, token.start, token.end));
    }
    let mut ranges = Vec::new();
    for phrase in &sought.phrases {
        let before = ranges.len();
        phrase.forms().for_each(|terms| mark(terms, &places, &mut ranges));
        if ranges.len() == before {
            return None;
        }
    }
    Some(apart(ranges))
}

/// Adds the places where these terms stand at their distances.
fn mark(terms: &Terms, places: &HashMap<&str, Vec<(u32, u32, u32)>>, ranges: &mut Vec<(u32, u32)>) {
    let Some(((first_offset, first), rest)) = terms.split_first() else { return };
    for &(position, start, mut end) in places.get(first.as_str()).map_or(&[][..], Vec::as_slice) {
        let rest = rest.iter().map(|(offset, term)| {
            let found = places.get(term.as_str())?;
            let wanted = position + (offset - first_offset);
            found.binary_search_by_key(&wanted, |place| place.0).ok().map(|at| found[at].2)
        });
        let Some(ends) = rest.collect::<Option<Vec<u32>>>() else { continue };
        end = ends.into_iter().max().unwrap_or(end).max(end);
        ranges.push((start, end));
    }
}

fn apart(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut apart: Vec<(u32, u32)> = Vec::new();
    for (start, end) in ranges {
        match apart.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    apart.truncate(MOST_HIGHLIGHTS);
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::sought;

    fn marked(query: &str, text: &str) -> Option<Vec<String>> {
        let ranges = highlight(&sought(query)?, text)?;
        let cut = |(start, end): &(u32, u32)| {
            text.chars().skip(*start as usize).take((end - start) as usize).collect::<String>()
        };
        Some(ranges.iter().map(cut).collect())
    }

    #[test]
    fn ranges_cut_the_words_out_of_the_text() {
        assert_eq!(marked("refund", "My REFUND, refund?").unwrap(), ["REFUND", "refund"]);
        assert_eq!(marked("人权宣言", "《世界人权宣言》").unwrap(), ["人权宣言"]);
        assert_eq!(marked("cafe", "Cafe\u{301} und Café").unwrap(), ["Cafe\u{301}", "Café"]);
        assert_eq!(marked("😀 don't", "I don't 😀").unwrap(), ["don't", "😀"]);
        assert_eq!(marked("a b", "a only"), None);
        assert_eq!(
            marked("cancel", "<b>He cancelled</b> &amp; is cancelling").unwrap(),
            ["cancelled", "cancelling"]
        );
        assert_eq!(marked("заказы", "где мой заказ, где заказ?").unwrap(), ["заказ", "заказ"]);
        assert_eq!(marked("gift-cards", "this is a gift card").unwrap(), ["gift card"]);
    }

    #[test]
    fn places_have_a_limit() {
        let text = "spam ".repeat(MOST_HIGHLIGHTS + 1);
        assert_eq!(highlight(&sought("spam").unwrap(), &text).unwrap().len(), MOST_HIGHLIGHTS);
    }
}
