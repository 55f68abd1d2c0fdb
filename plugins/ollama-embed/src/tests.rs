//! The answers are those of Ollama's published description of its API.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use smartrag_sdk::embedder::{Embedder, Embeddings, Purpose};
use smartrag_sdk::testing::{Answer, on_http, set_config};
use smartrag_sdk::{Error, ErrorKind, Result};

use crate::OllamaEmbed;

const TAGS: &str = r#"{"models":[
    {"name":"llama3.2:latest","size":2019393189,"digest":"a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "details":{"format":"gguf","family":"llama","families":["llama"],"parameter_size":"3.2B"}},
    {"name":"all-minilm:latest","size":45960996,"digest":"1b226e2802dbb772b5fc32a58f103ca1804ef7501331012de126ab22f67475ef",
        "details":{"format":"gguf","family":"bert","families":["bert"],"parameter_size":"23M"}}]}"#;
const SHOWN: &str = r#"{"model_info":{"general.architecture":"bert","bert.context_length":512},"capabilities":["embedding"]}"#;

fn whole(status: u16, body: &str) -> Answer {
    Answer { status, pieces: vec![Ok(body.as_bytes().to_vec())], ..Answer::default() }
}

/// A server with these models that answers requests for vectors so; what it was asked for those.
fn serve(tags: &'static str, vectors: Answer) -> Rc<RefCell<Vec<Value>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let sink = asked.clone();
    on_http(move |request| {
        Ok(match request.url.rsplit_once("127.0.0.1:11434").expect("the server").1 {
            "/api/tags" => whole(200, tags),
            "/api/show" => whole(200, SHOWN),
            "/api/embed" => {
                sink.borrow_mut().push(serde_json::from_slice(&request.body).expect("JSON"));
                vectors.clone()
            }
            other => panic!("{other}"),
        })
    });
    asked
}

/// So many vectors.
fn vectors(rows: &[[f32; 2]]) -> Answer {
    let body = json!({"model": "all-minilm", "embeddings": rows, "total_duration": 14143917, "load_duration": 1019500,
        "prompt_eval_count": 8});
    whole(200, &body.to_string())
}

fn embed(texts: &[&str]) -> Result<Embeddings> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    OllamaEmbed::load()?.embed(&texts, Purpose::Passage)
}

#[test]
fn the_server_says_what_it_has() -> Result<()> {
    let asked = serve(TAGS, vectors(&[[1.0, 0.0]]));
    let plugin = OllamaEmbed::load()?;
    let info = plugin.info()?;
    assert_eq!((info.model.as_str(), info.dimension, info.window_tokens), ("all-minilm:latest", 2, 448));
    let print = &info.fingerprint;
    assert!(print.starts_with("ollama-embed/all-minilm:latest/1b226e2802db/2/"), "{print}");
    let body = json!({"model": "all-minilm:latest", "input": ["dimension"], "truncate": true});
    assert_eq!(asked.borrow()[..], [body]);
    assert_eq!(plugin.count_tokens(&["a b c".into(), String::new()])?, [2, 0]);

    set_config(r#"{"model": "all-minilm"}"#);
    assert_eq!(OllamaEmbed::load()?.info()?.fingerprint, *print, "its tag is latest, said or not");
    set_config(r#"{"model": "nomic-embed-text"}"#);
    let error = OllamaEmbed::load()?.info().unwrap_err();
    set_config("{}");
    assert_eq!(error.kind, ErrorKind::Other("unknown_model".into()));
    assert!(error.message.contains("ollama pull nomic-embed-text"), "{}", error.message);
    Ok(())
}

#[test]
fn what_is_chosen_stays_chosen() -> Result<()> {
    serve(TAGS, vectors(&[[1.0, 0.0]]));
    let plugin = OllamaEmbed::load()?;
    plugin.info()?;
    let asked = serve(r#"{"models":[{"name":"other-embed:latest"}]}"#, vectors(&[[1.0, 0.0]]));
    plugin.embed(&["a".into()], Purpose::Query)?;
    assert_eq!(asked.borrow()[0]["model"], "all-minilm:latest");
    serve(r#"{"models":[]}"#, vectors(&[[1.0, 0.0]]));
    let none = OllamaEmbed::load()?.info().unwrap_err();
    assert!(none.kind == ErrorKind::Unavailable && none.message.contains("ollama pull"), "{}", none.message);
    Ok(())
}

#[test]
fn the_request_is_what_the_api_wants() -> Result<()> {
    set_config(r#"{"model": "m", "passage_prefix": "p: ", "dimensions": 2, "context_window": 1024}"#);
    let asked = serve(TAGS, vectors(&[[3.0, 4.0], [0.0, 2.0]]));
    let got = embed(&["a", " ", "b"]);
    set_config("{}");
    let got = got?;
    assert_eq!((got.values, got.tokens), (vec![0.6, 0.8, 0.0, 0.0, 0.0, 1.0], 8));
    let body = json!({"model": "m", "input": ["p: a", "p: b"], "truncate": true, "dimensions": 2,
        "options": {"num_ctx": 1024}});
    assert_eq!(asked.borrow()[..], [body]);
    Ok(())
}

#[test]
fn broken_answers_are_told() {
    let message = |answer: Answer| {
        serve(TAGS, answer);
        let error = embed(&["a", "b"]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Upstream, "{}", error.message);
        error.message
    };
    assert!(message(vectors(&[[1.0, 0.0]])).contains("of 2 texts and answered with 1"));
    assert!(message(whole(200, r#"{"embeddings":[[1,0],[1]]}"#)).contains("of 1 numbers, not of 2"));
    assert!(message(whole(200, r#"{"embeddings":[[1,null],[1,0]]}"#)).contains("more than numbers"));
    assert!(message(whole(200, r#"{"embeddings":[[],[]]}"#)).contains("empty vector"));
    assert!(message(whole(200, r#"{"model":"m"}"#)).contains("without vectors"));
    assert!(message(whole(200, r#"{"error":"no"}"#)).contains("without vectors: no"));
    assert!(message(whole(200, "<!doctype html>")).contains("a page for people"));
    assert!(
        message(whole(501, r#"{"error":"this model does not support embeddings"}"#))
            .contains("support embeddings")
    );
}

#[test]
fn failures_are_told_by_what_can_be_done_about_them() -> Result<()> {
    let kind = |status, body: &str| {
        serve(TAGS, whole(status, body));
        embed(&["a"]).unwrap_err().kind
    };
    let long = r#"{"error":"the input length exceeds the context length"}"#;
    assert_eq!(kind(400, long), ErrorKind::Limit("context".into()));
    let unknown = r#"{"error":"model \"m\" not found, try pulling it first"}"#;
    assert_eq!(kind(404, unknown), ErrorKind::Other("unknown_model".into()));
    assert_eq!(kind(503, r#"{"error":"server busy"}"#), ErrorKind::Unavailable);
    on_http(|_| Err(Error::unavailable("127.0.0.1:11434 can't be reached")));
    assert_eq!(OllamaEmbed::load()?.info().unwrap_err().kind, ErrorKind::Unavailable);
    Ok(())
}

#[test]
fn settings_are_checked() {
    set_config(r#"{"base_url": "localhost:11434"}"#);
    assert!(OllamaEmbed::load().err().is_some_and(|error| error.kind == ErrorKind::InvalidConfig));
    set_config(r#"{"strong": true}"#);
    assert!(OllamaEmbed::load().err().is_some_and(|error| error.message.contains("strong")));
    set_config("{}");
    let schema: Value = serde_json::from_str(&OllamaEmbed::describe().config_schema).expect("a schema");
    assert_eq!(schema["properties"]["base_url"]["default"], "http://127.0.0.1:11434");
}
