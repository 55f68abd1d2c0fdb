use std::ops::Range;

use super::{CollectionKey, ContentHash, DocumentId, JsonMap, PluginId, TimestampMs};

/// The canonical lower-case extension of a file type, such as `pdf` or `rs`.
pub type FileType = String;

/// A step of ingestion, in order. `Ready` and `Failed` are final.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Acknowledged, not begun.
    Queued,
    /// A parser reads the bytes.
    Parsing,
    /// The text is cut into chunks.
    Chunking,
    /// Enrichers annotate.
    Enriching,
    /// The embedder makes vectors.
    Embedding,
    /// Store and indexes take the document in.
    Indexing,
    /// Searches find it.
    Ready,
    /// It will not become ready without a new try; the document's error says why.
    Failed,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 8] = [
        Stage::Queued,
        Stage::Parsing,
        Stage::Chunking,
        Stage::Enriching,
        Stage::Embedding,
        Stage::Indexing,
        Stage::Ready,
        Stage::Failed,
    ];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Parsing => "parsing",
            Stage::Chunking => "chunking",
            Stage::Enriching => "enriching",
            Stage::Embedding => "embedding",
            Stage::Indexing => "indexing",
            Stage::Ready => "ready",
            Stage::Failed => "failed",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Whether no work is left.
    pub fn is_final(self) -> bool {
        matches!(self, Stage::Ready | Stage::Failed)
    }

    /// Share of the work that is done when the stage begins, 0 to 1.
    pub fn progress(self) -> f32 {
        match self {
            Stage::Queued => 0.0,
            Stage::Parsing => 0.1,
            Stage::Chunking => 0.4,
            Stage::Enriching => 0.5,
            Stage::Embedding => 0.6,
            Stage::Indexing => 0.9,
            Stage::Ready | Stage::Failed => 1.0,
        }
    }
}

/// The code of a document whose job was cancelled.
pub const CANCELLED: &str = "cancelled";

/// Why a document failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentError {
    /// Stable: `empty, encrypted, corrupt, unsupported_type, limit_memory, limit_time, limit_output, trap, …`.
    pub code: String,
    /// The stage that failed.
    pub stage: Stage,
    /// The plugin that failed, if one did.
    pub plugin: Option<String>,
    /// For people; says what to do.
    pub detail: String,
}

/// Something that went less than well while the document became ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Stable snake_case.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Zero-based page it concerns.
    pub page: Option<u32>,
}

/// What made the document's chunks, each with version and hash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// The parser.
    pub parser: Option<PluginId>,
    /// The chunker's name and version; part of the host.
    pub chunker: Option<String>,
    /// The embedder.
    pub embedder: Option<PluginId>,
    /// The enrichers that ran.
    pub enrichers: Vec<PluginId>,
}

/// A document as its owner sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Owner and collection.
    pub collection: CollectionKey,
    /// Whether whoever it was loaded for is not its owner.
    pub foreign: bool,
    /// The name it was uploaded under, without directories.
    pub filename: String,
    /// Where it came from, if the client said so: a newer version from there replaces it.
    pub path: Option<String>,
    /// From the content.
    pub file_type: FileType,
    /// Bytes.
    pub file_size: u64,
    /// Of the original bytes.
    pub hash: ContentHash,
    /// As given by the client, in order, without repetitions.
    pub tags: Vec<String>,
    /// The client's metadata, and under `metadata.<plugin>.<key>` the enrichers' annotations of the document.
    pub metadata: JsonMap,
    /// When it was acknowledged.
    pub upload_time: TimestampMs,
    /// Where it stands.
    pub status: Stage,
    /// Title from the file itself.
    pub title: Option<String>,
    /// How many chunks searches can find.
    pub chunk_count: u32,
    /// What went less than well.
    pub warnings: Vec<Warning>,
    /// Set exactly when `status` is `Failed`.
    pub error: Option<DocumentError>,
    /// What made the chunks.
    pub provenance: Provenance,
}

impl Document {
    /// What whoever it was loaded for calls its collection.
    pub fn collection_name(&self) -> String {
        if self.foreign { self.collection.full_name() } else { self.collection.name.to_string() }
    }
}

/// What a block of text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum BlockKind {
    Heading,
    Paragraph,
    ListItem,
    Code,
    Quote,
    Table,
    Caption,
    Footnote,
    Formula,
    Image,
    PageHeader,
    PageFooter,
    Other,
}

impl BlockKind {
    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockKind::Heading => "heading",
            BlockKind::Paragraph => "paragraph",
            BlockKind::ListItem => "list_item",
            BlockKind::Code => "code",
            BlockKind::Quote => "quote",
            BlockKind::Table => "table",
            BlockKind::Caption => "caption",
            BlockKind::Footnote => "footnote",
            BlockKind::Formula => "formula",
            BlockKind::Image => "image",
            BlockKind::PageHeader => "page_header",
            BlockKind::PageFooter => "page_footer",
            BlockKind::Other => "other",
        }
    }

    /// Whether the block is repeated furniture of the page: kept in the text, left out of chunks.
    pub fn is_furniture(self) -> bool {
        matches!(self, BlockKind::PageHeader | BlockKind::PageFooter)
    }
}

/// A cell of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Zero-based.
    pub row: u32,
    /// Zero-based.
    pub column: u32,
    /// Rows it covers, at least 1.
    pub row_span: u32,
    /// Columns it covers, at least 1.
    pub column_span: u32,
    /// Whether it belongs to the table's header.
    pub header: bool,
    /// Bytes of the document's text.
    pub span: Range<usize>,
}

/// A block of the document's text, in reading order; blocks do not overlap.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Headings: 1 to 6. List items: nesting from 1. Else 0.
    pub level: u8,
    /// Bytes of the document's text, on character boundaries.
    pub span: Range<usize>,
    /// Zero-based.
    pub page: Option<u32>,
    /// `[x0, y0, x1, y1]` in points, origin at the top left of the page.
    pub bbox: Option<[f32; 4]>,
    /// A named part of the file: a sheet, a slide, a chapter.
    pub part: Option<String>,
    /// BCP 47, where the file declares it.
    pub language: Option<String>,
    /// Tables only, row by row.
    pub cells: Vec<Cell>,
}

/// How reading a page went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum PageStatus {
    Ok,
    Empty,
    NeedsOcr,
    Failed,
}

impl PageStatus {
    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            PageStatus::Ok => "ok",
            PageStatus::Empty => "empty",
            PageStatus::NeedsOcr => "needs_ocr",
            PageStatus::Failed => "failed",
        }
    }
}

/// A page of the document.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// Zero-based.
    pub number: u32,
    /// As printed, where the file says so.
    pub label: Option<String>,
    /// Points; 0 where the format has no pages.
    pub width: f32,
    /// Points; 0 where the format has no pages.
    pub height: f32,
    /// How it went.
    pub status: PageStatus,
}

/// What a parser makes of a file: one normalised (NFC) text and its structure.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Parsed {
    /// The whole text. Every span of this record points into it.
    pub text: String,
    /// In reading order.
    pub blocks: Vec<Block>,
    /// Empty where the format has no pages.
    pub pages: Vec<Page>,
    /// Whether page numbers mean something to a reader.
    pub paged: bool,
    /// From the file itself.
    pub title: Option<String>,
    /// BCP 47, where the file declares it.
    pub language: Option<String>,
    /// Author, dates, subject.
    pub metadata: JsonMap,
    /// What went less than well.
    pub warnings: Vec<Warning>,
}

/// A chunk as the chunker makes it. `parsed.text[span]` is its text.
#[derive(Clone, PartialEq, Debug)]
pub struct ChunkSpan {
    /// Bytes of the document's text.
    pub span: Range<usize>,
    /// Unicode code points of the document's text: the offsets of the API.
    pub chars: Range<usize>,
    /// Zero-based page of its first character.
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// What it needs to be understood but does not contain, such as the header row of a cut table.
    pub context: Option<String>,
    /// By the embedder's own count.
    pub tokens: u32,
}

/// A stored chunk.
#[derive(Clone, PartialEq, Debug)]
pub struct Chunk {
    /// Zero-based position in the document.
    pub index: u32,
    /// Its text; equals the document's text at `chars`.
    pub text: String,
    /// Unicode code points of the document's text.
    pub chars: Range<usize>,
    /// Zero-based.
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// See [`ChunkSpan::context`].
    pub context: Option<String>,
    /// ISO 639-1, from the language enricher or the file.
    pub language: Option<String>,
    /// By the embedder's own count.
    pub tokens: u32,
    /// `<plugin>.<key>` annotations as nested objects.
    pub metadata: JsonMap,
}

impl Chunk {
    /// What is embedded: heading path, context and text, a line each.
    pub fn embedding_text(&self) -> String {
        let path = self.heading_path.join(" > ");
        let parts = [path.as_str(), self.context.as_deref().unwrap_or(""), self.text.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}
