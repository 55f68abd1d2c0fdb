//! What a finished vector index costs to open in a new process: time to the first answer, and memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::quantile;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::search::{Search, Space};
use crate::telemetry::resident_bytes;
use crate::types::*;

const COLLECTION: CollectionId = CollectionId(1);
/// Vectors that are given to the index at once.
const BATCH: usize = 4096;
/// Processes; the median counts.
const ROUNDS: usize = 5;
const QUERIES: &str = "queries.f32";

/// What one process, or the median of some, has seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reopened {
    /// From the first look at the files to the first answer.
    pub ms: f64,
    /// More resident memory after all queries than before, mapped files included.
    pub bytes: f64,
}

/// A new process that opens what [`write`] wrote.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    directory: PathBuf,
    dimension: usize,
}

fn space(dimension: usize) -> Space {
    Space { fingerprint: "bench".into(), dimension }
}

/// Puts an index of these vectors into a directory as the daemon would, optimized, and queries for [`measure`].
pub(super) fn write(
    directory: &Path,
    (vectors, queries): (&[f32], &[Vec<f32>]),
    dimension: usize,
) -> anyhow::Result<()> {
    let search = Search::open(directory)?;
    search.open_collection(COLLECTION, Some(&space(dimension)))?;
    let mut row = 0;
    for batch in vectors.chunks(BATCH * dimension) {
        let changes: Vec<_> = batch
            .chunks(dimension)
            .map(|vector| {
                row += 1;
                let document = DocumentId(uuid::Uuid::from_u128(row.into()));
                VectorChange::Put { document, first_row: row, vectors: vector.to_vec() }
            })
            .collect();
        search.apply_vectors(COLLECTION, &changes, row.into())?;
    }
    search.optimize()?;
    search.close();
    let numbers: Vec<u8> = queries.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    Ok(std::fs::write(directory.join(QUERIES), numbers)?)
}

/// Opens the index in new processes, one after the other.
pub(super) fn measure(directory: &Path, dimension: usize) -> anyhow::Result<Reopened> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "reopen"]).arg(directory).arg(dimension.to_string());
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        rounds.push(serde_json::from_slice::<Reopened>(&output.stdout).context("no figures")?);
    }
    let median = |figure: fn(&Reopened) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        quantile(&figures, 0.5)
    };
    Ok(Reopened { ms: median(|round| round.ms), bytes: median(|round| round.bytes) })
}

pub(super) fn run(args: &Args) -> Result {
    let queries = std::fs::read(args.directory.join(QUERIES)).context("no queries")?;
    let (numbers, _) = queries.as_chunks::<4>();
    let queries: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let before = resident_bytes().unwrap_or_default();
    let begun = Instant::now();
    let space = space(args.dimension);
    let search = Search::open(&args.directory)?;
    search.open_collection(COLLECTION, Some(&space))?;
    let mut ms = None;
    for vector in queries.chunks(args.dimension) {
        let query = SearchQuery {
            text: String::new(),
            typo_tolerance: false,
            vector: Some(vector.to_vec()),
            embedder: Some(space.fingerprint.clone()),
            mode: SearchMode::Vector,
            filter: None,
            limit: 10,
            candidates: 10,
            fusion: Fusion::Convex { alpha: 1.0 },
        };
        let hits = search.search(COLLECTION, &query)?.hits.len();
        ensure!(hits == 10, "found {hits} vectors instead of 10");
        ms.get_or_insert_with(|| begun.elapsed().as_secs_f64() * 1e3);
    }
    let bytes = resident_bytes().unwrap_or_default().saturating_sub(before) as f64;
    output::json(&Reopened { ms: ms.context("no queries")?, bytes })?;
    Ok(Outcome::Done)
}
