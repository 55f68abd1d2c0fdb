//! kill -9 in the middle of the work: what was acknowledged is there exactly once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{TestDaemon, files_below, samples, test_data};

/// Documents to take in: real ones where they are, else our own; with many small texts in between, and
/// a few long ones that keep the daemon at work well beyond their acknowledgement.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = samples();
    for kind in ["pdf", "docx", "html", "md"] {
        if let Some(dir) = test_data(&format!("docs/docling/{kind}/sources")) {
            files.extend(files_below(&dir).into_iter().filter(|(_, bytes)| bytes.len() < 1 << 20));
        }
    }
    for number in 0..60 {
        let text = format!("Note {number}. The heron stands in pond number {number}.");
        files.push((format!("note-{number}.txt"), text.into_bytes()));
    }
    for number in 0..12 {
        let line = |row: usize| format!("# Part {row}\n\nRow {row} of log {number}: all is quiet.\n\n");
        files.push((format!("log-{number}.md"), (0..2000).map(line).collect::<String>().into_bytes()));
    }
    files
}

/// Uploads without waiting; the acknowledged ids by name.
async fn acknowledge(daemon: &TestDaemon, files: &[(String, Vec<u8>)]) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    // All in one request, so that nearly all of the work is still to be done when it is acknowledged.
    let form = files.iter().fold(reqwest::multipart::Form::new(), |form, (name, bytes)| {
        form.part("file", reqwest::multipart::Part::bytes(bytes.clone()).file_name(name.clone()))
    });
    let request = daemon.request("POST", "/api/v1/documents/upload").multipart(form);
    let items = daemon.send(request).await.ok()["items"].as_array().unwrap().clone();
    for (item, (name, _)) in items.iter().zip(files) {
        if let Some(id) = item["document_id"].as_str() {
            acknowledged.insert(id.to_owned(), name.clone());
        }
    }
    acknowledged
}

async fn all_documents(daemon: &TestDaemon) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/api/v1/documents?limit=200{cursor}")).await.ok();
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn unfinished(documents: &[Value]) -> usize {
    let is_final = |document: &&Value| matches!(document["status"].as_str(), Some("ready" | "failed"));
    documents.len() - documents.iter().filter(is_final).count()
}

#[tokio::test]
async fn acknowledged_documents_survive_kills() {
    let files = files();
    let mut daemon = TestDaemon::start();
    let acknowledged = acknowledge(&daemon, &files).await;
    let mut interrupted = 0;
    for round in 0..4u64 {
        // The work goes on for another while each time.
        tokio::time::sleep(std::time::Duration::from_millis(130 * round)).await;
        interrupted += unfinished(&all_documents(&daemon).await);
        daemon = TestDaemon::start_on(daemon.kill());
    }
    assert!(interrupted > 0, "nothing was interrupted: the test proves nothing");
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    let documents = loop {
        let documents = all_documents(&daemon).await;
        if unfinished(&documents) == 0 {
            break documents;
        }
        assert!(std::time::Instant::now() < deadline, "{} documents are stuck", unfinished(&documents));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let ids: Vec<_> =
        documents.iter().map(|document| document["document_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), acknowledged.len());
    for id in acknowledged.keys() {
        assert_eq!(
            ids.iter().filter(|found| *found == id).count(),
            1,
            "{} is not there once",
            acknowledged[id]
        );
    }
    for document in documents.iter().filter(|document| document["status"] == "failed") {
        assert_ne!(document["error"]["code"], "quarantined", "{document:#}");
    }
    let body =
        json!({"query": "heron pond", "mode": "keyword", "top_k": 100, "filter": {"file_type": ["txt"]}});
    let mut found: Vec<_> =
        daemon.search(&body).await.iter().map(|hit| hit["filename"].to_string()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 60, "{found:?}");
}

#[tokio::test]
async fn deletions_survive_a_kill_and_indexes_are_rebuilt() {
    let daemon = TestDaemon::start();
    let gone = daemon.add("gone.txt", "A pelican.").await;
    let kept = daemon.add("kept.txt", "Another pelican.").await;
    daemon.delete(&format!("/api/v1/documents/{gone}")).await.ok();
    let data = daemon.kill();
    std::fs::remove_dir_all(data.path().join("indexes")).unwrap();
    let daemon = TestDaemon::start_on(data);
    for mode in ["keyword", "vector"] {
        let hits = daemon.search(&json!({"query": "pelican", "mode": mode})).await;
        let ids: Vec<_> = hits.iter().map(|hit| hit["document_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [kept.as_str()], "{mode}");
    }
}
