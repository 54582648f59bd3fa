//! Our analysis as a tokenizer of Tantivy's. The index knows it by name; a query never goes through it.

use std::vec;

use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};

use crate::analysis;

/// The tokenizer's name in the schema.
pub(super) const WORDS: &str = "words";

/// Tantivy's own, which it wants to have for fields that are no texts, and ours.
pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(WORDS, TextAnalyzer::from(Words));
    tokenizers
}

#[derive(Clone)]
struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = Stream;

    fn token_stream(&mut self, text: &str) -> Stream {
        Stream { rest: analysis::tokens(text).into_iter(), token: Token::default() }
    }
}

struct Stream {
    rest: vec::IntoIter<analysis::Token>,
    token: Token,
}

impl TokenStream for Stream {
    fn advance(&mut self) -> bool {
        let Some(next) = self.rest.next() else { return false };
        self.token.position = next.position as usize;
        self.token.text = next.term;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
