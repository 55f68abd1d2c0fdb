//! Measures answers: whether they hold what they should, and whether a backend says so when the documents do not.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;

use super::set::{self, Prepared};
use crate::answer::{AnswerEvent, Begin, End, Question, SearchRequest, Thread};
use crate::app::App;
use crate::cli::bench::quantile;
use crate::cli::collection::{self, GoldAnswer};
use crate::cli::output::{self, Table};
use crate::cli::{Outcome, Result};
use crate::config::BackendsConfig;
use crate::plugins::GenerateOptions;
use crate::search::eval::bootstrap;
use crate::types::*;

const RESAMPLES: usize = 1000;
const SEED: u64 = 7;
/// Between two words on how far it is.
const STEP: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A retrieval set that has answers.jsonl.gz, too
    #[arg(value_name = "DIR", required = true)]
    sets: Vec<PathBuf>,
    /// The backend to ask [default: that of the config]
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Sources of an answer at most
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    top_k: u32,
    /// Only so many questions of each set, spread over it
    #[arg(long, value_name = "N")]
    questions: Option<usize>,
    /// Also measure the backend with a setting at each of these values, such as support_min=0,0.1,0.2
    #[arg(long, value_name = "KEY=VALUES", value_parser = setting)]
    vary: Option<Setting>,
    /// Write every question with its answer here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    details: Option<PathBuf>,
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A setting of a backend and values for it.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    key: String,
    values: Vec<Value>,
}

fn setting(text: &str) -> std::result::Result<Setting, String> {
    let (key, values) =
        text.split_once('=').ok_or("expected a setting and values, such as support_min=0,0.1")?;
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok(Setting { key: key.to_owned(), values: values.split(',').map(|text| value(text.trim())).collect() })
}

/// A line of the result. Shares are of all questions of the line, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Measured {
    set: String,
    backend: String,
    /// `all`, or which half: articles by turns, the first one among `even`.
    part: &'static str,
    questions: usize,
    /// The document that holds the answer is among the sources.
    found: f64,
    /// The answer holds one of the gold answers; an abstention does not.
    right: f64,
    /// 95 % interval by bootstrap over questions.
    right_low: f64,
    right_high: f64,
    abstains: f64,
    /// The same with the document that holds the answer left out.
    abstains_without: f64,
    /// Answers that say that the evidence is weak, of those that do not abstain.
    weak: f64,
    weak_without: f64,
    sentences: f64,
    /// Milliseconds from question to end.
    ms_p50: f64,
    ms_p90: f64,
}

/// One question, with its document and without.
#[derive(Clone, Debug, Serialize)]
struct Asked {
    question: String,
    gold: Vec<String>,
    is_even: bool,
    found: bool,
    right: bool,
    ms: f64,
    answer: Reply,
    without: Reply,
}

#[derive(Clone, Debug, Serialize)]
struct Reply {
    text: String,
    abstained: bool,
    weak: bool,
    /// Of each source: the fused score, the similarity of the vectors, BM25.
    scores: Vec<(f32, Option<f32>, Option<f32>)>,
}

pub(super) fn run(args: &Args) -> Result {
    let mut details = args.details.as_deref().map(create).transpose()?;
    let mut rows = Vec::new();
    for set in &args.sets {
        rows.extend(measure(set, args, details.as_mut())?);
    }
    if let Some(mut details) = details {
        details.flush().context("the details can't be written")?;
    }
    if args.json {
        output::json(&rows)?;
    } else {
        table(&rows).print()?;
    }
    Ok(Outcome::Done)
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("{} can't be written", path.display()))?))
}

fn measure(
    set: &Path,
    args: &Args,
    mut details: Option<&mut BufWriter<File>>,
) -> anyhow::Result<Vec<Measured>> {
    let gold = collection::answers(set)?;
    let gold: Vec<_> = match args.questions {
        Some(count) if count < gold.len() => {
            (0..count).map(|at| gold[at * gold.len() / count].clone()).collect()
        }
        _ => gold,
    };
    let Prepared { name, app, config, .. } = &set::prepare(set, args.config.clone())?;
    let backend = args.backend.clone().unwrap_or_else(|| config.backends.default.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut rows = Vec::new();
    for (label, backends) in variants(&config.backends, &backend, args.vary.as_ref())? {
        app.answers.use_backends(&backends);
        let mut all = Vec::with_capacity(gold.len());
        for (at, question) in gold.iter().enumerate() {
            if at % STEP == 0 {
                eprintln!("{name}: {label}: {at} of {} questions", gold.len());
            }
            all.push(runtime.block_on(ask_twice(app, question, &backend, args.top_k))?);
        }
        if let Some(details) = details.as_mut() {
            for asked in &all {
                writeln!(details, "{}", serde_json::to_string(asked)?)?;
            }
        }
        rows.extend(summary(name, &label, &all));
    }
    app.shutdown();
    Ok(rows)
}

/// The backends as configured, then those with each value of the setting.
fn variants(
    backends: &BackendsConfig,
    backend: &str,
    vary: Option<&Setting>,
) -> anyhow::Result<Vec<(String, BackendsConfig)>> {
    if !backends.named.contains_key(backend) {
        let known: Vec<&str> = backends.named.keys().map(String::as_str).collect();
        bail!("there is no backend {backend:?}; the config names: {}", known.join(", "));
    }
    let mut all = vec![(backend.to_owned(), backends.clone())];
    let values =
        vary.into_iter().flat_map(|setting| setting.values.iter().map(|value| (&setting.key, value)));
    for (key, value) in values {
        let mut other = backends.clone();
        if let Some(config) = other.named.get_mut(backend) {
            config.plugin.settings.insert(key.clone(), value.clone());
        }
        all.push((format!("{backend} {key}={value}"), other));
    }
    Ok(all)
}

async fn ask_twice(app: &Arc<App>, gold: &GoldAnswer, backend: &str, top_k: u32) -> anyhow::Result<Asked> {
    let began = Instant::now();
    let (begin, end) = ask(app, gold, backend, top_k, None).await?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let id = Field::Metadata(vec!["id".to_owned()]);
    let without = Filter::Not(Box::new(Filter::Any(id, vec![crate::types::Value::Text(gold.doc.clone())])));
    let (begin_without, end_without) = ask(app, gold, backend, top_k, Some(without)).await?;
    let has_gold = |passage: &Passage| {
        passage.document.metadata.get("id").and_then(Value::as_str) == Some(gold.doc.as_str())
    };
    let answer = reply(&begin, end);
    let said = normal(&answer.text);
    Ok(Asked {
        question: gold.text.clone(),
        gold: gold.answers.clone(),
        is_even: gold.is_even,
        found: begin.sources.iter().any(has_gold),
        right: !answer.abstained && gold.answers.iter().any(|gold| said.contains(&normal(gold))),
        ms,
        answer,
        without: reply(&begin_without, end_without),
    })
}

async fn ask(
    app: &Arc<App>,
    gold: &GoldAnswer,
    backend: &str,
    top_k: u32,
    filter: Option<Filter>,
) -> anyhow::Result<(Begin, End)> {
    let search = SearchRequest {
        filter,
        ..SearchRequest::new(gold.text.as_str(), top_k as usize, Scope::One(set::key()))
    };
    let question = Question {
        search,
        session: None,
        thread: Thread::Given(Vec::new()),
        retrieve: true,
        backend: Some(backend.to_owned()),
        model: None,
        language: None,
        options: GenerateOptions { temperature: Some(0.0), ..Default::default() },
    };
    let caller = Caller { user: UserId::anonymous(), role: UserRole::User, since: Instant::now() };
    let mut events = app.answers.ask(caller, question);
    let mut begun = None;
    while let Some(event) = events.recv().await {
        match event {
            AnswerEvent::Begin(begin) => begun = Some(*begin),
            AnswerEvent::Text(_) => {}
            AnswerEvent::End(end) => {
                let begin = begun.context("an answer without a beginning")?;
                return Ok((begin, *end));
            }
            AnswerEvent::Failed(error) => {
                return Err(error).context(format!("{:?} was not answered", gold.text));
            }
        }
    }
    bail!("an answer without an end")
}

fn reply(begin: &Begin, end: End) -> Reply {
    let scores =
        begin.sources.iter().map(|source| (source.score, source.scores.vector, source.scores.keyword));
    Reply {
        abstained: end.finish == FinishReason::Abstained,
        weak: begin.weak_evidence,
        scores: scores.collect(),
        text: end.answer,
    }
}

/// Lower case, single spaces, without citations.
fn normal(text: &str) -> String {
    uncited(text).to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn uncited(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        rest = match after.split_once(']') {
            Some((inside, behind)) if inside.bytes().all(|byte| byte.is_ascii_digit()) => behind,
            _ => {
                plain.push('[');
                after
            }
        };
    }
    plain + rest
}

/// Lines for all questions and for both halves.
fn summary(set: &str, backend: &str, all: &[Asked]) -> Vec<Measured> {
    let parts: [(&str, Option<bool>); 3] = [("all", None), ("even", Some(true)), ("odd", Some(false))];
    let rows = parts.into_iter().map(|(part, even)| {
        let asked: Vec<&Asked> =
            all.iter().filter(|asked| even.is_none_or(|even| asked.is_even == even)).collect();
        row(set, backend, part, &asked)
    });
    rows.filter(|row| row.questions > 0).collect()
}

fn row(set: &str, backend: &str, part: &'static str, asked: &[&Asked]) -> Measured {
    let share = |holds: fn(&Asked) -> bool| {
        asked.iter().filter(|asked| holds(asked)).count() as f64 / asked.len().max(1) as f64
    };
    let of = |weak: fn(&Asked) -> &Reply| {
        let said: Vec<_> = asked.iter().map(|asked| weak(asked)).filter(|reply| !reply.abstained).collect();
        said.iter().filter(|reply| reply.weak).count() as f64 / said.len().max(1) as f64
    };
    let right: Vec<f64> = asked.iter().map(|asked| f64::from(u8::from(asked.right))).collect();
    let right = bootstrap(&right, RESAMPLES, SEED);
    let sentences = asked.iter().filter(|asked| !asked.answer.abstained);
    let sentences: Vec<f64> =
        sentences.map(|asked| crate::text::sentences(&uncited(&asked.answer.text)).len() as f64).collect();
    let mut ms: Vec<f64> = asked.iter().map(|asked| asked.ms).collect();
    ms.sort_by(f64::total_cmp);
    Measured {
        set: set.to_owned(),
        backend: backend.to_owned(),
        part,
        questions: asked.len(),
        found: share(|asked| asked.found),
        right: right.mean,
        right_low: right.low,
        right_high: right.high,
        abstains: share(|asked| asked.answer.abstained),
        abstains_without: share(|asked| asked.without.abstained),
        weak: of(|asked| &asked.answer),
        weak_without: of(|asked| &asked.without),
        sentences: sentences.iter().sum::<f64>() / sentences.len().max(1) as f64,
        ms_p50: quantile(&ms, 0.5),
        ms_p90: quantile(&ms, 0.9),
    }
}

fn table(rows: &[Measured]) -> Table {
    let mut table = Table::new([
        "set",
        "backend",
        "part",
        "questions",
        "found",
        "right",
        "95 %",
        "abstains",
        "without",
        "weak",
        "without",
        "sentences",
        "p50 ms",
        "p90 ms",
    ]);
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    for row in rows {
        table.row([
            row.set.clone(),
            row.backend.clone(),
            row.part.to_owned(),
            row.questions.to_string(),
            percent(row.found),
            percent(row.right),
            format!("{}-{}", percent(row.right_low), percent(row.right_high)),
            percent(row.abstains),
            percent(row.abstains_without),
            percent(row.weak),
            percent(row.weak_without),
            format!("{:.2}", row.sentences),
            format!("{:.1}", row.ms_p50),
            format!("{:.1}", row.ms_p90),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_and_spaces_do_not_count() {
        assert_eq!(normal(" The  Heron [1], [a] b\n[12]. "), "the heron , [a] b .");
        assert_eq!(normal("a [1"), "a [1");
    }

    #[test]
    fn settings_have_values_of_their_kinds() {
        let values = vec![Value::from(0), Value::from(0.5), Value::from(true), Value::from("big")];
        let expected = Setting { key: "support_min".into(), values };
        assert_eq!(setting("support_min=0,0.5,true,big").unwrap(), expected);
        assert!(setting("support_min").is_err());
    }

    #[test]
    fn shares_are_of_the_part_and_weakness_of_those_that_say_something() {
        let reply = |abstained, weak| Reply {
            text: "The heron fishes [1]. The pond is cold.".into(),
            abstained,
            weak,
            scores: vec![],
        };
        let asked = |is_even, right, abstained| Asked {
            question: String::new(),
            gold: vec![],
            is_even,
            found: true,
            right,
            ms: 2.0,
            answer: reply(abstained, false),
            without: reply(false, true),
        };
        let rows = summary(
            "s",
            "b",
            &[asked(true, true, false), asked(true, false, true), asked(false, true, false)],
        );
        let shown: Vec<_> =
            rows.iter().map(|row| (row.part, row.questions, row.right, row.abstains)).collect();
        assert_eq!(shown, [("all", 3, 2.0 / 3.0, 1.0 / 3.0), ("even", 2, 0.5, 0.5), ("odd", 1, 1.0, 0.0)]);
        assert_eq!((rows[0].weak, rows[0].weak_without, rows[0].sentences), (0.0, 1.0, 2.0));
    }
}
