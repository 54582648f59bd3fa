//! The conversations that the demo loads: the project's own few dozen in ten languages, or a file.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, bail};
use serde::Deserialize;

const OWN: &str = include_str!("../../data/conversations.jsonl");
/// A file may have so many conversations, and a line so many bytes.
const MOST_CONVERSATIONS: usize = 100_000;
const LONGEST_LINE: usize = 1 << 20;

/// One conversation of the data.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    #[serde(default = "live_chat")]
    pub(crate) channel: String,
    /// Absent in files that have texts alone: then a contact is made up from the id.
    #[serde(default)]
    pub(crate) contact: Option<Person>,
    pub(crate) turns: Vec<Turn>,
}

/// Who the customer is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) phone: String,
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) company: String,
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Turn {
    pub(crate) from: From,
    pub(crate) text: String,
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum From {
    Contact,
    Agent,
}

fn live_chat() -> String {
    "live_chat".into()
}

impl Conversation {
    /// The contact, or one made up from the id.
    pub(crate) fn person(&self) -> Person {
        self.contact.clone().unwrap_or_else(|| Person {
            name: format!("Visitor {}", self.id),
            phone: String::new(),
            email: format!("{}@visitors.example", self.id),
            company: String::new(),
        })
    }
}

/// The conversations of `file`, or the project's own.
pub(crate) fn conversations(file: Option<&Path>) -> anyhow::Result<Vec<Conversation>> {
    let Some(path) = file else { return read(OWN.as_bytes(), "the demo's own data") };
    let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    read(BufReader::new(opened), &path.display().to_string())
}

fn read(lines: impl BufRead, name: &str) -> anyhow::Result<Vec<Conversation>> {
    let mut conversations = Vec::new();
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("{name}, line {}", number + 1))?;
        if line.len() > LONGEST_LINE || number >= MOST_CONVERSATIONS {
            bail!("{name} is too large: at most {MOST_CONVERSATIONS} lines of {LONGEST_LINE} bytes");
        }
        if line.trim().is_empty() {
            continue;
        }
        let read = serde_json::from_str(&line);
        conversations.push(read.with_context(|| format!("{name}, line {}, is no conversation", number + 1))?);
    }
    if conversations.is_empty() {
        bail!("{name} has no conversation");
    }
    Ok(conversations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_data_are_a_few_dozen_conversations_with_contacts() {
        let own = conversations(None).expect("the own data are readable");
        assert!(own.len() >= 24);
        assert!(own.iter().all(|c| c.contact.is_some() && c.turns.len() >= 4));
    }

    #[test]
    fn a_line_that_is_no_conversation_is_named() {
        let error =
            read("{\"id\":\"a\",\"turns\":[]}\n{\"id\":1}\n".as_bytes(), "x").expect_err("line 2 is wrong");
        assert!(format!("{error:#}").contains("x, line 2"));
        assert!(read("".as_bytes(), "x").is_err());
    }
}
