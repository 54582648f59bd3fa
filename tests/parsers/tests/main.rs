//! Feeds every parser its corpus, and what is nearly it: the same in each run, and without a compiler of its own.

#![allow(missing_docs, reason = "a test")]

use std::{collections::BTreeSet, fs, panic, path::Path};

use lethe_parsers::PARSERS;

/// Changes of each file of a corpus.
const CHANGES: u64 = 2_000;

fn fuzz() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// The names in a folder, without what follows the first dot.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz().join(folder)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
}

/// A parser's files, in the order of their names: what the fuzzer found beside ours is left out, so that all runs are alike.
fn corpus(parser: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(parser);
    let entries = fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").file_name());
    let names = entries.map(|name| name.into_string().expect("a name"));
    let ours: BTreeSet<String> =
        names.filter(|name| ["taken-", "refused-"].iter().any(|o| name.starts_with(o))).collect();
    ours.into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).expect("a file"))).collect()
}

#[test]
fn every_parser_has_a_target_and_a_corpus() {
    let parsers: BTreeSet<String> = PARSERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), parsers);
    assert_eq!(names("corpus"), parsers);
}

#[test]
fn every_parser_takes_what_it_should_and_refuses_what_it_should() {
    let mut wrong = Vec::new();
    for (name, parse) in PARSERS {
        let corpus = corpus(name);
        assert!(corpus.iter().any(|(file, _)| file.starts_with("taken-")), "{name} takes nothing");
        let unlike = corpus.iter().filter(|(file, bytes)| parse(bytes) != file.starts_with("taken-"));
        wrong.extend(unlike.map(|(file, _)| format!("{name}/{file}")));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_parser_minds_what_is_nearly_its_corpus() {
    for (name, parse) in PARSERS {
        let corpus: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, bytes)| bytes).collect();
        for (number, seed) in (1_u64..).zip(&corpus) {
            let mut random = Random(number);
            for _ in 0..CHANGES {
                let changed = random.change(seed, &corpus);
                let outcome = panic::catch_unwind(|| parse(&changed));
                assert!(outcome.is_ok(), "{name} panics at \"{}\"", changed.escape_ascii());
            }
        }
    }
}

/// Xorshift: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// One to four changes: a bit, a byte, a piece gone, doubled, or of another file.
    fn change(&mut self, seed: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = at + self.below((bytes.len() - at).min(16) + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.drain(at..to)),
                3 => {
                    let piece = bytes[at..to].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len() + 1);
                    let end = from + self.below((other.len() - from).min(32) + 1);
                    bytes.splice(at..to, other[from..end].iter().copied());
                }
                _ => bytes.insert(at, [0, 0xff, b'"', b'+', b'\\', 0x80, b'_', b'='][self.below(8)]),
            }
        }
        bytes
    }
}
