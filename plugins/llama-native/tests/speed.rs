//! Tokens a second of the plugin and of llama.cpp's own server (package `xllamacpp`), turn by turn in one run, with the
//! same model, prompts and number of threads: `scripts/test-llama-native.sh` runs it. The server's times are its own,
//! without HTTP; the plugin's are those of whoever calls it.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use smartrag_native::message_role;
use support::{Ask, Instance, Said};

const ANSWER_TOKENS: u32 = 128;

/// Of one answer.
#[derive(Clone, Copy, Debug)]
struct Speed {
    /// Tokens of the prompt that were read.
    prompt: f64,
    prompt_ms: f64,
    /// Tokens of the answer behind its first.
    answer: f64,
    answer_ms: f64,
}

impl Speed {
    fn reading(&self) -> f64 {
        self.prompt / self.prompt_ms * 1e3
    }

    fn writing(&self) -> f64 {
        self.answer / self.answer_ms * 1e3
    }
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(python: &Path, weights: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/data/llama_server.py");
        let mut command = Command::new(python);
        command.arg(script).arg(weights).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the server");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.map_while(Result::ok).find(|line| line.starts_with("http://")).expect("an address");
        Self { child, address: url["http://".len()..].trim_end_matches('/').to_owned() }
    }

    fn ask(&self, system: &str, user: &str) -> Speed {
        let body = json!({
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "temperature": 0.0, "max_tokens": ANSWER_TOKENS, "stream": false,
        })
        .to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let from = answer.find("\r\n\r\n").map_or(0, |at| at + 4);
        let from = from + answer[from..].find('{').expect("JSON");
        let mut values = serde_json::Deserializer::from_str(&answer[from..]).into_iter::<Value>();
        let answer = values.next().unwrap().unwrap();
        let number = |name: &str| answer["timings"][name].as_f64().unwrap_or_else(|| panic!("{answer:#}"));
        Speed {
            prompt: number("prompt_n"),
            prompt_ms: number("prompt_ms"),
            answer: number("predicted_n") - 1.0,
            answer_ms: number("predicted_ms"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(model: &Instance, system: &str, user: &str) -> Speed {
    let messages = vec![(message_role::SYSTEM, system), (message_role::USER, user)];
    let ask = Ask { messages, temperature: Some(0.0), max_tokens: ANSWER_TOKENS, ..Ask::default() };
    let began = Instant::now();
    let mut answer = model.generate(&ask).unwrap();
    let (mut first, mut last, mut usage) = (None, began, (0, 0));
    loop {
        let events = answer.next().unwrap();
        if events.is_empty() {
            break;
        }
        for event in events {
            match event {
                Said::Text(_) => {
                    last = Instant::now();
                    first.get_or_insert(last);
                }
                Said::Usage(prompt, completion) => usage = (prompt, completion),
                _ => {}
            }
        }
    }
    let first = first.expect("a word");
    Speed {
        prompt: usage.0.into(),
        prompt_ms: (first - began).as_secs_f64() * 1e3,
        answer: f64::from(usage.1) - 1.0,
        answer_ms: (last - first).as_secs_f64() * 1e3,
    }
}

/// Sources of about so many words, different in each round, so that no prompt cache helps.
fn sources(round: usize, words: usize) -> String {
    const WORDS: [&str; 16] = [
        "heron", "pond", "river", "water", "gauge", "the", "stands", "quiet", "of", "morning", "fish",
        "waits", "level", "and", "storm", "reads",
    ];
    let mut state = round as u64 + 1;
    let mut text = format!("Round {round}: ");
    for _ in 0..words {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text += WORDS[(state >> 60) as usize];
        text.push(' ');
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let Some(weights) = support::weights() else { return };
    let Some(python) = std::env::var_os("LLAMA_NATIVE_PYTHON").map(PathBuf::from) else {
        eprintln!("SKIPPED: LLAMA_NATIVE_PYTHON names no Python with xllamacpp");
        return;
    };
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(9);
    let threads = std::thread::available_parallelism().unwrap().get();
    let server = Server::start(&python, &weights);
    let more = std::env::var("LLAMA_NATIVE_SETTINGS").unwrap_or_default();
    let model = Instance::with_weights(&format!(r#", "threads": {threads}{more}"#)).unwrap();
    let user = "Tell a long story of all this, in many sentences.";
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round warms both up.
    for round in 0..=rounds {
        let system = sources(round, 1000);
        if round % 2 == 0 {
            ours.push(ask(&model, &system, user));
            theirs.push(server.ask(&system, user));
        } else {
            theirs.push(server.ask(&system, user));
            ours.push(ask(&model, &system, user));
        }
        let (a, b) = (ours[round], theirs[round]);
        eprintln!(
            "round {round}: prompt {:.0} and {:.0} tokens, {:.0} and {:.0} tokens/s; answer {:.0} and {:.0} tokens, {:.1} and {:.1} tokens/s",
            a.prompt,
            b.prompt,
            a.reading(),
            b.reading(),
            a.answer,
            b.answer,
            a.writing(),
            b.writing()
        );
    }
    println!(
        "| {threads} threads, medians of {rounds} | llama-native | xllamacpp | ratio |\n| --- | --- | --- | --- |"
    );
    for (name, speed) in
        [("prompt, tokens/s", Speed::reading as fn(&Speed) -> f64), ("answer, tokens/s", Speed::writing)]
    {
        let of = |all: &[Speed]| median(all[1..].iter().map(speed).collect());
        let (a, b) = (of(&ours), of(&theirs));
        println!("| {name} | {a:.1} | {b:.1} | {:.2} |", a / b);
    }
    // What a second question finds in the prompt cache, on both sides.
    let system = sources(999, 1000);
    let again =
        |question: &str| (ask(&model, &system, question).prompt_ms, server.ask(&system, question).prompt_ms);
    let (cold, warm) = (again("What does the heron do?"), again("Where is the gauge?"));
    println!("| first word, ms | {:.0} | {:.0} | |", cold.0, cold.1);
    println!("| first word of a second question, ms | {:.0} | {:.0} | |", warm.0, warm.1);
}
