//! The keyword index of one collection: tantivy, a row a chunk, its journal cursor in the commit payload.

mod analyze;
mod dictionary;
mod directory;
mod expand;
mod join;
mod mark;
mod parse;
mod query;
mod rows;
mod schema;
mod score;
mod segment;
mod similar;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tantivy::columnar::Column;
use tantivy::index::SegmentId;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::store::Compressor;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{
    DocAddress, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, SegmentReader,
    TantivyError, Term,
};

use self::analyze::{Analysis, analyses};
use self::directory::UnsyncedDirectory;
use self::join::Joining;
pub use self::mark::Marker;
use self::query::Spoken;
pub use self::rows::Rows;
use self::schema::{Fields, ID_COLUMNS, ROW_COLUMN};
use self::score::Pool;
use self::words::Words;
use super::filter;
use super::vector::Bits;
use super::{Error, Result};
use crate::types::*;

/// The least that tantivy accepts; never used, because the writer gets whole segments.
const WRITER_BYTES: usize = 15_000_000;
const META: &str = "meta.json";

/// The index of a collection and the one writer that changes it.
pub struct KeywordIndex {
    path: PathBuf,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    /// Commits and merges; it gets whole segments, see [`segment`].
    writer: Option<IndexWriter>,
    joining: Option<Joining>,
    cursor: u64,
    /// Tantivy's number of the last commit: the version of the rows that are written next.
    version: u64,
    /// Whether the last change failed.
    stale: bool,
    last_used: Instant,
    columns: Columns,
    pool: Pool,
}

impl KeywordIndex {
    /// Opens the index in a directory, or makes an empty one. What cannot be read back whole is [`Error::Damaged`].
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        if path.join(META).exists() {
            directory::remove_unused(path, &verify(path)?)?;
        }
        let (schema, fields) = schema::schema();
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let builder = Index::builder().schema(schema).settings(settings).tokenizers(tokenizers());
        let index = builder.open_or_create(UnsyncedDirectory::open(path)?)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let cursor = cursor(&index).ok_or_else(|| damaged(path, "it is of another version"))?;
        let version = index.load_metas()?.opstamp;
        Ok(Self {
            path: path.to_path_buf(),
            index,
            reader,
            fields,
            writer: None,
            joining: None,
            cursor,
            version,
            stale: false,
            last_used: Instant::now(),
            columns: Columns::default(),
            pool: Pool::default(),
        })
    }

    /// Reads the index in a directory without changing anything: up to which journal entry it is complete, and how many rows
    /// it has. `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it can't be read back whole.
    pub fn examine(path: &Path) -> Result<Option<(u64, u64)>> {
        if !path.join(META).exists() {
            return Ok(None);
        }
        verify(path)?;
        let index = Index::open(UnsyncedDirectory::open(path)?)?;
        let cursor = cursor(&index).ok_or_else(|| damaged(path, "it is of another version"))?;
        let segments = index.load_metas()?.segments;
        Ok(Some((cursor, segments.iter().map(|segment| u64::from(segment.num_docs())).sum())))
    }

    /// The journal entry up to which the index is complete.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Puts changes in force, in the given order, and moves the cursor. On an error nothing is changed, and the index
    /// can be used further.
    pub fn apply(&mut self, changes: &[Change], cursor: u64) -> Result<()> {
        if self.stale {
            self.catch_up()?;
        }
        let applied = self.try_apply(changes, cursor.max(self.cursor));
        self.stale = applied.is_err();
        applied
    }

    /// After an error nobody knows how far a commit got, but the directory does.
    fn catch_up(&mut self) -> Result<()> {
        self.writer = None;
        self.joining = None;
        self.reader.reload()?;
        self.version = self.index.load_metas()?.opstamp;
        self.cursor = cursor(&self.index).unwrap_or(self.cursor);
        self.stale = false;
        Ok(())
    }

    fn try_apply(&mut self, changes: &[Change], cursor: u64) -> Result<()> {
        let latest = latest(changes);
        for (document, change) in &latest {
            // To look for what there can't be costs a walk through the terms of each segment.
            if !change.is_some_and(|put| put.is_first) {
                self.delete(*document)?;
            }
        }
        let documents: Vec<&IndexDocument> = latest.into_values().flatten().collect();
        for segment in segment::write(&self.index, self.fields, self.version, &documents)? {
            self.writer()?.add_segment(segment)?;
        }
        let mut prepared = self.writer()?.prepare_commit()?;
        prepared.set_payload(&schema::payload(cursor));
        self.version = prepared.commit()?;
        self.reader.reload()?;
        self.cursor = cursor;
        self.last_used = Instant::now();
        Ok(())
    }

    /// Deletes a document as it is by its versions: a deletion by its id would reach the rows of the new version, too,
    /// which tantivy gets as a finished segment.
    fn delete(&mut self, document: DocumentId) -> Result<()> {
        let mut versions = BTreeSet::new();
        let (first, last) = (filter::version_term(document, 0), filter::version_term(document, u64::MAX));
        for segment in self.reader.searcher().segment_readers() {
            let attributes = segment.inverted_index(self.fields.attributes)?;
            let mut terms = attributes.terms().range().ge(&first).le(&last).into_stream()?;
            while terms.advance() {
                versions.insert(terms.key().to_vec());
            }
        }
        for version in versions {
            let term = Term::from_field_bytes(self.fields.attributes, &version);
            self.writer()?.delete_term(term);
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(WRITER_BYTES)
                .build();
            let writer: IndexWriter = self.index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(merge_policy()));
            // A new writer numbers its first operation like the last commit, and a merge takes a segment with deletions
            // of that number for up to date: a deletion could be lost. So the first one deletes nothing.
            writer.delete_term(Term::from_field_bytes(self.fields.attributes, &[]));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| Error::Index(format!("no writer for {}", self.path.display())))
    }

    /// The index as of the last commit.
    pub fn snapshot(&mut self) -> Result<Keywords> {
        let searcher = self.reader.searcher();
        let languages = languages(&searcher, self.fields)?;
        self.columns = self.columns.following(&searcher);
        let (columns, pool) = (self.columns.clone(), self.pool.clone());
        Ok(Keywords { searcher, fields: self.fields, languages, columns, pool, words: Words::default() })
    }
}

fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(analyze::STEMS, analyze::TaggedTokenizer::stems());
    tokenizers.register(analyze::WORDS, analyze::TaggedTokenizer::words());
    tokenizers
}

/// What becomes of each document: its last change, a deletion as `None`.
fn latest(changes: &[Change]) -> BTreeMap<DocumentId, Option<&IndexDocument>> {
    let last = changes.iter().map(|change| match change {
        Change::Put(document) => (document.document.id, Some(document)),
        Change::Delete(document) => (*document, None),
    });
    last.collect()
}

/// Few small segments after many small commits, and seldom a large one rewritten.
fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(8);
    policy.set_min_layer_size(64);
    policy.set_level_log_size(3.0);
    policy.set_del_docs_ratio_before_merge(0.3);
    policy
}

/// Reads every file of the index and compares its checksum; the names of all files that belong to it. Done on a copy of the mappings, which are let go again:
/// else the whole index would count as memory of the process.
fn verify(path: &Path) -> Result<HashSet<PathBuf>> {
    let index = Index::open(UnsyncedDirectory::open(path)?)?;
    if index.schema() != schema::schema().0 {
        return Err(damaged(path, "its schema is of another version"));
    }
    let wrong = index.validate_checksum()?;
    match wrong.iter().min() {
        None => Ok(index.load_metas()?.list_segment_files()),
        Some(file) => Err(damaged(path, &format!("the checksum of {} is wrong", file.display()))),
    }
}

fn damaged(path: &Path, detail: &str) -> Error {
    Error::Damaged { path: path.to_path_buf(), detail: detail.to_owned() }
}

/// 0 before the first commit; `None` if the payload is not ours.
fn cursor(index: &Index) -> Option<u64> {
    let metas = index.load_metas().ok()?;
    match metas.payload {
        None => metas.segments.is_empty().then_some(0),
        Some(payload) => schema::cursor_of(&payload),
    }
}

/// The languages that rows were analysed in.
fn languages(searcher: &Searcher, fields: Fields) -> Result<Vec<Spoken>> {
    let mut found: HashMap<Vec<u8>, (u64, Vec<u32>)> = HashMap::new();
    for (position, segment) in (0..).zip(searcher.segment_readers()) {
        let attributes = segment.inverted_index(fields.attributes)?;
        let mut terms = attributes.terms().range().lt([filter::LANGUAGE + 1]).into_stream()?;
        while terms.advance() {
            let (rows, segments) = found.entry(terms.key().to_vec()).or_default();
            *rows += u64::from(terms.value().doc_freq);
            segments.push(position);
        }
    }
    let spoken = |analysis: &'static Analysis| {
        let (rows, segments) = found.remove(&filter::language_term(analysis.code))?;
        Some(Spoken { analysis, rows, segments })
    };
    Ok(analyses().iter().filter_map(spoken).collect())
}

/// The index at one commit; searches of it are not disturbed by later ones.
pub struct Keywords {
    searcher: Searcher,
    fields: Fields,
    languages: Vec<Spoken>,
    columns: Columns,
    pool: Pool,
    words: Words,
}

impl Keywords {
    /// Rows that can be found.
    pub fn len(&self) -> u64 {
        self.searcher.num_docs()
    }

    /// Rows by the language they were analysed in.
    pub fn languages(&self) -> Vec<(&'static str, u64)> {
        self.languages.iter().map(|spoken| (spoken.analysis.code, spoken.rows)).collect()
    }

    /// The rows that pass a filter.
    pub fn matching(&self, filter: &Filter) -> Result<Rows> {
        let mut rows = HashMap::new();
        for segment in self.searcher.segment_readers() {
            let matching = filter::Segment::matching(segment, self.fields.attributes, filter)?;
            rows.insert(segment.segment_id(), matching);
        }
        Ok(Rows(Arc::new(rows)))
    }

    /// The best chunks with their BM25, best first.
    pub fn search(
        &self,
        query: &SearchQuery,
        allowed: Option<&Rows>,
        limit: usize,
    ) -> Result<Vec<KeywordHit>> {
        let asked = (query.text.as_str(), query.typo_tolerance);
        let rows = query::search(self, asked, allowed, limit)?;
        self.hits(&rows)
    }

    /// Marks the words of a query in texts of this index.
    pub fn marker(&self, query: &SearchQuery) -> Result<Marker> {
        let asked = (query.text.as_str(), query.typo_tolerance);
        Ok(query::marker(self, asked)?)
    }

    fn hits(&self, rows: &[(f32, DocAddress)]) -> Result<Vec<KeywordHit>> {
        let hit = |(score, row): &(f32, DocAddress)| {
            let ids = self.columns.of(&self.searcher, row.segment_ord)?;
            Ok(KeywordHit { row: ids.row(row.doc_id), score: *score, place: *row })
        };
        rows.iter().map(hit).collect()
    }

    /// Which chunk a row is.
    pub fn chunk(&self, hit: &KeywordHit) -> Result<ChunkId> {
        Ok(self.columns.of(&self.searcher, hit.place.segment_ord)?.chunk(hit.place.doc_id))
    }

    /// The numbers by which vector search knows these rows.
    pub fn allowed(&self, rows: &Rows) -> Result<Bits> {
        let mut allowed = Bits::default();
        for (position, segment) in (0..).zip(self.searcher.segment_readers()) {
            let Some(rows) = rows.0.get(&segment.segment_id()).filter(|rows| !rows.is_empty()) else {
                continue;
            };
            let ids = self.columns.of(&self.searcher, position)?;
            rows.iter().for_each(|row| allowed.insert(ids.row(row)));
        }
        Ok(allowed)
    }
}

/// A row that keyword search found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct KeywordHit {
    /// Its number in the collection.
    pub row: u32,
    /// BM25.
    pub score: f32,
    place: DocAddress,
}

/// The columns of each segment, opened when first asked for.
#[derive(Clone, Default)]
struct Columns(Vec<(SegmentId, Arc<OnceLock<IdColumns>>)>);

impl Columns {
    /// Of the segments of a searcher; what was opened before stays open.
    fn following(&self, searcher: &Searcher) -> Self {
        let columns = searcher.segment_readers().iter().map(|segment| {
            let id = segment.segment_id();
            let known = self.0.iter().find(|(other, _)| *other == id).map(|(_, columns)| columns.clone());
            (id, known.unwrap_or_default())
        });
        Self(columns.collect())
    }

    fn of(&self, searcher: &Searcher, position: u32) -> Result<&IdColumns> {
        let columns = &self.0[position as usize].1;
        if let Some(columns) = columns.get() {
            return Ok(columns);
        }
        let opened = IdColumns::open(searcher.segment_reader(position))?;
        Ok(columns.get_or_init(|| opened))
    }
}

/// The columns of one segment that tell which chunk a row is.
struct IdColumns {
    high: Column<u64>,
    low: Column<u64>,
    index: Column<u64>,
    row: Column<u64>,
}

impl IdColumns {
    fn open(segment: &SegmentReader) -> Result<Self> {
        let columns = segment.fast_fields();
        let [high, low, index] = ID_COLUMNS;
        Ok(Self {
            high: columns.u64(high)?,
            low: columns.u64(low)?,
            index: columns.u64(index)?,
            row: columns.u64(ROW_COLUMN)?,
        })
    }

    fn chunk(&self, row: u32) -> ChunkId {
        let value = |column: &Column<u64>| column.first(row).unwrap_or_default();
        let document = DocumentId(uuid::Uuid::from_u64_pair(value(&self.high), value(&self.low)));
        ChunkId { document, index: u32::try_from(value(&self.index)).unwrap_or(u32::MAX) }
    }

    fn row(&self, row: u32) -> u32 {
        self.row.first(row).and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)
    }
}

impl From<TantivyError> for Error {
    fn from(error: TantivyError) -> Self {
        use tantivy::directory::error::{OpenReadError, OpenWriteError};
        let full = match &error {
            TantivyError::IoError(io) => is_full(io),
            TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. })
            | TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => is_full(io_error),
            // Errors of tantivy's threads come as text.
            other => other.to_string().contains("No space left"),
        };
        if full { Error::Full } else { Error::Index(error.to_string()) }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if is_full(&error) { Error::Full } else { Error::Index(error.to_string()) }
    }
}

pub(super) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
