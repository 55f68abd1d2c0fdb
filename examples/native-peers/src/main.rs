//! Does what the shipped PDF parser and embedder do, as a native program, and prints the milliseconds that it took:
//! `native-peers pdf FILE` or `native-peers embed MODELS TEXTS.json`. For `smartrag bench plugins --native`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use smartrag_plugin_pdf::Pdf;
use smartrag_plugin_static_embed::StaticEmbed;
use smartrag_sdk::embedder::{Embedder, Purpose};
use smartrag_sdk::parser::{Document, Options, PagedParser};
use smartrag_sdk::{Source, testing};

type Failure = Box<dyn std::error::Error>;

/// As many as the plugin gets in one call.
const BATCH: usize = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let took = match words[..] {
        ["pdf", file] => pdf(Path::new(file)),
        ["embed", models, texts] => embed(Path::new(models), Path::new(texts)),
        _ => Err("usage: native-peers pdf FILE | native-peers embed MODELS TEXTS.json".into()),
    };
    match took {
        Ok(ms) => {
            println!("{ms}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn pdf(file: &Path) -> Result<f64, Failure> {
    let bytes = std::fs::read(file)?;
    // The plugin is compiled and its pages are mapped by the time it is measured.
    parse(bytes.clone())?;
    let begun = Instant::now();
    parse(bytes)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn parse(bytes: Vec<u8>) -> Result<(), Failure> {
    let options = Options { file_type: "pdf".into(), filename: "a.pdf".into(), passwords: Vec::new() };
    let mut document =
        Pdf::open(Source::from_bytes(bytes), &options).map_err(|error| error.message.clone())?;
    let pages = document.summary().page_count;
    document.pages(0..pages).map_err(|error| error.message.clone())?;
    Ok(())
}

fn embed(models: &Path, texts: &Path) -> Result<f64, Failure> {
    let model = |name: &str| std::fs::read(models.join("wordllama").join(name));
    testing::set_model("weights", model("l2_supercat_256.safetensors")?);
    testing::set_model("tokenizer", model("l2_supercat_tokenizer_config.json")?);
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(texts)?)?;
    let embedder = StaticEmbed::load().map_err(|error| error.message.clone())?;
    let all = || texts.chunks(BATCH).try_for_each(|batch| embedder.embed(batch, Purpose::Passage).map(drop));
    all().map_err(|error| error.message.clone())?;
    let begun = Instant::now();
    all().map_err(|error| error.message.clone())?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
