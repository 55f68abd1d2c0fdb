//! Where unfinished jobs stand and what their stages made: append-only files in `cache/`, never fsynced.
//!
//! This is not the truth, only saved work: it survives a crash of the process (the kernel has the bytes), and after
//! a loss of power the jobs begin anew. redb would lose exactly the steps before a crash with non-durable commits,
//! and would cost an fsync a stage with durable ones. A file goes when no open job has anything in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::at;
use super::records::{StepRecord, unpack};
use super::{Artefact, Result};
use crate::types::*;

/// A new file is begun beyond this size.
const SEGMENT_BYTES: u64 = 32 << 20;
/// Length of the payload, 8 bytes of its checksum.
const FRAME: usize = 12;
/// Document, job, kind, ordinal.
const HEADER: usize = 16 + 8 + 1 + 4;

/// Kinds of notes.
const CLAIMED: u8 = 1;
const RELEASED: u8 = 2;
const STEP: u8 = 3;

struct Segment {
    path: Arc<Path>,
    file: Arc<File>,
    len: u64,
    /// Open jobs with something in it.
    jobs: usize,
}

/// Where a note's own bytes lie.
#[derive(Clone)]
struct Place {
    path: Arc<Path>,
    file: Arc<File>,
    offset: u64,
    len: usize,
}

struct Progress {
    job: u64,
    stage: Stage,
    attempts: u32,
    steps: Vec<Place>,
    segments: BTreeSet<u64>,
}

impl Progress {
    fn new(job: u64) -> Self {
        Self { job, stage: Stage::Queued, attempts: 0, steps: Vec::new(), segments: BTreeSet::new() }
    }
}

/// A note as it stands in a file.
struct Note<'a> {
    document: DocumentId,
    job: u64,
    kind: u8,
    ordinal: u32,
    body: &'a [u8],
}

pub(super) struct Scratch {
    dir: PathBuf,
    segments: BTreeMap<u64, Segment>,
    jobs: HashMap<DocumentId, Progress>,
}

impl Scratch {
    /// Reads what an earlier process left, as far as it is whole and `open_job` still knows the job.
    pub(super) fn open(dir: PathBuf, open_job: impl Fn(DocumentId) -> Option<u64>) -> Result<Self> {
        let mut scratch = Self { dir, segments: BTreeMap::new(), jobs: HashMap::new() };
        for (number, path) in segment_paths(&scratch.dir)? {
            scratch.load(number, path, &open_job)?;
        }
        let unused: Vec<u64> = scratch
            .segments
            .iter()
            .filter(|(_, segment)| segment.jobs == 0)
            .map(|(number, _)| *number)
            .collect();
        unused.into_iter().for_each(|number| scratch.drop_segment(number));
        Ok(scratch)
    }

    fn load(
        &mut self,
        number: u64,
        path: PathBuf,
        open_job: &impl Fn(DocumentId) -> Option<u64>,
    ) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(at(&path))?;
        let file = Arc::new(file);
        let path: Arc<Path> = path.into();
        let segment = Segment { path: path.clone(), file: file.clone(), len: 0, jobs: 0 };
        self.segments.insert(number, segment);
        let mut offset = 0;
        while let Some(note) = read_note(&bytes[offset..]) {
            let len = FRAME + HEADER + note.body.len();
            if open_job(note.document) == Some(note.job) {
                let place = Place {
                    path: path.clone(),
                    file: file.clone(),
                    offset: (offset + FRAME + HEADER) as u64,
                    len: note.body.len(),
                };
                self.replay(&note, number, place);
            }
            offset += len;
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.len = offset as u64;
        }
        Ok(())
    }

    /// A step counts only if all before it were found: its inputs are among them.
    fn replay(&mut self, note: &Note<'_>, segment: u64, place: Place) {
        let progress = self.jobs.entry(note.document).or_insert_with(|| Progress::new(note.job));
        match note.kind {
            CLAIMED => progress.attempts += 1,
            RELEASED => progress.attempts = progress.attempts.saturating_sub(1),
            STEP => {
                let Ok(step) = unpack::<StepRecord>(note.body) else { return };
                progress.steps.truncate(if note.ordinal == 0 { 0 } else { usize::MAX });
                if progress.steps.len() != note.ordinal as usize {
                    return;
                }
                progress.stage = step.to;
                progress.steps.push(place);
            }
            _ => return,
        }
        self.refer(note.document, segment);
    }

    fn refer(&mut self, document: DocumentId, number: u64) {
        if let Some(progress) = self.jobs.get_mut(&document)
            && progress.segments.insert(number)
            && let Some(segment) = self.segments.get_mut(&number)
        {
            segment.jobs += 1;
        }
    }

    /// Notes that somebody begins with a job; how often that was so before.
    pub(super) fn claimed(&mut self, document: DocumentId, job: u64) -> Result<u32> {
        if self.jobs.get(&document).is_some_and(|progress| progress.job != job) {
            self.forget(document);
        }
        let before = self.jobs.get(&document).map_or(0, |progress| progress.attempts);
        self.append(document, job, CLAIMED, 0, &[])?;
        if let Some(progress) = self.jobs.get_mut(&document) {
            progress.attempts = before + 1;
        }
        Ok(before)
    }

    /// Notes that a job was given back in good health.
    pub(super) fn released(&mut self, document: DocumentId) -> Result<()> {
        let Some(progress) = self.jobs.get_mut(&document) else { return Ok(()) };
        progress.attempts = progress.attempts.saturating_sub(1);
        let job = progress.job;
        self.append(document, job, RELEASED, 0, &[]).map(|_| ())
    }

    /// Notes a step; `body` is a packed [`StepRecord`].
    pub(super) fn step(&mut self, document: DocumentId, job: u64, to: Stage, body: &[u8]) -> Result<()> {
        if to <= Stage::Parsing
            && let Some(progress) = self.jobs.get_mut(&document)
        {
            // From the beginning: what was kept is of no use.
            progress.steps.clear();
        }
        let ordinal = self.jobs.get(&document).map_or(0, |progress| progress.steps.len());
        let place = self.append(document, job, STEP, ordinal as u32, body)?;
        if let Some(progress) = self.jobs.get_mut(&document) {
            progress.stage = to;
            progress.steps.push(place);
        }
        Ok(())
    }

    fn append(
        &mut self,
        document: DocumentId,
        job: u64,
        kind: u8,
        ordinal: u32,
        body: &[u8],
    ) -> Result<Place> {
        let bytes = frame(&Note { document, job, kind, ordinal, body });
        let number = self.current()?;
        self.jobs.entry(document).or_insert_with(|| Progress::new(job));
        self.refer(document, number);
        let Some(segment) = self.segments.get_mut(&number) else {
            return Err(super::Error::Database("the scratch file is gone".into()));
        };
        // A write that fails half-way leaves `len` as it was: the next one overwrites it.
        segment.file.write_all_at(&bytes, segment.len).map_err(at(&segment.path))?;
        let offset = segment.len + (FRAME + HEADER) as u64;
        segment.len += bytes.len() as u64;
        Ok(Place { path: segment.path.clone(), file: segment.file.clone(), offset, len: body.len() })
    }

    /// The file to append to; a new one if the last is full.
    fn current(&mut self) -> Result<u64> {
        let last = self.segments.last_key_value();
        if let Some((number, _)) = last.filter(|(_, segment)| segment.len < SEGMENT_BYTES) {
            return Ok(*number);
        }
        let number = last.map_or(0, |(number, _)| number + 1);
        let path = self.dir.join(format!("stages-{number:08}.log"));
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = Arc::new(options.map_err(at(&path))?);
        self.segments.insert(number, Segment { path: path.into(), file, len: 0, jobs: 0 });
        Ok(number)
    }

    /// A job is over.
    pub(super) fn forget(&mut self, document: DocumentId) {
        let Some(progress) = self.jobs.remove(&document) else { return };
        for number in progress.segments {
            let Some(segment) = self.segments.get_mut(&number) else { continue };
            segment.jobs -= 1;
            if segment.jobs == 0 {
                self.drop_segment(number);
            }
        }
    }

    /// The last file is emptied, others are removed. What stays behind by an error is read and dropped again at the
    /// next start.
    fn drop_segment(&mut self, number: u64) {
        let is_last = self.segments.last_key_value().is_some_and(|(last, _)| *last == number);
        let Some(segment) = self.segments.get_mut(&number) else { return };
        if is_last && segment.file.set_len(0).is_ok() {
            segment.len = 0;
            return;
        }
        let _ = fs::remove_file(&segment.path);
        self.segments.remove(&number);
    }

    /// Where a job stands.
    pub(super) fn stage(&self, document: DocumentId) -> Stage {
        self.jobs.get(&document).map_or(Stage::Queued, |progress| progress.stage)
    }

    /// Where the jobs stand that were begun.
    pub(super) fn stages(&self) -> impl Iterator<Item = (DocumentId, Stage)> {
        self.jobs.iter().map(|(document, progress)| (*document, progress.stage))
    }

    /// How to read the outputs of a job's stages, in order.
    pub(super) fn outputs(&self, document: DocumentId) -> Outputs {
        Outputs(self.jobs.get(&document).map(|progress| progress.steps.clone()).unwrap_or_default())
    }
}

/// Outputs of stages, to be read without the lock.
pub(super) struct Outputs(Vec<Place>);

impl Outputs {
    pub(super) fn read(self) -> Result<Vec<Artefact>> {
        let mut artefacts = Vec::new();
        for place in self.0 {
            let mut bytes = vec![0; place.len];
            place.file.read_exact_at(&mut bytes, place.offset).map_err(at(&place.path))?;
            artefacts.extend(unpack::<StepRecord>(&bytes)?.done);
        }
        Ok(artefacts)
    }
}

/// Checksum, so that a torn tail is noticed.
fn checksum(payload: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(payload);
    std::array::from_fn(|index| hash.as_bytes()[index])
}

fn frame(note: &Note<'_>) -> Vec<u8> {
    let len = HEADER + note.body.len();
    let mut bytes = vec![0; FRAME];
    bytes.reserve(len);
    bytes.extend_from_slice(note.document.as_bytes());
    bytes.extend_from_slice(&note.job.to_le_bytes());
    bytes.push(note.kind);
    bytes.extend_from_slice(&note.ordinal.to_le_bytes());
    bytes.extend_from_slice(note.body);
    let sum = checksum(&bytes[FRAME..]);
    bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[4..FRAME].copy_from_slice(&sum);
    bytes
}

/// The note at the beginning of `bytes`; `None` where there is no whole one.
fn read_note(bytes: &[u8]) -> Option<Note<'_>> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let payload = rest.get(..u32::from_le_bytes(*len) as usize)?;
    if checksum(payload) != *sum {
        return None;
    }
    let (document, payload) = payload.split_first_chunk::<16>()?;
    let (job, payload) = payload.split_first_chunk::<8>()?;
    let (kind, payload) = payload.split_first()?;
    let (ordinal, body) = payload.split_first_chunk::<4>()?;
    Some(Note {
        document: DocumentId::from_bytes(*document),
        job: u64::from_le_bytes(*job),
        kind: *kind,
        ordinal: u32::from_le_bytes(*ordinal),
        body,
    })
}

/// Removes all saved work below a directory, which need not be there.
pub(super) fn forget_all(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    segment_paths(dir)?.into_values().try_for_each(|path| fs::remove_file(&path).map_err(at(&path)))
}

/// Files of earlier processes, oldest first.
fn segment_paths(dir: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let mut paths = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("stages-").and_then(|rest| rest.strip_suffix(".log")?.parse().ok());
        if let Some(number) = number {
            paths.insert(number, path);
        }
    }
    Ok(paths)
}
