//! What is looked for.

/// Shortest token, in bytes of UTF-8: anything shorter stands in random bytes by chance.
pub const SHORTEST_TOKEN: usize = 8;
/// Longest token, in bytes of UTF-8.
pub const LONGEST_TOKEN: usize = 4096;

/// A token that cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token {label} has {length} bytes: it must have {SHORTEST_TOKEN} to {LONGEST_TOKEN}")]
pub struct BadToken {
    /// What it was called.
    pub label: String,
    /// Its length in bytes.
    pub length: usize,
}

/// Texts that must be nowhere, each with a label that may be printed. They should be such as nobody else's data hold:
/// a scan cannot know whose words it finds.
#[derive(Clone, Default)]
pub struct Tokens {
    pub(crate) labels: Vec<String>,
    pub(crate) texts: Vec<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.labels).finish()
    }
}

impl Tokens {
    /// Tokens by `(label, text)`.
    ///
    /// # Errors
    /// [`BadToken`] for the first one that is too short or too long.
    pub fn new<L: Into<String>, T: Into<String>>(
        tokens: impl IntoIterator<Item = (L, T)>,
    ) -> Result<Self, BadToken> {
        let mut all = Self::default();
        for (label, text) in tokens {
            let (label, text) = (label.into(), text.into());
            if !(SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&text.len()) {
                return Err(BadToken { label, length: text.len() });
            }
            all.labels.push(label);
            all.texts.push(text);
        }
        Ok(all)
    }
}
