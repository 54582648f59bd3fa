//! Reads an index folder as a stranger would: no writer, no reader of the engine's, its own look at the files. Verifies
//! what the purge claims, and hands every term, column and stored field to whoever looks for leftovers. Segments are
//! read with their deleted documents, and so are those that no longer belong to the index.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use lethe_ids::TenantId;
use tantivy::{
    Index, SegmentReader, TantivyDocument, TantivyError,
    directory::MmapDirectory,
    index::{Segment, SegmentId},
    schema::{Document as _, FieldType, Value as _},
};

use crate::engine::{EngineError, Scanned, Wanted};

/// Where in an index a piece of bytes was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PieceKind {
    /// A term of the dictionary.
    Term,
    /// A stored field.
    Stored,
    /// A distinct value of a column.
    Column,
}

/// Some bytes of an index.
#[derive(Debug, Clone)]
pub struct Piece<'a> {
    /// The folder of the shard.
    pub folder: &'a Path,
    /// The segment's id, in hex.
    pub segment: &'a str,
    /// The field's name.
    pub field: &'a str,
    /// What it is.
    pub kind: PieceKind,
    /// The bytes, decoded from the engine's own encoding. Integers are big-endian.
    pub bytes: &'a [u8],
}

/// Why an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file cannot be read.
    #[error("the index folder cannot be read")]
    Io(#[from] std::io::Error),
    /// A segment cannot be read. While it is written to, try again.
    #[error("a segment of the index cannot be read")]
    Segment(#[from] TantivyError),
}

/// Hands every term, stored field and column value of every segment below `folder` (the folder of an engine, or of one
/// shard) to `visit`. Answers the files that are no part of a segment that could be read.
///
/// # Errors
/// When a file or segment that the index lists cannot be read.
pub fn read_folder(folder: &Path, visit: &mut dyn FnMut(&Piece<'_>)) -> Result<Vec<PathBuf>, ScanError> {
    let mut shards = Vec::new();
    if folder.join("meta.json").exists() {
        shards.push(folder.to_owned());
    } else {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.join("meta.json").exists() {
                shards.push(path);
            }
        }
    }
    shards.sort();
    let mut unread = Vec::new();
    for shard in shards {
        let contents = Contents::of(&shard)?;
        for segment in &contents.listed {
            read_segment(&shard, segment, visit)?;
        }
        for (stray, files) in &contents.strays {
            if stray.as_ref().is_none_or(|segment| read_segment(&shard, segment, visit).is_err()) {
                unread.extend(files.iter().map(|name| shard.join(name)));
            }
        }
    }
    Ok(unread)
}

/// Looks for what is wanted in a shard's folder.
pub(super) fn scan(folder: &Path, tenant: TenantId, wanted: &Wanted) -> Result<Scanned, EngineError> {
    let mut keys: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    let ids = (wanted.messages.iter().map(|m| (b'm', m.uuid())))
        .chain(wanted.contacts.iter().map(|c| (b'c', c.uuid())))
        .chain(wanted.conversations.iter().map(|v| (b'v', v.uuid())));
    for (kind, id) in ids {
        keys.insert([&[kind], tenant.uuid().as_bytes().as_slice(), id.as_bytes()].concat(), false);
    }
    let contents = Contents::of(folder).map_err(failed)?;
    let mut scanned = Scanned::default();
    for segment in contents.listed.iter().chain(contents.strays.iter().filter_map(|(s, _)| s.as_ref())) {
        scanned.segments += 1;
        let read = read_segment(folder, segment, &mut |piece| {
            scanned.terms += u64::from(piece.kind == PieceKind::Term);
            if let Some(found) = keys.get_mut(piece.bytes) {
                *found = true;
            }
        });
        if contents.listed.iter().any(|listed| listed.id() == segment.id()) {
            read.map_err(failed)?;
        }
    }
    scanned.stray_files = contents.strays.iter().map(|(_, files)| files.len() as u64).sum();
    scanned.found = keys.values().filter(|found| **found).count() as u64;
    Ok(scanned)
}

fn failed(error: ScanError) -> EngineError {
    EngineError::Failed(error.to_string())
}

/// The segments of a shard's folder: those the index lists, and whatever else lies there.
struct Contents {
    listed: Vec<Segment>,
    /// A segment when the files look like one, and the files' names.
    strays: Vec<(Option<Segment>, Vec<String>)>,
}

impl Contents {
    fn of(folder: &Path) -> Result<Self, ScanError> {
        let index = Index::open(MmapDirectory::open(folder).map_err(TantivyError::from)?)?;
        let listed = index.searchable_segments()?;
        let ids: BTreeSet<String> = listed.iter().map(|segment| segment.id().uuid_string()).collect();
        let deletes: BTreeSet<PathBuf> = index.load_metas()?.list_segment_files().into_iter().collect();
        let mut strays: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let owner = name.split('.').next().unwrap_or_default().to_owned();
            let ours = name == "meta.json" || name.ends_with(".lock");
            let of_listed = ids.contains(&owner) && deletes.contains(Path::new(&name));
            if !ours && !of_listed {
                strays.entry(owner).or_default().push(name);
            }
        }
        let strays = strays.into_iter().map(|(owner, files)| {
            let id = SegmentId::from_uuid_string(&owner).ok().filter(|_| !ids.contains(&owner));
            (id.map(|id| index.segment(index.new_segment_meta(id, 0))), files)
        });
        let strays = strays.collect();
        Ok(Self { listed, strays })
    }
}

fn read_segment(
    folder: &Path,
    segment: &Segment,
    visit: &mut dyn FnMut(&Piece<'_>),
) -> Result<(), ScanError> {
    let reader = SegmentReader::open(segment)?;
    let id = segment.id().uuid_string();
    let schema = segment.schema();
    for (field, entry) in schema.fields() {
        let piece = |kind| Piece { folder, segment: &id, field: entry.name(), kind, bytes: &[] };
        if entry.is_indexed() {
            let terms = reader.inverted_index(field)?;
            let mut stream = terms.terms().stream()?;
            while let Some((term, _)) = stream.next() {
                visit(&Piece { bytes: term, ..piece(PieceKind::Term) });
            }
        }
        if entry.is_fast() {
            for value in column_values(&reader, entry.name(), entry.field_type())? {
                visit(&Piece { bytes: &value, ..piece(PieceKind::Column) });
            }
        }
    }
    for document in reader.get_store_reader(1)?.iter::<TantivyDocument>(None) {
        let document = document?;
        for (field, value) in document.iter_fields_and_values() {
            let bytes = match (value.as_str(), value.as_bytes()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (None, Some(bytes)) => bytes.to_vec(),
                (None, None) => continue,
            };
            let field = schema.get_field_name(field);
            visit(&Piece { folder, segment: &id, field, kind: PieceKind::Stored, bytes: &bytes });
        }
    }
    Ok(())
}

/// The distinct values of a column, deleted documents' included.
fn column_values(
    reader: &SegmentReader,
    name: &str,
    kind: &FieldType,
) -> Result<BTreeSet<Vec<u8>>, ScanError> {
    let columns = reader.fast_fields();
    let mut values = BTreeSet::new();
    match kind {
        FieldType::U64(_) => {
            let column = columns.u64(name)?;
            values.extend(
                (0..column.num_docs()).filter_map(|at| column.first(at)).map(|v| v.to_be_bytes().to_vec()),
            );
        }
        FieldType::I64(_) => {
            let column = columns.i64(name)?;
            values.extend(
                (0..column.num_docs()).filter_map(|at| column.first(at)).map(|v| v.to_be_bytes().to_vec()),
            );
        }
        _ => {}
    }
    Ok(values)
}
