//! The answers are those of Ollama's published description of its API.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use smartrag_sdk::generator::{
    Event, FinishReason, Generation, Generator, Message, Options, Request, Role, Usage,
};
use smartrag_sdk::testing::{Answer, on_http, set_config};
use smartrag_sdk::{Annotation, ErrorKind, Result};

use crate::Ollama;

const TAGS: &str = r#"{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","modified_at":"2025-05-04T17:37:44-07:00",
    "size":2019393189,"digest":"a80c4f17acd5","details":{"format":"gguf","family":"llama","parameter_size":"3.2B"}}]}"#;
const SHOWN: &str = r#"{"model_info":{"general.architecture":"llama","llama.context_length":4096},"capabilities":["completion"]}"#;

fn request() -> Request {
    Request {
        model: None,
        question: "q".into(),
        language: "en".into(),
        messages: vec![Message { role: Role::User, content: "u".into() }],
        passages: vec![],
        options: Options {
            temperature: Some(0.2),
            top_p: None,
            max_tokens: Some(9),
            seed: None,
            stop: vec!["\n".into()],
            extra: vec![Annotation::new("top_k", 5)],
        },
    }
}

fn whole(status: u16, body: &str) -> Answer {
    Answer { status, pieces: vec![Ok(body.as_bytes().to_vec())], ..Answer::default() }
}

/// A server that answers chats so; what it was asked.
fn serve(chat: Answer) -> Rc<RefCell<Vec<(String, Value)>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let sink = asked.clone();
    on_http(move |request| {
        let path = request.url.rsplit_once("127.0.0.1:11434").expect("the server").1.to_owned();
        sink.borrow_mut().push((path.clone(), serde_json::from_slice(&request.body).unwrap_or_default()));
        Ok(match path.as_str() {
            "/api/tags" => whole(200, TAGS),
            "/api/show" => whole(200, SHOWN),
            "/api/chat" => chat.clone(),
            other => panic!("{other}"),
        })
    });
    asked
}

fn events(chat: Answer) -> Result<Vec<Event>> {
    serve(chat);
    let mut generation = Ollama::load()?.generate(request())?;
    let mut all = Vec::new();
    loop {
        let events = generation.next(16)?;
        if events.is_empty() {
            return Ok(all);
        }
        all.extend(events);
    }
}

#[test]
fn the_server_says_what_it_has() -> Result<()> {
    serve(whole(200, ""));
    let info = Ollama::load()?.info()?;
    assert_eq!((info.model.as_str(), info.context_window), ("llama3.2:latest", Some(4096)));
    assert_eq!(info.properties, [Annotation::new("models", ["llama3.2:latest"])]);
    set_config(r#"{"model": "llama3.2", "context_window": 2048}"#);
    let info = Ollama::load()?.info()?;
    assert_eq!((info.model.as_str(), info.context_window), ("llama3.2", Some(2048)));
    set_config(r#"{"model": "qwen3"}"#);
    let error = Ollama::load()?.info().unwrap_err();
    assert!(error.message.contains("ollama pull qwen3"), "{}", error.message);
    set_config("{}");
    Ok(())
}

#[test]
fn the_window_goes_along_so_that_nothing_is_dropped() -> Result<()> {
    let asked = serve(whole(200, ""));
    Ollama::load()?.generate(request())?;
    let expected = json!({
        "model": "llama3.2:latest", "stream": true, "messages": [{"role": "user", "content": "u"}],
        "options": {"num_ctx": 4096, "temperature": 0.2, "num_predict": 9, "stop": ["\n"], "top_k": 5},
    });
    assert_eq!(asked.borrow().last(), Some(&("/api/chat".to_owned(), expected)));
    Ok(())
}

#[test]
fn a_stream_is_read() -> Result<()> {
    let body = concat!(
        r#"{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406Z","message":{"role":"assistant","content":"","thinking":"so"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406Z","message":{"role":"assistant","content":"The"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2023-08-04T19:22:45.499127Z","message":{"role":"assistant","content":" sky"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2023-08-04T19:22:45.499127Z","message":{"role":"assistant","content":""},"done_reason":"length","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}"#,
        "\n",
    );
    let expected = [
        Event::Reasoning("so".into()),
        Event::Text("The".into()),
        Event::Text(" sky".into()),
        Event::Usage(Usage { prompt_tokens: 26, completion_tokens: 282 }),
        Event::Finish(FinishReason::Length),
    ];
    assert_eq!(events(whole(200, body))?, expected);
    Ok(())
}

#[test]
fn broken_answers_are_told() {
    let error = |chat: Answer| events(chat).unwrap_err();
    let said = r#"{"message":{"role":"assistant","content":"The"},"done":false}"#;
    assert!(error(whole(200, said)).message.contains("broke off"));
    let failed = format!("{said}\n{{\"error\":\"an error was encountered while running the model\"}}\n");
    assert!(error(whole(200, &failed)).message.contains("while running the model"));
    assert!(error(whole(200, "<html>")).message.contains("a page for people"));
    let unknown = error(whole(404, r#"{"error":"model 'x' not found"}"#));
    assert_eq!(unknown.kind, ErrorKind::Other("unknown_model".into()));
    assert!(error(whole(503, r#"{"error":"server busy, please try again"}"#)).retryable);
}
