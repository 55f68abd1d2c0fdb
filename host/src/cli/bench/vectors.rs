//! Recall against time of the graphs of vector search, ours and a peer's in turns.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::corpus::Numbers;
use super::reopen::{self, Reopened};
use super::{VectorArgs, curve, quantile};
use crate::cli::output::{self, Table};
use crate::cli::{Outcome, Result, collection};
use crate::config::{Options, load};
use crate::plugins::Purpose;
use crate::search::bench::{Builder, Built, NEIGHBOURS, Vectors};
use crate::text;

/// Widths of the search.
const EFS: [usize; 10] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256];
/// Numbers in a made-up vector, and directions in which a cluster is spread.
const DIMENSION: usize = 256;
const SPREAD: usize = 16;
/// Turns; the median counts.
const ROUNDS: usize = 5;
const QUERIES: usize = 1000;
/// Texts that are embedded at once.
const BATCH: usize = 1024;
/// Length of what is added to a mixture, in a random direction.
const NOISE: f32 = 0.1;
/// The M16 graph is measured as built with either.
const PEER_EF_CONSTRUCTION: [usize; 2] = [200, 100];

/// Vectors, queries and their dimension.
type Set = (Vec<Vec<f32>>, Vec<Vec<f32>>, usize);

/// A graph that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub name: String,
    build_seconds: f64,
    /// Of all processors.
    build_cpu_seconds: f64,
    bytes_a_vector: f64,
    /// In a new process. Not of the yardstick, which the product does not write.
    #[serde(skip_serializing_if = "Option::is_none")]
    reopened: Option<Reopened>,
    pub points: Vec<Point>,
}

/// A point of its curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Point {
    pub ef: usize,
    pub recall: f64,
    /// Processor time a query.
    pub us: f64,
}

pub(super) fn run(args: &VectorArgs) -> Result {
    let (rows, queries, dimension) = match args.clusters {
        Some(clusters) => clustered(clusters, args.rows),
        None => {
            let (vectors, dimension) = embeddings(&args.corpus)?;
            mixed(vectors, dimension, args.rows)
        }
    };
    let flat: Vec<f32> = rows.concat();
    let vectors = Vectors::new(flat.clone(), dimension);
    eprintln!("{} vectors of {dimension}, {} queries", vectors.len(), queries.len());
    let truth: Vec<Vec<u32>> = queries.iter().map(|query| vectors.nearest(query)).collect();
    let mut own = Vec::new();
    for (name, builder) in
        [("own builder", Builder::Parallel), ("instant-distance", Builder::InstantDistance)]
    {
        eprintln!("building: {name}");
        let built = vectors.build(builder, args.threads).context("the graph could not be built")?;
        own.push((name, built));
    }
    let files = tempfile::tempdir()?;
    let mut peers = Vec::new();
    if let Some(python) = &args.peers {
        let truth: Vec<u32> = truth.concat();
        write(files.path(), "vectors.f32", flat.iter().map(|value| value.to_le_bytes()))?;
        write(files.path(), "queries.f32", queries.concat().iter().map(|value| value.to_le_bytes()))?;
        write(files.path(), "truth.u32", truth.iter().map(|row| row.to_le_bytes()))?;
        for ef_construction in PEER_EF_CONSTRUCTION {
            eprintln!("building: hnswlib, ef_construction {ef_construction}");
            peers.push(Peer::start(python, files.path(), dimension, ef_construction, args.threads)?);
        }
    }
    let mut measured = in_turns(&vectors, &own, &mut peers, &queries, &truth)?;
    eprintln!("opening in new processes");
    let index = tempfile::tempdir()?;
    reopen::write(index.path(), (&flat, &queries), dimension)?;
    measured[0].reopened = Some(reopen::measure(index.path(), dimension)?);
    for (measured, peer) in measured.iter_mut().skip(own.len()).zip(&mut peers) {
        measured.reopened = Some(peer.ask("reopen")?);
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, curve::svg(&measured)).with_context(|| file.display().to_string())?;
    }
    show(&measured, args.json)
}

fn write(dir: &Path, name: &str, words: impl Iterator<Item = [u8; 4]>) -> anyhow::Result<()> {
    Ok(std::fs::write(dir.join(name), words.flatten().collect::<Vec<u8>>())?)
}

/// The sentences of retrieval sets, by the embedder of the configuration.
fn embeddings(sets: &[PathBuf]) -> anyhow::Result<(Vec<Vec<f32>>, usize)> {
    let mut sentences = Vec::new();
    for set in sets {
        for document in collection::corpus(set)? {
            let whole = document.whole_text();
            sentences.extend(text::sentences(&whole).into_iter().map(|range| whole[range].to_owned()));
        }
    }
    eprintln!("embedding {} sentences", sentences.len());
    let config = load(&Options::default())?.config;
    let scratch = tempfile::tempdir()?;
    let plugins = super::plugins::open(&config, scratch.path())?;
    let embedder = plugins.embedder(&config.embedder.plugin, &config.embedder.settings)?;
    let dimension = embedder.info().dimension;
    let mut vectors = Vec::with_capacity(sentences.len());
    for batch in sentences.chunks(BATCH) {
        let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
        let flat = embedder.embed(&texts, Purpose::Passage)?;
        vectors.extend(flat.chunks_exact(dimension.max(1)).map(<[f32]>::to_vec));
    }
    vectors.retain(|vector| vector.iter().any(|value| *value != 0.0));
    ensure!(vectors.len() > QUERIES, "too few sentences: name more sets with --corpus");
    Ok((vectors, dimension))
}

/// Shuffled vectors, with mixtures of two and some noise until there are enough, and queries that are none of them.
fn mixed(mut vectors: Vec<Vec<f32>>, dimension: usize, rows: usize) -> Set {
    let mut numbers = Numbers::new(3);
    let real = vectors.len() as u64;
    while vectors.len() < rows + QUERIES {
        let (a, b) = ((numbers.next() % real) as usize, (numbers.next() % real) as usize);
        let noise = unit((0..dimension).map(|_| numbers.next() as f32 / u64::MAX as f32 - 0.5).collect());
        let mean = unit(vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a + b).collect());
        vectors.push(unit(mean.iter().zip(&noise).map(|(mean, noise)| mean + noise * NOISE).collect()));
    }
    for at in (1..vectors.len()).rev() {
        vectors.swap(at, (numbers.next() % (at as u64 + 1)) as usize);
    }
    let queries = vectors.split_off(vectors.len() - QUERIES);
    (vectors, queries, dimension)
}

/// Vectors around random centres, spread along a few directions of their own cluster much and along all a little, as
/// embeddings of texts on one subject are; and queries of the same kind.
fn clustered(clusters: usize, rows: usize) -> Set {
    let mut numbers = Numbers::new(4);
    let mut random = || -> Vec<f32> {
        unit((0..DIMENSION).map(|_| numbers.next() as f32 / u64::MAX as f32 - 0.5).collect())
    };
    let mut cluster = || -> Vec<Vec<f32>> { (0..=SPREAD).map(|_| random()).collect() };
    let clusters: Vec<_> = (0..clusters.max(1)).map(|_| cluster()).collect();
    let mut numbers = Numbers::new(5);
    let mut vector = || {
        let cluster = &clusters[(numbers.next() % clusters.len() as u64) as usize];
        let mut number = || numbers.next() as f32 / u64::MAX as f32 - 0.5;
        let mut sum: Vec<f32> = cluster[0].iter().map(|centre| centre + number() * NOISE).collect();
        for direction in &cluster[1..] {
            let far = number();
            sum.iter_mut().zip(direction).for_each(|(sum, along)| *sum += along * far);
        }
        unit(sum)
    };
    let vectors = (0..rows).map(|_| vector()).collect();
    (vectors, (0..QUERIES).map(|_| vector()).collect(), DIMENSION)
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|value| value / length).collect()
}

/// Everybody at one width, then everybody again, so that a noisy machine disturbs all alike.
fn in_turns(
    vectors: &Vectors,
    own: &[(&str, Built)],
    peers: &mut [Peer],
    queries: &[Vec<f32>],
    truth: &[Vec<u32>],
) -> anyhow::Result<Vec<Measured>> {
    let mut points = vec![Vec::new(); own.len() + peers.len()];
    for ef in EFS {
        let mut passes = vec![Vec::new(); points.len()];
        for _ in 0..ROUNDS {
            let mine = own.iter().map(|(_, built)| {
                let pass = vectors.pass(built, queries, truth, ef);
                Ok((pass.recall, pass.us))
            });
            let theirs = peers.iter_mut().map(|peer| peer.search(ef));
            for (passes, pass) in passes.iter_mut().zip(mine.chain(theirs)) {
                passes.push(pass?);
            }
        }
        points.iter_mut().zip(passes).for_each(|(points, passes)| points.push(median(ef, &passes)));
    }
    let mine = own
        .iter()
        .map(|(name, built)| ((*name).to_owned(), built.seconds, built.cpu_seconds, built.bytes(vectors)));
    let theirs =
        peers.iter().map(|peer| (peer.name.clone(), peer.built.seconds, peer.built.cpu_seconds, peer.bytes));
    let named = mine.chain(theirs).zip(points);
    let measured = named.map(|((name, build_seconds, build_cpu_seconds, bytes_a_vector), points)| Measured {
        name,
        build_seconds,
        build_cpu_seconds,
        bytes_a_vector,
        reopened: None,
        points,
    });
    Ok(measured.collect())
}

fn median(ef: usize, passes: &[(f64, f64)]) -> Point {
    let mut times: Vec<f64> = passes.iter().map(|(_, us)| *us).collect();
    times.sort_by(f64::total_cmp);
    Point { ef, recall: passes.first().map_or(0.0, |(recall, _)| *recall), us: quantile(&times, 0.5) }
}

fn show(measured: &[Measured], json: bool) -> Result {
    if json {
        output::json(&measured)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["graph", "ef", &format!("recall@{NEIGHBOURS}"), "µs a query"]);
    for graph in measured {
        for point in &graph.points {
            let recall = format!("{:.4}", point.recall);
            table.row([graph.name.clone(), point.ef.to_string(), recall, super::rounded(point.us)]);
        }
    }
    table.print()?;
    output::line("")?;
    let mut table = Table::new([
        "graph",
        "build s",
        "build cpu s",
        "bytes a vector",
        "µs at .95",
        "µs at .99",
        "ms to open",
        "MB resident",
    ]);
    for graph in measured {
        let reopened = |figure: fn(&Reopened) -> f64| {
            graph.reopened.as_ref().map_or("-".to_owned(), |reopened| super::rounded(figure(reopened)))
        };
        let at = |recall| curve::time_at(&graph.points, recall).map_or("-".to_owned(), super::rounded);
        table.row([
            graph.name.clone(),
            super::rounded(graph.build_seconds),
            super::rounded(graph.build_cpu_seconds),
            super::rounded(graph.bytes_a_vector),
            at(0.95),
            at(0.99),
            reopened(|reopened| reopened.ms),
            reopened(|reopened| reopened.bytes / 1e6),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// hnswlib in a process of its own, run by `scripts/bench-peers.py`.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    name: String,
    built: PeerBuilt,
    bytes: f64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct PeerBuilt {
    seconds: f64,
    cpu_seconds: f64,
}

#[derive(Deserialize)]
struct PeerPass {
    recall: f64,
    us: f64,
}

#[derive(Deserialize)]
struct PeerSize {
    bytes: f64,
}

impl Peer {
    fn start(
        python: &Path,
        files: &Path,
        dimension: usize,
        ef_construction: usize,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let script = Path::new("scripts/bench-peers.py");
        if !script.exists() {
            bail!("{} is not here: run this in the source tree", script.display());
        }
        let mut command = Command::new(python);
        command.arg(script).arg("hnswlib").arg(files).arg(dimension.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let name = format!("hnswlib M16, ef_construction {ef_construction}");
        let mut peer = Self { child, stdin, stdout, name, built: PeerBuilt::default(), bytes: 0.0 };
        peer.built = peer.ask(&format!("build {ef_construction} {threads}"))?;
        peer.bytes = peer.ask::<PeerSize>("size")?.bytes;
        Ok(peer)
    }

    fn search(&mut self, ef: usize) -> anyhow::Result<(f64, f64)> {
        let pass: PeerPass = self.ask(&format!("search {ef}"))?;
        Ok((pass.recall, pass.us))
    }

    fn ask<T: serde::de::DeserializeOwned>(&mut self, command: &str) -> anyhow::Result<T> {
        writeln!(self.stdin, "{command}")?;
        self.stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{}: no answer to {command}", self.name))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
