//! Segments: files of vectors that never change. A file holds the rows of whole documents, in the order of their row
//! numbers, and for a large segment the graph over them.
//!
//! Layout: a header, then sections that begin at multiples of 64 bytes: documents, first rows, places, lengths, order by
//! document, row numbers, steps, upper halves, lower halves, graph. Little-endian. Each section has a checksum in the
//! header, and the header has one of its own.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::graph::Graph;
use super::mapped::Mapped;
use super::scan::Rows;
use crate::search::boundary::boundary;
use crate::search::{Error, Result};
use crate::types::*;

const MAGIC: &[u8; 8] = b"SRVEC\0\0\x01";
const ALIGN: usize = 64;
const HEADER_BYTES: usize = 192;
const SECTIONS: usize = 10;

#[cfg(not(target_endian = "little"))]
compile_error!("segments are little-endian and are used as they lie in the file");

/// The rows of one version of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    pub document: DocumentId,
    /// Number of its first row in the collection.
    pub first: u32,
    /// Place of its first row in the segment.
    pub start: u32,
    /// How many.
    pub len: u32,
    /// Length of the sum of the rows.
    pub length: f32,
}

impl Run {
    /// Places in the segment.
    pub fn places(&self) -> Range<u32> {
        self.start..self.start + self.len
    }

    /// Row numbers in the collection.
    pub fn rows(&self) -> Range<u32> {
        self.first..self.first + self.len
    }
}

/// Sizes that determine the place of everything in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    dimension: usize,
    rows: usize,
    runs: usize,
    graph_words: usize,
}

impl Shape {
    /// Bytes of each section.
    fn lengths(&self) -> Option<[usize; SECTIONS]> {
        let matrix = self.rows.checked_mul(self.dimension)?;
        let (of_runs, of_rows) = (self.runs.checked_mul(4)?, self.rows.checked_mul(4)?);
        let graph = self.graph_words.checked_mul(4)?;
        Some([
            self.runs.checked_mul(16)?,
            of_runs,
            of_runs,
            of_runs,
            of_runs,
            of_rows,
            of_rows,
            matrix,
            matrix,
            graph,
        ])
    }

    /// Where each section lies; the last end is the length of the file.
    fn sections(&self) -> Option<[Range<usize>; SECTIONS]> {
        let mut at = HEADER_BYTES;
        let mut sections: [Range<usize>; SECTIONS] = Default::default();
        for (section, length) in sections.iter_mut().zip(self.lengths()?) {
            *section = at..at.checked_add(length)?;
            at = section.end.checked_next_multiple_of(ALIGN)?;
        }
        Some(sections)
    }

    fn header(&self, checksums: &[u32; SECTIONS]) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        let sizes = [self.dimension, self.rows, self.runs, self.graph_words];
        for (into, size) in header[8..40].chunks_exact_mut(8).zip(sizes) {
            into.copy_from_slice(&(size as u64).to_le_bytes());
        }
        for (into, checksum) in header[40..80].chunks_exact_mut(4).zip(checksums) {
            into.copy_from_slice(&checksum.to_le_bytes());
        }
        let own = crc32fast::hash(&header[..HEADER_BYTES - 4]);
        header[HEADER_BYTES - 4..].copy_from_slice(&own.to_le_bytes());
        header
    }

    fn read(header: &[u8]) -> Option<(Self, [u32; SECTIONS])> {
        let header = header.get(..HEADER_BYTES)?;
        let own = u32::from_le_bytes(header[HEADER_BYTES - 4..].try_into().ok()?);
        if &header[..8] != MAGIC || crc32fast::hash(&header[..HEADER_BYTES - 4]) != own {
            return None;
        }
        let size = |at: usize| {
            usize::try_from(u64::from_le_bytes(header[8 + at * 8..16 + at * 8].try_into().ok()?)).ok()
        };
        let shape = Self { dimension: size(0)?, rows: size(1)?, runs: size(2)?, graph_words: size(3)? };
        let mut checksums = [0; SECTIONS];
        for (checksum, bytes) in checksums.iter_mut().zip(header[40..80].chunks_exact(4)) {
            *checksum = u32::from_le_bytes(bytes.try_into().ok()?);
        }
        Some((shape, checksums))
    }
}

/// A mapped segment.
#[derive(Debug)]
pub struct Segment {
    map: Mapped,
    path: PathBuf,
    shape: Shape,
    sections: [Range<usize>; SECTIONS],
    checksums: [u32; SECTIONS],
}

impl Segment {
    /// Maps a file and checks its shape; [`Self::verify`] reads it.
    pub fn open(path: &Path) -> Result<Self> {
        let damaged = |detail: &str| Error::Damaged { path: path.to_path_buf(), detail: detail.to_owned() };
        let map = Mapped::open(path).map_err(|error| damaged(&error.to_string()))?;
        let (shape, checksums) = Shape::read(&map).ok_or_else(|| damaged("its header can't be read"))?;
        let sections = shape.sections().ok_or_else(|| damaged("its sizes make no sense"))?;
        if sections[SECTIONS - 1].end != map.len() {
            return Err(damaged("it is of another length than its header says"));
        }
        Ok(Self { map, path: path.to_path_buf(), shape, sections, checksums })
    }

    /// Compares all checksums, and checks what searches rely on: that no place or id points outside.
    ///
    /// Reads a mapping of its own that is let go again: else the whole segment would count as memory of the process.
    pub fn verify(&self) -> Result<()> {
        let damaged =
            |detail: String| Error::Damaged { path: self.path.clone(), detail: format!("{detail} is wrong") };
        let map = Mapped::open(&self.path)?;
        for (at, (section, checksum)) in self.sections.iter().zip(self.checksums).enumerate() {
            let right = map.get(section.clone()).is_some_and(|bytes| crc32fast::hash(bytes) == checksum);
            right.then_some(()).ok_or_else(|| damaged(format!("the checksum of section {at}")))?;
        }
        let ends = (0..self.runs()).map(|at| self.run(at).places()).try_fold(0, |end, places| {
            (places.start == end && places.end as usize <= self.len()).then_some(places.end)
        });
        if ends != Some(self.len() as u32) {
            return Err(damaged("the list of documents".into()));
        }
        if self.has_graph() && !self.graph().is_some_and(|graph| graph.check()) {
            return Err(damaged("the graph".into()));
        }
        Ok(())
    }

    fn section<T: bytemuck::AnyBitPattern>(&self, at: usize) -> &[T] {
        bytemuck::try_cast_slice(&self.map[self.sections[at].clone()]).unwrap_or_default()
    }

    /// Numbers in a row.
    pub fn dimension(&self) -> usize {
        self.shape.dimension
    }

    /// How many rows, dead ones too.
    pub fn len(&self) -> usize {
        self.shape.rows
    }

    /// How many documents, or rather versions of documents.
    pub fn runs(&self) -> usize {
        self.shape.runs
    }

    /// A run by its position; they are ordered by row.
    pub fn run(&self, at: usize) -> Run {
        let (firsts, starts, lengths) =
            (self.section::<u32>(1), self.section::<u32>(2), self.section::<f32>(3));
        let documents: &[[u8; 16]] = self.section(0);
        let start = starts.get(at).copied().unwrap_or_default();
        let end = starts.get(at + 1).copied().unwrap_or(self.len() as u32);
        Run {
            document: DocumentId::from_bytes(documents.get(at).copied().unwrap_or_default()),
            first: firsts.get(at).copied().unwrap_or_default(),
            start,
            len: end.saturating_sub(start),
            length: lengths.get(at).copied().unwrap_or_default(),
        }
    }

    /// The runs of a document: its versions, older ones first.
    pub fn runs_of(&self, document: DocumentId) -> impl Iterator<Item = Run> + '_ {
        let (order, documents): (&[u32], &[[u8; 16]]) = (self.section(4), self.section(0));
        let id = *document.as_bytes();
        let key = move |at: &u32| documents.get(*at as usize).copied().unwrap_or_default();
        let from = order.partition_point(|at| key(at) < id);
        order[from..].iter().take_while(move |at| key(at) == id).map(|at| self.run(*at as usize))
    }

    /// The run that holds a place.
    pub fn run_at(&self, place: u32) -> Run {
        let starts = self.section::<u32>(2);
        self.run(starts.partition_point(|start| *start <= place).saturating_sub(1))
    }

    /// The row number of each place, ascending.
    pub fn numbers(&self) -> &[u32] {
        self.section(5)
    }

    /// Row numbers from the first to the last; there may be gaps.
    pub fn span(&self) -> Range<u32> {
        match (self.numbers().first(), self.numbers().last()) {
            (Some(first), Some(last)) => *first..last.saturating_add(1),
            _ => 0..0,
        }
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            dimension: self.dimension(),
            upper: self.section(7),
            lower: self.section(8),
            steps: self.section(6),
        }
    }

    /// Whether there is a graph over the rows.
    pub fn has_graph(&self) -> bool {
        self.shape.graph_words > 0
    }

    /// The graph over the rows, where there is one.
    pub fn graph(&self) -> Option<Graph<'_>> {
        let words = self.section(9);
        if words.is_empty() { None } else { Graph::read(words, self.len()) }
    }
}

/// Rows to write: some runs of one source.
pub struct Part<'a> {
    /// Of the source.
    pub rows: Rows<'a>,
    /// Places are those of the source.
    pub runs: Vec<Run>,
}

/// Writes a segment. Makes the graph over what was written, if `graph` gives one; `Ok(None)` if it was called off.
///
/// The file gets its name once all of it is on disk.
pub fn write(
    path: &Path,
    dimension: usize,
    parts: &[Part<'_>],
    graph: impl FnOnce(Rows<'_>) -> Option<Vec<u32>>,
) -> Result<Option<Segment>> {
    let new = path.with_extension("new");
    let shape = write_rows(&new, dimension, parts)?;
    boundary("the rows are written");
    let written = Segment::open(&new)?;
    let Some(words) = graph(written.rows()) else {
        std::fs::remove_file(&new)?;
        return Ok(None);
    };
    let checksums = written.checksums;
    drop(written);
    finish(&new, shape, checksums, &words)?;
    boundary("the segment is written");
    std::fs::rename(&new, path)?;
    boundary("the segment has its name");
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Segment::open(path).map(Some)
}

/// Everything but the graph.
fn write_rows(path: &Path, dimension: usize, parts: &[Part<'_>]) -> Result<Shape> {
    let runs = || parts.iter().flat_map(|part| &part.runs);
    let rows = runs().map(|run| run.len as usize).sum();
    let shape = Shape { dimension, rows, runs: runs().count(), graph_words: 0 };
    let mut writer = Sections::begin(path)?;
    writer.section(runs().map(|run| run.document.as_bytes().as_slice()))?;
    writer.words(runs().map(|run| run.first))?;
    let starts = runs().scan(0, |next, run| {
        let start = *next;
        *next += run.len;
        Some(start)
    });
    writer.words(starts)?;
    writer.words(runs().map(|run| run.length.to_bits()))?;
    let mut order: Vec<(DocumentId, u32)> = runs().map(|run| run.document).zip(0..).collect();
    order.sort_unstable();
    writer.words(order.into_iter().map(|(_, at)| at))?;
    writer.words(runs().flat_map(Run::rows))?;
    let pieces = || parts.iter().flat_map(|part| part.runs.iter().map(|run| (part.rows, span(run))));
    writer.section(pieces().map(|(rows, span)| bytemuck::cast_slice(&rows.steps[span])))?;
    let wide = |span: Range<usize>| span.start * dimension..span.end * dimension;
    writer.section(pieces().map(|(rows, span)| bytemuck::cast_slice(&rows.upper[wide(span)])))?;
    writer.section(pieces().map(|(rows, span)| bytemuck::cast_slice(&rows.lower[wide(span)])))?;
    writer.section(std::iter::empty())?;
    writer.end(shape)?;
    Ok(shape)
}

fn span(run: &Run) -> Range<usize> {
    run.start as usize..(run.start + run.len) as usize
}

/// Appends the graph, and puts all of it on disk.
fn finish(path: &Path, shape: Shape, mut checksums: [u32; SECTIONS], words: &[u32]) -> io::Result<()> {
    let shape = Shape { graph_words: words.len(), ..shape };
    let bytes: &[u8] = bytemuck::cast_slice(words);
    checksums[SECTIONS - 1] = crc32fast::hash(bytes);
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&shape.header(&checksums))?;
    file.sync_all()
}

/// Writes sections one after the other, and the header in the end.
struct Sections {
    file: BufWriter<File>,
    at: usize,
    checksums: Vec<u32>,
}

impl Sections {
    fn begin(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&[0; HEADER_BYTES])?;
        Ok(Self { file, at: HEADER_BYTES, checksums: Vec::with_capacity(SECTIONS) })
    }

    fn section<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let padding = self.at.next_multiple_of(ALIGN) - self.at;
        self.file.write_all(&[0; ALIGN][..padding])?;
        self.at += padding;
        let mut checksum = crc32fast::Hasher::new();
        for piece in pieces {
            self.file.write_all(piece)?;
            checksum.update(piece);
            self.at += piece.len();
        }
        self.checksums.push(checksum.finalize());
        Ok(())
    }

    fn words(&mut self, words: impl Iterator<Item = u32>) -> io::Result<()> {
        let words: Vec<u32> = words.collect();
        self.section(std::iter::once(bytemuck::cast_slice(&words)))
    }

    fn end(self, shape: Shape) -> io::Result<()> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let checksums = self.checksums.try_into().unwrap_or([0; SECTIONS]);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&shape.header(&checksums))
    }
}
