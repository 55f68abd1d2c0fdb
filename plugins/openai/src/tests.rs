use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use smartrag_sdk::generator::{
    Event, FinishReason, Generation, Generator, Message, Options, Request, Role, Usage,
};
use smartrag_sdk::http::Header;
use smartrag_sdk::testing::{Answer, on_http, set_config};
use smartrag_sdk::{Annotation, Error, ErrorKind, Result};

use crate::OpenAi;

fn request() -> Request {
    let message = |role, content: &str| Message { role, content: content.into() };
    Request {
        model: None,
        question: "q".into(),
        language: "en".into(),
        messages: vec![message(Role::System, "s"), message(Role::User, "u")],
        passages: vec![],
        options: Options {
            temperature: Some(0.7),
            top_p: None,
            max_tokens: Some(9),
            seed: None,
            stop: vec![],
            extra: vec![Annotation::new("top_k", 5)],
        },
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Answer {
    let headers = vec![Header { name: "Content-Type".into(), value: kind.into() }];
    Answer { status, headers, pieces: vec![Ok(body.as_bytes().to_vec())] }
}

fn stream(body: &str) -> Answer {
    answer(200, "text/event-stream; charset=utf-8", body)
}

const MODELS: &str =
    r#"{"object":"list","data":[{"id":"smol","owned_by":"llamacpp","meta":{"n_ctx_train":8192}}]}"#;

/// A server that lists one model and answers chats so; what it was asked.
fn serve(chats: Vec<Answer>) -> Rc<RefCell<Vec<(String, Value)>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let sink = asked.clone();
    let mut chats = chats.into_iter();
    on_http(move |request| {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        sink.borrow_mut().push((request.url.clone(), body));
        Ok(match request.url.rsplit_once("127.0.0.1:8080").expect("the server").1 {
            "/v1/models" => answer(200, "application/json", MODELS),
            "/props" => answer(200, "application/json", r#"{"default_generation_settings":{"n_ctx":4096}}"#),
            "/tokenize" => answer(200, "application/json", r#"{"tokens":[1,2,3]}"#),
            "/v1/chat/completions" => chats.next().expect("no more chats"),
            other => panic!("{other}"),
        })
    });
    asked
}

fn events(chats: Vec<Answer>) -> Result<Vec<Event>> {
    serve(chats);
    let mut generation = OpenAi::load()?.generate(request())?;
    let mut all = Vec::new();
    loop {
        let events = generation.next(16)?;
        if events.is_empty() {
            return Ok(all);
        }
        all.extend(events);
    }
}

fn text(text: &str) -> Event {
    Event::Text(text.into())
}

#[test]
fn the_server_says_what_it_has() -> Result<()> {
    serve(vec![]);
    let plugin = OpenAi::load()?;
    let info = plugin.info()?;
    assert_eq!((info.model.as_str(), info.context_window, info.strong), ("smol", Some(4096), false));
    assert_eq!(info.properties, [Annotation::new("models", ["smol"])]);
    assert_eq!(plugin.count_tokens(&["a b c".into(), String::new()])?, [3, 3]);
    Ok(())
}

#[test]
fn the_request_is_what_the_api_wants() -> Result<()> {
    let asked = serve(vec![stream("data: [DONE]\n\n")]);
    OpenAi::load()?.generate(request())?;
    let asked = asked.borrow();
    let expected = json!({
        "model": "smol", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.7,
        "max_tokens": 9, "top_k": 5,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    });
    assert_eq!(asked.last().map(|(_, body)| body), Some(&expected));
    Ok(())
}

#[test]
fn a_stream_of_llama_cpp_is_read() -> Result<()> {
    let body = concat!(
        ": keep-alive\n\n",
        r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"<think>hm</think> Thir"}}]}"#,
        "\n\n",
        ": keep-alive\n\n",
        r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"ty [1]."}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}]}"#,
        "\n\n",
        r#"data: {"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":33,"total_tokens":37}}"#,
        "\n\n",
        "data: [DONE]\n\n",
    );
    let usage = Event::Usage(Usage { prompt_tokens: 33, completion_tokens: 4 });
    assert_eq!(
        events(vec![stream(body)])?,
        [
            Event::Reasoning("hm".into()),
            text("Thir"),
            text("ty [1]."),
            usage,
            Event::Finish(FinishReason::Length)
        ]
    );
    Ok(())
}

#[test]
fn reasoning_of_a_field_and_usage_beside_the_end_are_read() -> Result<()> {
    let body = concat!(
        r#"data: {"choices":[{"delta":{"reasoning_content":"so"}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "\n\n",
    );
    let usage = Event::Usage(Usage { prompt_tokens: 1, completion_tokens: 2 });
    let expected = [Event::Reasoning("so".into()), text("a"), usage, Event::Finish(FinishReason::Stop)];
    assert_eq!(events(vec![stream(body)])?, expected);
    Ok(())
}

#[test]
fn a_server_that_does_not_stream_is_read_whole() -> Result<()> {
    let body =
        r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    let usage = Event::Usage(Usage { prompt_tokens: 1, completion_tokens: 0 });
    let expected = [text("a"), usage, Event::Finish(FinishReason::Stop)];
    assert_eq!(events(vec![answer(200, "application/json", body)])?, expected);
    Ok(())
}

#[test]
fn broken_answers_are_told() {
    let message = |chat: Answer| events(vec![chat]).unwrap_err().message;
    let cut = r#"data: {"choices":[{"delta":{"content":"a"}}]}"#;
    assert!(message(stream(cut)).contains("broke off"));
    assert!(message(stream("")).contains("broke off"));
    assert!(message(answer(200, "text/html", "<!doctype html>")).contains("a page for people"));
    assert!(message(stream("data: oops\n\n")).contains("not with JSON"));
    let failed = r#"data: {"error":{"message":"out of memory"}}"#;
    assert!(message(stream(failed)).contains("out of memory"));
    let mut idle = stream(r#"data: {"choices":[{"delta":{"content":"a"}}]}"#);
    idle.pieces =
        vec![idle.pieces.remove(0), Ok(b"\n\n".to_vec()), Err(Error::timeout("60 s without a byte"))];
    assert_eq!(events(vec![idle]).unwrap_err().kind, ErrorKind::Timeout);
}

#[test]
fn a_server_that_is_starting_can_be_asked_again() {
    let starting = answer(503, "application/json", r#"{"error":{"message":"Loading model"}}"#);
    let error = events(vec![starting]).unwrap_err();
    assert!(error.retryable && error.kind == ErrorKind::Unavailable, "{error:?}");
}

#[test]
fn an_unknown_option_of_streams_is_left_out() -> Result<()> {
    let refused = answer(400, "application/json", r#"{"error":{"message":"unknown field stream_options"}}"#);
    let body = r#"data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    assert_eq!(events(vec![refused, stream(body)])?, [text("a"), Event::Finish(FinishReason::Stop)]);
    Ok(())
}

#[test]
fn settings_are_checked() {
    set_config(r#"{"base_url": "localhost:8080"}"#);
    assert!(OpenAi::load().err().is_some_and(|error| error.kind == ErrorKind::InvalidConfig));
    set_config(r#"{"basurl": "x"}"#);
    assert!(OpenAi::load().err().is_some_and(|error| error.message.contains("basurl")));
    set_config("{}");
}
