//! The same work by the same code, as a plugin and as a native program, turn by turn.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use bytes::Bytes;

use super::{Figure, quantile};
use crate::config::{Config, places};
use crate::plugins::{Cancel, ParseOptions, Plugins, Purpose, Source};

const ROUNDS: usize = 7;
const TEXTS: usize = 1_000;
const GOAL: &str = "≤ 1.7";

pub(super) fn compare(
    program: &Path,
    pdf: Option<&Path>,
    plugins: &Plugins,
    config: &Config,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if let Some(pdf) = pdf {
        let bytes = Bytes::from(std::fs::read(pdf).with_context(|| pdf.display().to_string())?);
        let parser = plugins.parser_for("pdf").context("no parser for pdf is installed")?;
        let options = ParseOptions {
            file_type: "pdf".into(),
            filename: "a.pdf".into(),
            passwords: Vec::new(),
            cancel: Cancel::default(),
        };
        let ours = || parser.parse(&Source::Bytes(bytes.clone()), &options).map(drop).map_err(Into::into);
        figures.push(turns("PDF", ours, || ask(program, &["pdf".as_ref(), pdf]))?);
    }
    let texts = super::corpus::texts(None, TEXTS)?;
    let embedder = plugins.embedder("static-embed", &Default::default())?;
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), serde_json::to_vec(&texts)?)?;
    let models = places(config).model_dirs.into_iter().find(|dir| dir.join("wordllama").is_dir());
    let models = models.context("the embedder's weights were not found: run `smartrag models fetch`")?;
    let ours = || embedder.embed(&borrowed, Purpose::Passage).map(drop).map_err(Into::into);
    figures.push(turns("1,000 chunks embedded", ours, || {
        ask(program, &["embed".as_ref(), &models, file.path()])
    })?);
    Ok(figures)
}

/// The ratio of the medians; both take turns, so that a noisy machine disturbs both.
fn turns(
    what: &str,
    mut plugin: impl FnMut() -> anyhow::Result<()>,
    mut native: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Figure> {
    let (mut in_wasm, mut natively) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        plugin()?;
        in_wasm.push(begun.elapsed().as_secs_f64() * 1e3);
        natively.push(native()?);
    }
    in_wasm.sort_by(f64::total_cmp);
    natively.sort_by(f64::total_cmp);
    let (in_wasm, natively) = (quantile(&in_wasm, 0.5), quantile(&natively, 0.5));
    let name = format!("{what}: plugin {in_wasm:.1} ms / native {natively:.1} ms");
    Ok(Figure::new(name, in_wasm / natively, "×").goal(GOAL))
}

/// Milliseconds that the program took for the work itself, not for its start.
fn ask(program: &Path, arguments: &[&Path]) -> anyhow::Result<f64> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("{} can't be run", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().parse() {
        Ok(ms) if output.status.success() => Ok(ms),
        _ => bail!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim()),
    }
}
