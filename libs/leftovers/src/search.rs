//! A search over any number of stores: their files as raw bytes, and what their own readers give.

mod files;

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::{Mutex, PoisonError},
};

use crate::{
    Finding, Form, Place, Report, Tokens, Unread,
    engine::{Engine, Event},
    streams::{self, Kind},
};

/// How deep streams within streams are opened.
const DEPTH: usize = 3;
/// Bytes of an unpacked stream that are held at once; of a longer one, the streams within are not opened, and it is
/// reported as unread.
const HELD: usize = 64 << 20;
/// Most bytes that are unpacked from one stream.
const LONGEST_STREAM: u64 = 4 << 30;
/// Fewer unpacked bytes than this are taken for chance, and not counted as a stream.
const MEANT: usize = 64;
/// How much is read at a time.
const CHUNK: usize = 4 << 20;
/// Most findings and most unread places that are kept.
const MOST: usize = 100_000;

/// How far a search of a folder is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Which store.
    pub store: &'a str,
    /// Bytes looked at.
    pub done: u64,
    /// Bytes there are.
    pub total: u64,
}

type Tell<'a> = dyn Fn(Progress<'_>) + Send + Sync + 'a;

/// Looks for tokens and gathers headers and keys. Hand it store after store, then take the [`Report`].
pub struct Search<'a> {
    pub(crate) labels: Vec<String>,
    pub(crate) texts: Vec<String>,
    engine: Engine,
    progress: Option<Box<Tell<'a>>>,
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    findings: HashMap<(usize, Form, String, String), (Place, u64)>,
    report: Report,
}

/// What was seen in one place.
#[derive(Default)]
pub(crate) struct Seen {
    events: Vec<(Place, Event)>,
    unread: Vec<Unread>,
    streams: u64,
    unpacked: u64,
}

impl<'a> Search<'a> {
    /// A search for these tokens.
    pub fn new(tokens: &Tokens) -> Self {
        Self {
            engine: Engine::new(&tokens.texts),
            labels: tokens.labels.clone(),
            texts: tokens.texts.clone(),
            progress: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
            state: Mutex::default(),
        }
    }

    /// Calls `report` now and then while folders are searched, from several threads.
    #[must_use]
    pub fn progress(mut self, report: impl Fn(Progress<'_>) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Looks at bytes that were had from somewhere: compressed streams in them are opened.
    pub fn bytes(&self, store: &str, path: &str, bytes: &[u8]) {
        let mut seen = Seen::default();
        let place = Place { store: store.to_owned(), path: path.to_owned(), offset: 0 };
        self.memory(bytes, &place, 0, &mut seen);
        self.note(seen, store, bytes.len() as u64);
    }

    /// Notes that something could not be looked at.
    pub fn unread(&self, store: &str, path: &str, why: impl Into<String>) {
        let place = Place { store: store.to_owned(), path: path.to_owned(), offset: 0 };
        let unread = vec![Unread { place, why: why.into() }];
        self.note(Seen { unread, ..Seen::default() }, store, 0);
    }

    /// Ends the search.
    pub fn report(self) -> Report {
        let State { findings, mut report } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.findings = findings
            .into_iter()
            .map(|((token, form, ..), (place, count))| Finding {
                token: self.labels[token].clone(),
                form,
                place,
                count,
            })
            .collect();
        report.findings.sort_by(|a, b| (&a.place, &a.token, a.form).cmp(&(&b.place, &b.token, b.form)));
        if report.harvest.dropped > 0 {
            let place = Place { store: "all".to_owned(), path: "harvest".to_owned(), offset: 0 };
            let why =
                format!("{} sightings of further headers and keys were not kept", report.harvest.dropped);
            report.unread.push(Unread { place, why });
        }
        report.unread.sort_by(|a, b| a.place.cmp(&b.place));
        report
    }

    pub(crate) fn found(&self, token: usize, form: Form, place: Place) {
        let mut seen = Seen::default();
        let store = place.store.clone();
        seen.events.push((place, Event::Token { token, form }));
        self.note(seen, &store, 0);
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut crate::Looked)) {
        count(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).report.looked);
    }

    fn note(&self, seen: Seen, store: &str, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.report.looked.streams += seen.streams;
        state.report.looked.unpacked += seen.unpacked;
        *state.report.stores.entry(store.to_owned()).or_default() += bytes;
        for unread in seen.unread {
            if state.report.unread.len() < MOST {
                state.report.unread.push(unread);
            }
        }
        for (place, event) in seen.events {
            match event {
                Event::Token { token, form } => {
                    let key = (token, form, place.store.clone(), place.path.clone());
                    if state.findings.len() < MOST || state.findings.contains_key(&key) {
                        state.findings.entry(key).or_insert((place, 0)).1 += 1;
                    }
                }
                Event::Header(header) => state.report.harvest.header(header, &place),
                Event::Wrapped(wrapped) => state.report.harvest.wrapped(wrapped, &place),
                Event::Blob(blob) => state.report.harvest.tenant_key(blob, &place),
                Event::Stream(_) => {}
            }
        }
    }

    /// Looks at bytes in memory, and into the streams in them.
    fn memory(&self, bytes: &[u8], place: &Place, depth: usize, seen: &mut Seen) {
        let mut events = Vec::new();
        self.engine.look(bytes, 0, bytes.len(), &mut events);
        for (at, event) in events {
            match event {
                Event::Stream(kind) => self.packed(kind, &bytes[at..], at as u64, place, depth, seen),
                other => seen.events.push((Place { offset: at as u64, ..place.clone() }, other)),
            }
        }
    }

    /// Looks into a stream that may begin here.
    fn packed(&self, kind: Kind, from: impl Read, at: u64, place: &Place, depth: usize, seen: &mut Seen) {
        let inner =
            || Place { path: format!("{} › {}@{at}", place.path, kind.name()), offset: 0, ..place.clone() };
        if depth == DEPTH {
            return;
        }
        let Some(stream) = streams::open(kind, from) else { return };
        let mut stream = Forgiving(stream).take(LONGEST_STREAM);
        let mut held = Vec::new();
        let Ok(ended) = fill(&mut stream, &mut held, HELD) else { return };
        // What is no stream at all gives nothing, or a few bytes of noise.
        if held.is_empty() {
            return;
        }
        let place = inner();
        seen.streams += u64::from(held.len() >= MEANT);
        seen.unpacked += held.len() as u64;
        if ended {
            self.memory(&held, &place, depth + 1, seen);
            return;
        }
        let why = format!("streams within a stream of more than {} MiB are not opened", HELD >> 20);
        seen.unread.push(Unread { place: place.clone(), why });
        let mut within = Vec::new();
        let unpacked = self.windows(held, &mut stream, &place, seen, &mut within, &mut |_| {});
        seen.unpacked += unpacked.unwrap_or(0);
        if stream.limit() == 0 {
            let why =
                format!("a stream of more than {} GiB is not unpacked to its end", LONGEST_STREAM >> 30);
            seen.unread.push(Unread { place, why });
        }
    }

    /// Looks at a stream of bytes through a window: `held` is its beginning. Streams that begin in it are put on the
    /// list `within`. Answers how many bytes came behind `held`.
    fn windows(
        &self,
        mut held: Vec<u8>,
        rest: &mut impl Read,
        place: &Place,
        seen: &mut Seen,
        within: &mut Vec<(Kind, u64)>,
        read: &mut dyn FnMut(u64),
    ) -> io::Result<u64> {
        let margin = self.engine.margin();
        let (mut base, mut from, mut more) = (0_u64, 0_usize, 0_u64);
        let mut events = Vec::new();
        loop {
            let before = held.len();
            let ended = fill(rest, &mut held, CHUNK + 2 * margin)?;
            let fresh = (held.len() - before) as u64;
            more += fresh;
            read(fresh);
            let to = if ended { held.len() } else { held.len().saturating_sub(margin) };
            self.engine.look(&held, from, to.max(from), &mut events);
            for (at, event) in events.drain(..) {
                let offset = base + at as u64;
                match event {
                    Event::Stream(kind) => within.push((kind, offset)),
                    other => seen.events.push((Place { offset, ..place.clone() }, other)),
                }
            }
            if ended {
                return Ok(more);
            }
            // The last margin before the next offset stays, as context.
            let drop = to.saturating_sub(margin);
            held.drain(..drop);
            base += drop as u64;
            from = to - drop;
        }
    }
}

/// Reads until `held` has `limit` bytes; `true` when the stream ended before.
fn fill(stream: &mut impl Read, held: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    while held.len() < limit {
        let begin = held.len();
        held.resize(limit.min(begin + (1 << 20)), 0);
        let read = loop {
            match stream.read(&mut held[begin..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        held.truncate(begin + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A compressed stream that breaks ends there: what came before counts.
struct Forgiving<R>(R);

impl<R: Read> Read for Forgiving<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.read(out).unwrap_or(0))
    }
}
