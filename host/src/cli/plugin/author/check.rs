//! Contract tests: what every plugin of a role must do, tried on the real host.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::call;
use super::input::{self, Input};
use super::probes::{self, Probe};
use super::subject::{self, Setup, Subject};
use super::test::cases;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::plugins::{PluginState, schema_problems, unchecked_keywords};
use crate::types::{FaultKind, Limit, PluginError};

/// More than a pool has instances: each must come back.
const CANCELLATIONS: usize = 40;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's project, or a directory with plugin.toml and plugin.wasm
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Something ordinary to start from, once for each [default: the files of DIR/golden, else a short text]
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    setup: Setup,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

type Verdict = std::result::Result<String, String>;

impl Check {
    fn new(name: impl Into<String>, verdict: Verdict) -> Self {
        let ok = verdict.is_ok();
        Self { name: name.into(), ok, detail: verdict.unwrap_or_else(|why| why) }
    }
}

pub(in crate::cli) fn run(args: Args) -> Result {
    let subject = subject::open(&args.dir, &args.setup)?;
    let inputs = inputs(&subject, &args)?;
    let mut checks = Vec::new();
    let mut tell = |check: Check| {
        let told = if args.json { Ok(()) } else { line(&check) };
        checks.push(check);
        told
    };
    contract(&subject, &inputs, &mut tell)?;
    let passed = checks.iter().all(|check| check.ok);
    if args.json {
        output::json(&checks)?;
    }
    Ok(Outcome::of(passed))
}

fn line(check: &Check) -> anyhow::Result<()> {
    let word = if check.ok { "ok" } else { "failed" };
    output::line(format!("{word:<8}{:<22}{}", check.name, output::one_line(&check.detail)).trim_end())
}

fn inputs(subject: &Subject, args: &Args) -> anyhow::Result<Vec<(String, Input)>> {
    let golden = || cases(&args.dir.join("golden")).into_iter().map(|case| case.input).collect();
    let files: Vec<PathBuf> = if args.inputs.is_empty() { golden() } else { args.inputs.clone() };
    let named = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |file: &PathBuf| Ok((named(file), input::of_file(file, &subject.info)?));
    let mut inputs = files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    if inputs.is_empty() {
        inputs.extend(probes::sample(&subject.info).map(|sample| ("a short text".to_owned(), sample)));
    }
    Ok(inputs)
}

/// All checks, one after the other; a plugin that does not load gets no further.
fn contract(
    subject: &Subject,
    inputs: &[(String, Input)],
    tell: &mut impl FnMut(Check) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let loads = match &subject.info.state {
        PluginState::Ready => {
            Ok(format!("{} {}, {}", subject.name(), subject.info.id.version, subject.info.role))
        }
        PluginState::Ungranted(reason) | PluginState::Failed(reason) => Err(reason.clone()),
    };
    let is_loaded = loads.is_ok();
    tell(Check::new("loads", loads))?;
    if !is_loaded {
        return Ok(());
    }
    for model in &subject.info.models {
        let verdict = model.problem.clone().map_or(Ok("there".to_owned()), Err);
        tell(Check::new(format!("model {}", model.name), verdict))?;
    }
    description(subject, tell)?;
    let mut sample = inputs.first().map(|(_, input)| input);
    for (name, input) in inputs.iter().rev() {
        let outcome = call::call(&subject.plugins, subject.name(), input);
        // The first one that gives an output is what the probes are made of.
        sample = if outcome.is_ok() { Some(input) } else { sample };
        let verdict = survived(input, outcome, false);
        tell(Check::new("runs", verdict.map(|what| format!("{name}: {what}"))))?;
        tell(Check::new("same twice", deterministic(subject, name, input)))?;
    }
    let Some(sample) = sample else { return Ok(()) };
    for probe in probes::probes(sample) {
        tell(Check::new(probe.name, survives(subject, &probe)))?;
    }
    match sample {
        Input::Generator(request) => tell(Check::new("cancellation", {
            let outcome = call::cancel(&subject.plugins, subject.name(), request, CANCELLATIONS);
            outcome.map(|()| format!("{CANCELLATIONS} dropped half-way")).map_err(|error| fault(&error))
        })),
        Input::Embedder(texts, purpose) => tell(Check::new("batches", batches(subject, texts, *purpose))),
        _ => Ok(()),
    }
}

/// `describe` fits the manifest (else it does not load), and the schema of the configuration is one.
fn description(subject: &Subject, tell: &mut impl FnMut(Check) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let descriptor = match subject.plugins.describe(subject.name()) {
        Ok(descriptor) => descriptor,
        Err(error) => return tell(Check::new("describe", Err(fault(&error)))),
    };
    tell(Check::new(
        "describe",
        match descriptor.description.trim() {
            "" => Err(
                "the description is empty: say in a sentence what the plugin does (in Rust: in Cargo.toml)"
                    .into(),
            ),
            _ => Ok("name and version are those of plugin.toml".into()),
        },
    ))?;
    let problems = schema_problems(&descriptor.config_schema);
    let ignored = unchecked_keywords(&descriptor.config_schema);
    tell(Check::new(
        "config schema",
        match (problems.as_slice(), ignored.as_slice()) {
            ([], []) => Ok("valid".into()),
            ([], ignored) => Ok(format!("the host does not check {}: the plugin must", ignored.join(", "))),
            (problems, _) => Err(problems.join("; ")),
        },
    ))?;
    let default = descriptor.check_config(&Default::default());
    tell(Check::new(
        "config {}",
        Ok(match default {
            Ok(()) => "accepted by its schema".into(),
            Err(what) => format!("refused: {what}"),
        }),
    ))
}

fn deterministic(subject: &Subject, name: &str, input: &Input) -> Verdict {
    let outcome = || match call::call(&subject.plugins, subject.name(), input) {
        Ok(value) => value,
        Err(error) => call::error_json(&error),
    };
    match super::diff::differences(&outcome(), &outcome()).first() {
        None => Ok(name.to_owned()),
        Some(difference) => Err(format!("{name}: fresh instances differ: {difference}")),
    }
}

fn survives(subject: &Subject, probe: &Probe) -> Verdict {
    let outcome = call::call(&subject.plugins, subject.name(), &probe.input);
    survived(&probe.input, outcome, probe.may_hit_a_limit)
}

/// The input gives an output, or an error of the plugin's own.
fn survived(
    input: &Input,
    outcome: std::result::Result<Value, PluginError>,
    may_hit_a_limit: bool,
) -> Verdict {
    match outcome {
        Ok(value) => judge(input, &value),
        Err(error) => refusal(&error, may_hit_a_limit),
    }
}

fn fault(error: &PluginError) -> String {
    format!("{} [{}]", error.message, error.kind.code())
}

/// An error that the plugin chose is an answer; a crash, a broken contract or a fence is none.
fn refusal(error: &PluginError, may_hit_a_limit: bool) -> Verdict {
    match &error.kind {
        FaultKind::Trap | FaultKind::Exit | FaultKind::Internal => Err(fault(error)),
        FaultKind::Limit(Limit::Memory | Limit::Time | Limit::Output) if may_hit_a_limit => {
            Ok(format!("stopped by the host [{}]; better refuse it yourself", error.kind.code()))
        }
        FaultKind::Limit(Limit::Memory | Limit::Time | Limit::Output) => Err(fault(error)),
        _ if error.message.trim().is_empty() => {
            Err(format!("refused [{}] without a message: say what to do", error.kind.code()))
        }
        _ => Ok(format!("refused [{}]: {}", error.kind.code(), error.message)),
    }
}

/// The host checked counts, ranges and numbers already; this looks once more at what people rely on, and says it.
fn judge(input: &Input, value: &Value) -> Verdict {
    let length = |key: &str| value[key].as_array().map_or(0, Vec::len);
    let counted = |found: usize, wanted: usize, what: &str| match found == wanted {
        true => Ok(output::count(found, what)),
        false => Err(format!("{wanted} {what}s went in, {found} came out")),
    };
    match input {
        Input::Parser(_) => offsets(value),
        Input::Enricher(_, chunks) => counted(length("chunks"), chunks.len(), "chunk"),
        Input::Embedder(texts, _) => {
            counted(length("tokens"), texts.len(), "token count")?;
            counted(length("vectors"), texts.len(), "vector").and_then(|said| unit(value).map(|()| said))
        }
        Input::Reranker(_, passages) => counted(length("scores"), passages.len(), "score"),
        Input::Generator(_) => match length("finish") {
            1 => Ok(format!("{} characters", value["text"].as_str().map_or(0, |text| text.chars().count()))),
            count => Err(format!("a generation ends with one finish event, not {count}")),
        },
    }
}

fn offsets(value: &Value) -> Verdict {
    let text = value["text"].as_str().unwrap_or_default();
    let blocks = value["blocks"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let mut end = 0;
    for (index, block) in blocks.iter().enumerate() {
        let at = |side: usize| block["span"][side].as_u64().unwrap_or(u64::MAX) as usize;
        let (start, stop) = (at(0), at(1));
        if start < end || text.get(start..stop).is_none() {
            return Err(format!("block {index} at {start}..{stop} is out of range or out of order"));
        }
        end = stop;
    }
    Ok(format!("{}, offsets in range, {} bytes of text", output::count(blocks.len(), "block"), text.len()))
}

fn unit(value: &Value) -> std::result::Result<(), String> {
    let dimension = value["dimension"].as_u64().unwrap_or(0) as usize;
    for (index, row) in value["vectors"].as_array().into_iter().flatten().enumerate() {
        let numbers: Vec<f64> = row.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
        if numbers.len() != dimension || !(length == 0.0 || (length - 1.0).abs() < 0.01) {
            return Err(format!("vector {index} has {} numbers and length {length:.3}", numbers.len()));
        }
    }
    Ok(())
}

/// Texts together get the vectors that they get alone.
fn batches(subject: &Subject, texts: &[String], purpose: crate::plugins::Purpose) -> Verdict {
    let texts: Vec<String> = texts.iter().cloned().chain(["Another text.".into(), String::new()]).collect();
    let embed = |texts: Vec<String>| {
        let input = Input::Embedder(texts, purpose);
        let value = call::call(&subject.plugins, subject.name(), &input).map_err(|error| fault(&error))?;
        Ok::<Vec<Value>, String>(value["vectors"].as_array().cloned().unwrap_or_default())
    };
    let together = embed(texts.clone())?;
    for (index, text) in texts.iter().enumerate() {
        let alone = embed(vec![text.clone()])?;
        if let Some(difference) =
            super::diff::differences(&alone.into(), &vec![together[index].clone()].into()).first()
        {
            return Err(format!("text {index} alone and in a batch differ: {difference}"));
        }
    }
    Ok(format!("{} texts together as alone", texts.len()))
}
