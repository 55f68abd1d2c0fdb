//! The work behind the scenes: sealing what is in memory, joining segments, building graphs. The files are written while
//! searches and changes go on; only the exchange of the old for the new takes the writer.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Vectors;
use super::graph::{self, Build, Builder};
use super::manifest::file_name;
use super::plan::Job;
use super::scan::Rows;
use super::segment::{self, Part, Run};
use super::writer::VectorWriter;
use crate::search::Result;
use crate::search::boundary::boundary;

/// A graph of the same rows is the same graph, as far as threads allow.
const SEED: u64 = 0x5eed;

/// What a job needs, taken while the writer was held.
pub struct Begun {
    job: Job,
    number: u64,
    vectors: Vectors,
    cursor: u64,
    directory: PathBuf,
}

/// What a job made.
pub struct Made {
    begun: Begun,
    /// The runs of each old segment that the new one holds, in its order.
    from: Vec<(u64, Vec<Run>)>,
    segment: Option<Arc<segment::Segment>>,
}

impl VectorWriter {
    /// Begins a job.
    pub fn begin(&mut self, job: Job) -> Begun {
        Begun {
            job,
            number: self.take_number(),
            vectors: self.snapshot(),
            cursor: self.cursor(),
            directory: self.directory().to_path_buf(),
        }
    }

    /// Puts the result of a job in the place of what it was made from.
    pub fn exchange(&mut self, made: &Made) {
        let new = made.segment.clone().map(|segment| (made.begun.number, segment));
        if made.begun.job == Job::Seal {
            self.set_sealed(made.begun.cursor);
            if let Some((number, segment)) = new {
                self.exchange_fresh(number, segment);
            }
        } else {
            self.exchange_sealed(&made.from, new);
        }
    }
}

impl Made {
    /// Removes the files of the segments that it replaced, once nothing on disk names them.
    pub fn remove_sources(&self) -> Result<()> {
        for (number, _) in &self.from {
            std::fs::remove_file(self.begun.directory.join(file_name(*number)))?;
            boundary("an old segment is removed");
        }
        Ok(())
    }
}

impl Begun {
    /// Does the work; `None` if it was called off.
    ///
    /// # Errors
    /// Those of the files.
    pub fn run(self, cancelled: &AtomicBool) -> Result<Option<Made>> {
        match self.job.clone() {
            Job::Seal => self.seal(),
            Job::Rewrite { which, graph } => self.rewrite(which, graph, cancelled),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(file_name(self.number))
    }

    fn seal(self) -> Result<Option<Made>> {
        let parts = self.vectors.fresh.parts();
        let segment = if parts.is_empty() {
            None
        } else {
            segment::write(&self.path(), self.vectors.dimension, &parts, |_| Some(Vec::new()))?
        };
        drop(parts);
        Ok(Some(Made { from: Vec::new(), segment: segment.map(Arc::new), begun: self }))
    }

    fn rewrite(self, which: Range<usize>, graph: bool, cancelled: &AtomicBool) -> Result<Option<Made>> {
        let sources = self.vectors.sealed.get(which).unwrap_or_default();
        // The oldest one's graph can be gone on with, if it is most of the new one; its dead rows stay then.
        let total: u64 = sources.iter().map(|source| source.alive()).sum();
        let base = sources.first().filter(|first| {
            let (rows, dead) = (first.segment.len() as u64, first.dead.len());
            graph && sources.len() > 1 && first.segment.has_graph() && rows * 2 >= total && dead * 10 <= rows
        });
        let runs = |source: &super::Sealed| match base {
            Some(base) if base.number == source.number => {
                (0..source.segment.runs()).map(|at| source.segment.run(at)).collect::<Vec<_>>()
            }
            _ => source.alive_runs().collect(),
        };
        let from: Vec<(u64, Vec<Run>)> = sources.iter().map(|source| (source.number, runs(source))).collect();
        let parts: Vec<Part<'_>> = sources
            .iter()
            .zip(&from)
            .map(|(source, (_, runs))| Part { rows: source.segment.rows(), runs: runs.clone() })
            .collect();
        let segment = if from.iter().all(|(_, runs)| runs.is_empty()) {
            None
        } else {
            let base = base.and_then(|base| base.segment.graph());
            let build = |rows: Rows<'_>| match graph {
                true => build_graph(rows, base, cancelled),
                false => Some(Vec::new()),
            };
            let Some(written) = segment::write(&self.path(), self.vectors.dimension, &parts, build)? else {
                return Ok(None);
            };
            Some(Arc::new(written))
        };
        drop(parts);
        Ok(Some(Made { from, segment, begun: self }))
    }
}

fn build_graph(rows: Rows<'_>, base: Option<graph::Graph<'_>>, cancelled: &AtomicBool) -> Option<Vec<u32>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pause = || {};
    graph::build(Builder::Parallel, &Build { rows, threads, seed: SEED, base, cancelled, pause: &pause })
}
