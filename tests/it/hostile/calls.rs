//! What a guest can do while it is called.

use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::loading::change;
use super::{House, WORKERS};
use crate::support::PATIENCE;

/// What is in a document's way: code of the document, code of the breach if it is one.
const FILES: &[(&str, &str, &str)] = &[
    ("loop", "limit_time", "limit_time"),
    ("memory", "limit_memory", "limit_memory"),
    ("recurse", "limit_stack", "limit_stack"),
    ("recurse-frames", "trap", "trap"),
    ("panic", "trap", "trap"),
    ("wild-pointer", "trap", "trap"),
    ("output", "limit_output", "limit_output"),
    ("tiny", "limit_output", "limit_output"),
    ("parts", "limit_output", "limit_output"),
    ("pages", "limit", "limit"),
    ("not-utf8", "trap", "trap"),
    ("span-outside", "internal", "internal"),
    ("span-huge", "internal", "internal"),
    ("span-reversed", "internal", "internal"),
    ("span-inside", "internal", "internal"),
    ("span-overlap", "internal", "internal"),
];

async fn upload(house: &House, misdeed: &str) -> Value {
    let name = format!("{}.hostile", misdeed.split(' ').next().unwrap());
    let bytes = format!("parser!{misdeed}").into_bytes();
    let items = house.daemon.upload("", &[(&name, bytes)]).await;
    let id = items[0]["document_id"].as_str().unwrap();
    house.daemon.get(&format!("/api/v1/documents/{id}")).await.ok()
}

pub async fn files(house: &House) {
    for (misdeed, code, breach) in FILES {
        let document = house.breach("hostile-parser", breach, upload(house, misdeed)).await;
        assert_eq!(
            (&document["status"], &document["error"]["code"]),
            (&"failed".into(), &(*code).into()),
            "{misdeed}: {document:#}"
        );
        assert_eq!(document["error"]["plugin"], "hostile-parser");
    }
    let logged = house.breach("hostile-parser", "limit_log", upload(house, "log")).await;
    assert_eq!(logged["status"], "ready", "a flood of lines is cut, not punished: {logged:#}");
    let dropped = house.plugin("hostile-parser").await["log_lines_dropped"].as_u64().unwrap();
    assert!(dropped > 19_000, "{dropped}");

    let warned = upload(house, "warnings").await;
    assert_eq!((&warned["status"], warned["warnings"].as_array().unwrap().len()), (&"ready".into(), 1000));
    let titled = upload(house, "title").await;
    assert!(!titled["title"].as_str().unwrap().contains(char::is_control), "{titled:#}");
    let forged = upload(house, "forge").await;
    assert_eq!(forged["error"]["code"], "corrupt");
    assert!(!forged["error"]["detail"].as_str().unwrap().contains(char::is_control), "{forged:#}");

    // Codes of its own are the document's; the counters do not grow with them.
    for code in ["evil_1", "evil_2", "Evil\n3"] {
        let document = upload(house, &format!("code {code}")).await;
        let shown = if code.starts_with('e') { code } else { "plugin_error" };
        assert_eq!(document["error"]["code"], shown, "{document:#}");
    }
    let metrics = house.daemon.get("/metrics").await.body;
    // The backend of this house has such a name, too.
    let mut other = metrics.lines().filter(|line| !line.starts_with("smartrag_backend_up{"));
    assert!(other.all(|line| !line.contains("evil")), "{metrics}");
}

/// The last two columns: the answer's code, and how the breach is counted.
const TEXTS: &[(&str, u16, &str, &str)] = &[
    ("loop", 504, "backend_timeout", "limit_time"),
    ("memory", 502, "backend_error", "limit_memory"),
    ("recurse", 502, "backend_error", "limit_stack"),
    ("recurse-frames", 502, "backend_error", "trap"),
    ("panic", 502, "backend_error", "trap"),
    ("wild-pointer", 502, "backend_error", "trap"),
    ("output", 502, "backend_error", "limit_output"),
];

pub async fn annotations(house: &House) {
    let more = [("tiny", 502, "backend_error", "internal"), ("not-json", 502, "backend_error", "internal")];
    for (misdeed, status, code, breach) in TEXTS.iter().chain(&more) {
        let text = format!("enricher!{misdeed}");
        house.breach("hostile-enricher", breach, house.enrich(&text)).await.problem(*status, code);
        let found = house.enrich("a text of 24 harmless bytes").await.ok();
        assert_eq!(found["annotations"]["hostile-enricher"]["bytes"], 27, "after {misdeed}: {found}");
    }
    house.breach("hostile-enricher", "limit_log", house.enrich("enricher!log")).await.ok();
}

pub async fn vectors(house: &House) {
    let more = ["nan", "infinite", "long", "dimension", "rows", "no-rows"];
    let more = more.map(|misdeed| (misdeed, 502, "backend_error", "internal"));
    for (misdeed, status, code, breach) in TEXTS.iter().chain(&more) {
        let text = format!("embedder!{misdeed}");
        house.breach("hostile-embedder", breach, house.embed(&text)).await.problem(*status, code);
        let embedded = house.embed("harmless").await.ok();
        assert_eq!(embedded["embeddings"][0].as_array().unwrap().len(), 64, "after {misdeed}");
    }
    house.breach("hostile-embedder", "limit_log", house.embed("embedder!log")).await.ok();
    // Documents tell the code itself.
    for (misdeed, code, stage) in
        [("panic", "trap", "embedding"), ("nan", "internal", "embedding"), ("tokens", "internal", "chunking")]
    {
        let text = format!("A note that says embedder!{misdeed} among other things.");
        let items = house.daemon.upload("", &[(&format!("{misdeed}.txt"), text.into_bytes())]).await;
        let id = items[0]["document_id"].as_str().unwrap();
        let document = house.daemon.get(&format!("/api/v1/documents/{id}")).await.ok();
        let error = &document["error"];
        assert_eq!(
            (&error["code"], &error["stage"]),
            (&code.into(), &stage.into()),
            "{misdeed}: {document:#}"
        );
    }
}

pub async fn answers(house: &House) {
    let more = [
        ("next loop", 504, "backend_timeout", "limit_time"),
        ("next memory", 502, "backend_error", "limit_memory"),
        ("next panic", 502, "backend_error", "trap"),
        ("endless", 502, "backend_error", "limit_output"),
        ("endless-nothing", 502, "backend_error", "limit_output"),
        ("flood", 502, "backend_error", "internal"),
        ("not-utf8", 502, "backend_error", "trap"),
    ];
    for (misdeed, status, code, breach) in TEXTS.iter().chain(&more) {
        let question = format!("generator!{misdeed}");
        house.breach("hostile-generator", breach, house.ask(&question)).await.problem(*status, code);
        assert!(house.told("Anything?").await.contains("nothing was asked for"), "after {misdeed}");
    }
    for (name, expected) in [
        ("weights", "3 bytes"),
        ("other", "declares no model file"),
        ("../other.bin", "declares no model file"),
        ("hostile/../../key", "declares no model file"),
        ("/etc/passwd", "declares no model file"),
    ] {
        let told = house.told(&format!("generator!model {name}")).await;
        assert!(told.contains(expected) && !told.contains("root:"), "{name}: {told}");
    }
}

/// A parser that would go on for longer than any test waits ends when its document is cancelled.
pub async fn cancelled(house: &House) {
    change(house, "hostile-parser", "deadline", "290s");
    house.reload().await;
    let (begun, mut paths) = (Instant::now(), Vec::new());
    // As many as there are workers, which all would be gone for good.
    for at in 0..WORKERS {
        let part = Part::bytes(format!("parser!loop {at}").into_bytes()).file_name(format!("{at}.hostile"));
        let request = house.daemon.request("POST", "/api/v1/documents/upload");
        let answer = house.daemon.send(request.multipart(Form::new().part("file", part))).await.ok();
        let path = format!("/api/v1/documents/{}", answer["items"][0]["document_id"].as_str().unwrap());
        while house.daemon.get(&path).await.ok()["status"] != "parsing" {
            assert!(begun.elapsed() < PATIENCE, "{path} is not parsed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        paths.push(path);
    }
    for path in &paths {
        let stopped = house.daemon.post(&format!("{path}/cancel"), &Value::Null).await.ok();
        assert_eq!((&stopped["status"], &stopped["error"]["code"]), (&"failed".into(), &"cancelled".into()));
    }
    house.daemon.add("after.md", "The workers are free again.").await;
    change(house, "hostile-parser", "deadline", "2s");
    house.reload().await;
}
