//! Real documents: each ends ready, or failed with a true reason; the text has the words of the reference.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestDaemon, files_below, test_data};

/// Words as they count for recall: lower case, without markup.
fn words(text: &str) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

/// The share of the reference's words that the text has.
fn recall(text: &str, reference: &str) -> f64 {
    let (found, expected) = (words(text), words(reference));
    let total: usize = expected.values().sum();
    let hit: usize =
        expected.iter().map(|(word, count)| found.get(word).copied().unwrap_or(0).min(*count)).sum();
    if total == 0 { 1.0 } else { hit as f64 / total as f64 }
}

async fn text_of(daemon: &TestDaemon, item: &Value) -> String {
    daemon.get(&format!("/api/v1/documents/{}/text", item["document_id"].as_str().unwrap())).await.body
}

/// Takes in all files of a kind; the mean recall over those that have a reference.
async fn recall_of(kind: &str) -> Option<f64> {
    let dir = test_data(&format!("docs/docling/{kind}"))?;
    let daemon = TestDaemon::start();
    let (mut recalls, mut ready) = (Vec::new(), 0);
    for (name, bytes) in
        files_below(&dir.join("sources")).into_iter().filter(|(name, _)| !name.ends_with(".png"))
    {
        let item = daemon.upload("", &[(&name, bytes)]).await.remove(0);
        if item["status"] != "ready" {
            let reason = item["code"].as_str().unwrap_or_default();
            assert!(["empty", "encrypted", "corrupt", "unsupported_type"].contains(&reason), "{item}");
            eprintln!("{kind}/{name}: {reason}: {}", item["detail"]);
            continue;
        }
        ready += 1;
        if let Some(reference) = reference(&dir, &name) {
            recalls.push(recall(&text_of(&daemon, &item).await, &reference));
        }
    }
    assert!(ready >= 8, "only {ready} documents became ready");
    assert!(!recalls.is_empty(), "no reference was found: the test proves nothing");
    let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
    eprintln!("{kind}: {ready} ready, word recall {mean:.3} over {} references", recalls.len());
    Some(mean)
}

fn reference(dir: &Path, name: &str) -> Option<String> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let candidates = [format!("{name}.md"), format!("{stem}.md")];
    let text = candidates
        .iter()
        .find_map(|file| std::fs::read_to_string(dir.join("groundtruth").join(file)).ok())?;
    Some(without_targets(&text.replace("<!-- image -->", " ")))
}

/// Without the addresses of links: they are no words of the document.
fn without_targets(text: &str) -> String {
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "] " + part.split_once(')').map_or("", |(_, rest)| rest))
}

#[tokio::test]
async fn pdf() {
    if let Some(recall) = recall_of("pdf").await {
        assert!(recall > 0.9, "{recall}");
    }
}

#[tokio::test]
async fn docx() {
    if let Some(recall) = recall_of("docx").await {
        assert!(recall > 0.95, "{recall}");
    }
}

#[tokio::test]
async fn html() {
    if let Some(recall) = recall_of("html").await {
        assert!(recall > 0.95, "{recall}");
    }
}

#[tokio::test]
async fn markdown() {
    if let Some(recall) = recall_of("md").await {
        assert!(recall > 0.95, "{recall}");
    }
}

/// Odd and broken files of all kinds: whatever they are, the daemon lives and says why.
#[tokio::test]
async fn odd_files() {
    let Some(dir) = test_data("docs/unstructured/example-docs") else { return };
    let daemon = TestDaemon::start();
    for (name, bytes) in files_below(&dir).into_iter().filter(|(_, bytes)| bytes.len() < 4 << 20) {
        let item = daemon.upload("", &[(&name, bytes)]).await.remove(0);
        let status = item["status"].as_str().unwrap();
        assert!(["ready", "failed", "rejected"].contains(&status), "{item}");
        assert!(
            status == "ready" || item["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{item}"
        );
        assert!(
            !["trap", "internal", "limit_time"].contains(&item["code"].as_str().unwrap_or("")),
            "{name}: {item}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_leave_the_uploaders_own_metadata() {
    let daemon = TestDaemon::start();
    let metadata = json!({"language": "mine", "keywords": {"mine": 1}, "author": "z"});
    let body = json!({"filename": "a.md", "text": "The heron stands in the pond.", "metadata": metadata});
    daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    let listed = daemon.get("/api/v1/documents").await.ok();
    let document = &listed["items"][0];
    assert_eq!(document["metadata"]["language"], "mine");
    assert_eq!(document["metadata"]["author"], "z");
    assert!(document["metadata"]["keywords"]["mine"].is_null(), "{document}");
    assert_eq!(document["warnings"][0]["code"], "metadata_replaced", "{document}");
    for (filter, hits) in [(json!({"metadata.language": "mine"}), 1), (json!({"metadata.language": "en"}), 0)]
    {
        assert_eq!(daemon.search(&json!({"query": "heron", "filter": filter})).await.len(), hits, "{filter}");
    }
}
