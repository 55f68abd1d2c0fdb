//! What a call into a plugin costs.

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;

use super::{Figure, PluginArgs, native, quantile};
use crate::config::{Config, Options, load, places};
use crate::plugins::bench::{self, Cost};
use crate::plugins::{Cancel, ParseOptions, Places, Plugins, Purpose, Source};

const CALLS: usize = 2_000;
const TEXTS: usize = 1_000;

pub(super) fn run() -> anyhow::Result<Vec<Figure>> {
    let config = load(&Options::default())?.config;
    let data = tempfile::tempdir()?;
    let (plugins, cold) = timed(|| open(&config, data.path()));
    let (warm, warm_ms) = timed(|| open(&config, data.path()));
    drop(plugins?);
    let plugins = warm?;
    let mut figures = vec![
        Figure::new("plugins, cold start (compiled)", cold, "ms"),
        Figure::new("plugins, warm start (from the cache)", warm_ms, "ms"),
    ];
    figures.push(pooled_call(&plugins, &config)?);
    figures.push(fresh_instance(&plugins)?);
    figures.push(embedding(&plugins, &config)?);
    Ok(figures)
}

/// What the host's machinery costs, and with a native program beside it what WebAssembly does.
pub(super) fn costs(args: &PluginArgs) -> anyhow::Result<Vec<Figure>> {
    let scratch = tempfile::tempdir()?;
    let figure =
        |cost: Cost| Figure { name: cost.name.into(), value: cost.value, unit: cost.unit, goal: cost.goal };
    let mut figures: Vec<Figure> = bench::costs(scratch.path())?.into_iter().map(figure).collect();
    let config = load(&Options::default())?.config;
    drop(open(&config, scratch.path())?);
    let (plugins, warm) = timed(|| open(&config, scratch.path()));
    let plugins = plugins?;
    let name = format!("warm start of {} plugins", plugins.list().len());
    figures.push(Figure::new(name, warm, "ms").goal("≤ 20 of ten"));
    if let Some(program) = &args.native {
        figures.extend(native::compare(program, args.pdf.as_deref(), &plugins, &config)?);
    }
    Ok(figures)
}

fn timed<T>(step: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let result = step();
    (result, begun.elapsed().as_secs_f64() * 1e3)
}

pub(super) fn open(config: &Config, cache: &std::path::Path) -> anyhow::Result<Plugins> {
    let found = places(config);
    let places =
        Places { plugin_dirs: found.plugin_dirs, model_dirs: found.model_dirs, cache_dir: cache.to_owned() };
    Ok(Plugins::load(&places, &config.plugins)?)
}

/// Median microseconds of `call`.
fn median_us(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        call()?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}

/// The smallest real call into a warm instance.
fn pooled_call(plugins: &Plugins, config: &Config) -> anyhow::Result<Figure> {
    let embedder = plugins.embedder(&config.embedder.plugin, &config.embedder.settings)?;
    let us = median_us(|| embedder.count_tokens(&[""]).map(drop).map_err(Into::into))?;
    Ok(Figure::new("call into a warm plugin, p50", us, "µs"))
}

/// Instantiate, open, read a page, drop: what every document costs at least.
fn fresh_instance(plugins: &Plugins) -> anyhow::Result<Figure> {
    let parser = plugins.parser_for("txt").context("no parser for txt")?;
    let source = Source::Bytes(Bytes::from_static(b"word"));
    let options = ParseOptions {
        file_type: "txt".into(),
        filename: "a.txt".into(),
        passwords: Vec::new(),
        cancel: Cancel::default(),
    };
    let us = median_us(|| parser.parse(&source, &options).map(drop).map_err(Into::into))?;
    Ok(Figure::new("parse one word in a fresh instance, p50", us, "µs"))
}

fn embedding(plugins: &Plugins, config: &Config) -> anyhow::Result<Figure> {
    let embedder = plugins.embedder(&config.embedder.plugin, &config.embedder.settings)?;
    let texts = super::corpus::texts(None, TEXTS)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (vectors, ms) = timed(|| embedder.embed(&texts, Purpose::Passage));
    vectors?;
    Ok(Figure::new("texts embedded, one core", TEXTS as f64 / ms * 1e3, "1/s"))
}
