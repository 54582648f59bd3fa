//! Whether a conversation looks like spam, by what can be seen of one inbound message without understanding it. It marks
//! and never deletes, and a member's own word stands above it.
//!
//! | seen | points |
//! |---|---|
//! | three links or more in one message; five or more | 30; 50 |
//! | the same text for the third time within ten minutes | 50 |
//! | more than ten messages within a minute | 50 |

/// From this score on a conversation is marked.
pub(crate) const MARKED_FROM: u8 = 50;

/// What a contact did lately, the message at hand included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lately {
    /// How often it said this text within ten minutes.
    pub(crate) repeats: u32,
    /// Messages within a minute.
    pub(crate) burst: u32,
}

/// 0 to 100.
pub(crate) fn score(text: &str, lately: Lately) -> u8 {
    let links = match links(text) {
        0..=2 => 0,
        3..=4 => 30,
        _ => 50,
    };
    let repeats = if lately.repeats >= 3 { 50 } else { 0 };
    let burst = if lately.burst > 10 { 50 } else { 0 };
    (links + repeats + burst).min(100)
}

/// Links that begin with a scheme or with `www.`.
fn links(text: &str) -> usize {
    let is_link = |word: &str| {
        let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        ["http://", "https://", "www."]
            .iter()
            .any(|begin| word.get(..begin.len()).is_some_and(|found| found.eq_ignore_ascii_case(begin)))
    };
    text.split(char::is_whitespace).filter(|word| is_link(word)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_given_as_the_table_says() {
        let quiet = Lately { repeats: 1, burst: 1 };
        let links = |n: usize| "see (https://example.org/x) ".repeat(n);
        for (text, lately, points) in [
            ("Where is my parcel?".to_owned(), quiet, 0),
            (links(2), quiet, 0),
            (links(3), quiet, 30),
            (links(5), quiet, 50),
            ("WWW.a.example HTTP://b.example httpx://c https:/d üüüü http://é".to_owned(), quiet, 30),
            ("hello".to_owned(), Lately { repeats: 2, burst: 10 }, 0),
            ("hello".to_owned(), Lately { repeats: 3, burst: 3 }, 50),
            ("hello".to_owned(), Lately { repeats: 1, burst: 11 }, 50),
            (links(9), Lately { repeats: 9, burst: 99 }, 100),
        ] {
            assert_eq!(score(&text, lately), points, "{text} {lately:?}");
        }
    }
}
