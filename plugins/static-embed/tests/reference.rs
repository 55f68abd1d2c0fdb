//! The vectors of the reference, on the real weights. `reference.jsonl` was written by the Python package
//! `wordllama` 0.4.0.post1: `tokenizer.encode(text, add_special_tokens=False)` and `embed(text, norm=True)`.

use std::path::PathBuf;

use serde::Deserialize;
use smartrag_plugin_static_embed::{StaticEmbed, Tokenizer};
use smartrag_sdk::embedder::{Embedder, Purpose};
use smartrag_sdk::testing::set_model;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    /// Times 10,000, rounded.
    vector_e4: Vec<f32>,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("reference.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a line of the fixture")).collect()
}

/// A model file; `None`, with a line that says so, where the models were not fetched.
fn model(name: &str) -> Option<Vec<u8>> {
    let targets = ["../../target".into(), std::env::var("CARGO_TARGET_DIR").unwrap_or_default()];
    let mut places = vec![std::env::var("SMARTRAG_MODELS_DIR").unwrap_or_default()];
    places.extend(targets.iter().map(|target| format!("{target}/models")));
    let files = places.iter().map(|place| PathBuf::from(place).join("wordllama").join(name));
    let bytes = files.map(std::fs::read).find_map(Result::ok);
    if bytes.is_none() {
        eprintln!("skipped: {name} not found; run `smartrag models fetch` or set SMARTRAG_MODELS_DIR");
    }
    bytes
}

fn plugin() -> Option<StaticEmbed> {
    set_model("weights", model("l2_supercat_256.safetensors")?);
    set_model("tokenizer", model("l2_supercat_tokenizer_config.json")?);
    Some(StaticEmbed::load().expect("the fetched models load"))
}

#[test]
fn tokens_are_those_of_the_reference() {
    let Some(json) = model("l2_supercat_tokenizer_config.json") else { return };
    let mut tokenizer = Tokenizer::from_json(&json).expect("the fetched tokenizer loads");
    for case in cases() {
        let mut ids = Vec::new();
        tokenizer.each_piece(&case.text, |piece| ids.extend_from_slice(piece));
        assert_eq!(ids, case.ids, "{:?}", case.text);
    }
}

#[test]
fn vectors_are_those_of_the_reference() {
    let Some(plugin) = plugin() else { return };
    let cases = cases();
    let texts: Vec<String> = cases.iter().map(|case| case.text.clone()).collect();
    let embeddings = plugin.embed(&texts, Purpose::Passage).expect("they embed");
    for (case, row) in cases.iter().zip(embeddings.values.chunks(256)) {
        let dot: f32 = case.vector_e4.iter().zip(row).map(|(a, b)| a * b).sum();
        let length = case.vector_e4.iter().map(|x| x * x).sum::<f32>().sqrt();
        let blank = case.text.trim().is_empty();
        assert_eq!(blank, row.iter().all(|x| *x == 0.0), "{:?}", case.text);
        assert!(blank || 1.0 - dot / length < 1e-4, "{:?}: {}", case.text, dot / length);
    }
}

#[test]
fn batches_blanks_and_counts() {
    let Some(plugin) = plugin() else { return };
    let texts = ["Grüße", "", "\n \t", "Grüße"].map(String::from);
    let embeddings = plugin.embed(&texts, Purpose::Query).expect("they embed");
    let rows: Vec<&[f32]> = embeddings.values.chunks(256).collect();
    assert_eq!((rows.len(), rows[0]), (4, rows[3]));
    assert!(rows[1..3].concat().iter().all(|x| *x == 0.0));
    let counts = plugin.count_tokens(&texts).expect("they count");
    assert_eq!((counts[0], counts[1], counts[3]), (3, 0, 3));
    assert_eq!(embeddings.tokens, 6);
    assert_eq!(plugin.embed(&[], Purpose::Query).expect("none is fine").values, [0.0; 0]);
}
