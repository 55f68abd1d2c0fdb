use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use smartrag_sdk::embedder::{Embedder, Embeddings, Purpose};
use smartrag_sdk::http::Header;
use smartrag_sdk::testing::{Answer, on_http, set_config};
use smartrag_sdk::{Error, ErrorKind, Result};

use crate::OpenAiEmbed;

const LLAMA: &str = r#"{"object":"list","data":[{"id":"bge-small","object":"model","created":1,"owned_by":"llamacpp",
    "meta":{"vocab_type":3,"n_vocab":30522,"n_ctx_train":512,"n_embd":384,"n_params":33212160,"size":36685824}}]}"#;

fn answer(status: u16, kind: &str, body: &str) -> Answer {
    let headers = vec![Header { name: "Content-Type".into(), value: kind.into() }];
    Answer { status, headers, pieces: vec![Ok(body.as_bytes().to_vec())] }
}

fn json_answer(body: &str) -> Answer {
    answer(200, "application/json", body)
}

/// A server with these models that answers requests for vectors so; what it was asked.
fn serve(
    models: Answer,
    mut vectors: impl FnMut(&Value) -> Answer + 'static,
) -> Rc<RefCell<Vec<(String, Value)>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let sink = asked.clone();
    on_http(move |request| {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        let path = request.url.rsplit_once("127.0.0.1:8080").expect("the server").1;
        sink.borrow_mut().push((path.to_owned(), body));
        let (_, body) = sink.borrow().last().expect("it was asked").clone();
        Ok(match path {
            "/v1/models" => models.clone(),
            "/v1/embeddings" => vectors(&body),
            "/props" => json_answer(r#"{"default_generation_settings":{"n_ctx":4096}}"#),
            "/tokenize" => json_answer(r#"{"tokens":[1,2,3]}"#),
            other => panic!("{other}"),
        })
    });
    asked
}

/// Vectors that tell the length of their text, last one first.
fn lengths(body: &Value) -> Answer {
    let texts = body["input"].as_array().expect("texts");
    let item = |(index, text): (usize, &Value)| {
        let length = text.as_str().expect("a text").len() as f64;
        json!({"object": "embedding", "index": index, "embedding": [length, 0.0]})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(item).rev().collect();
    json_answer(
        &json!({"object": "list", "data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}})
            .to_string(),
    )
}

fn embed(texts: &[&str]) -> Result<Embeddings> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    OpenAiEmbed::load()?.embed(&texts, Purpose::Passage)
}

#[test]
fn the_server_says_what_it_has() -> Result<()> {
    let asked = serve(json_answer(LLAMA), lengths);
    let plugin = OpenAiEmbed::load()?;
    let info = plugin.info()?;
    assert_eq!((info.model.as_str(), info.dimension, info.window_tokens), ("bge-small", 2, 448));
    assert!(info.fingerprint.starts_with("openai-embed/bge-small/36685824/2/"), "{}", info.fingerprint);
    assert_eq!(plugin.count_tokens(&["a b c".into(), String::new()])?, [3, 3]);
    let probe = json!({"model": "bge-small", "input": ["dimension"], "encoding_format": "float"});
    assert!(asked.borrow().contains(&("/v1/embeddings".to_owned(), probe)));
    Ok(())
}

#[test]
fn a_fresh_instance_counts_as_one_that_was_asked_for_its_info() -> Result<()> {
    serve(json_answer(LLAMA), lengths);
    assert_eq!(OpenAiEmbed::load()?.count_tokens(&["a b c".into()])?, [3]);
    serve(json_answer(r#"{"data":[{"id":"m"}]}"#), lengths);
    assert_eq!(OpenAiEmbed::load()?.count_tokens(&["a b c".into(), String::new()])?, [2, 0]);
    serve(answer(503, "text/plain", "starting"), lengths);
    assert_eq!(OpenAiEmbed::load()?.count_tokens(&["a b c".into()])?, [2]);
    Ok(())
}

#[test]
fn vectors_are_put_in_the_order_of_their_texts() -> Result<()> {
    let by_index = r#"{"data":[{"index":2,"embedding":[3,4]},{"index":0,"embedding":[1,0]},{"index":1,"embedding":[0,1]}]}"#;
    serve(json_answer(LLAMA), move |_| json_answer(by_index));
    let got = embed(&["a", "b", "c"])?;
    assert_eq!((got.dimension, got.values), (2, vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8]));
    let unnumbered = r#"{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}"#;
    serve(json_answer(LLAMA), move |_| json_answer(unnumbered));
    assert_eq!(embed(&["a", "b"])?.values, [1.0, 0.0, 0.0, 1.0]);
    Ok(())
}

#[test]
fn the_request_is_what_the_api_wants() -> Result<()> {
    set_config(r#"{"model": "m", "dimensions": 2, "batch": 2, "passage_prefix": "passage: "}"#);
    let asked = serve(json_answer(LLAMA), lengths);
    let got = embed(&["a", "", "b", "c"])?;
    set_config("{}");
    assert_eq!(got.tokens, 10);
    assert_eq!(got.values, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let body =
        |texts: Value| json!({"model": "m", "input": texts, "encoding_format": "float", "dimensions": 2});
    let expected = [
        ("/v1/embeddings".to_owned(), body(json!(["passage: a", "passage: b"]))),
        ("/v1/embeddings".to_owned(), body(json!(["passage: c"]))),
    ];
    assert_eq!(*asked.borrow(), expected);
    Ok(())
}

#[test]
fn the_model_is_one_for_embeddings_where_the_list_has_one() -> Result<()> {
    let info = |models: Answer| {
        serve(models, lengths);
        OpenAiEmbed::load()?.info()
    };
    let list = r#"{"data":[{"id":"chat"},{"id":"text-embed-1","max_model_len":8192}]}"#;
    let named = info(json_answer(list))?;
    assert_eq!((named.model.as_str(), named.window_tokens), ("text-embed-1", 8192 - 1024));
    assert_eq!(info(json_answer(r#"{"data":[{"id":"one"},{"id":"two"}]}"#))?.model, "one");
    let unlisted = info(answer(404, "application/json", "{}"))?;
    assert_eq!((unlisted.model.as_str(), unlisted.window_tokens), ("default", 448));
    set_config(r#"{"model": "mine", "context_window": 1024}"#);
    let configured = info(json_answer(list));
    set_config("{}");
    let configured = configured?;
    assert_eq!((configured.model.as_str(), configured.window_tokens), ("mine", 896));
    Ok(())
}

#[test]
fn broken_answers_are_told() {
    let error = |vectors: Answer| {
        serve(json_answer(LLAMA), move |_| vectors.clone());
        embed(&["a", "b"]).unwrap_err()
    };
    let message = |vectors: Answer| {
        let error = error(vectors);
        assert_eq!(error.kind, ErrorKind::Upstream, "{}", error.message);
        error.message
    };
    let data = |data: &str| json_answer(&format!(r#"{{"data":{data}}}"#));
    assert!(message(data(r#"[{"index":0,"embedding":[1]}]"#)).contains("of 2 texts and answered with 1"));
    assert!(message(data("[]")).contains("answered with 0"));
    let twice = data(r#"[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]"#);
    assert!(message(twice).contains("numbered for other texts"));
    let other = data(r#"[{"index":0,"embedding":[1]},{"index":7,"embedding":[1]}]"#);
    assert!(message(other).contains("numbered for other texts"));
    let uneven = data(r#"[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1]}]"#);
    assert!(message(uneven).contains("of 1 numbers, not of 2"));
    let null = data(r#"[{"index":0,"embedding":[1,null]},{"index":1,"embedding":[1,0]}]"#);
    assert!(message(null).contains("more than numbers"));
    let huge = data(r#"[{"index":0,"embedding":[1e39]},{"index":1,"embedding":[1]}]"#);
    assert!(message(huge).contains("more than numbers"));
    let not_a_number = data(r#"[{"index":0,"embedding":[NaN]},{"index":1,"embedding":[1]}]"#);
    assert!(message(not_a_number).contains("not with JSON"));
    assert!(message(answer(200, "text/html", "<html>Sign in</html>")).contains("a page for people"));
    assert!(message(answer(200, "application/json", "")).contains("not with JSON"));
    assert!(message(json_answer("{}")).contains("without vectors"));
    let refused = json_answer(r#"{"error":"Unexpected endpoint or method"}"#);
    assert!(message(refused).contains("without vectors: Unexpected endpoint"));
    let unable = r#"{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`"}}"#;
    assert!(message(answer(501, "application/json", unable)).contains("--embeddings"));
    assert!(message(answer(401, "application/json", "{}")).contains("api_key_secret"));
    let mut cut = data("[]");
    cut.pieces = vec![Ok(b"{\"data\":[".to_vec()), Err(Error::timeout("60 s without a byte"))];
    assert_eq!(error(cut).kind, ErrorKind::Timeout);
}

#[test]
fn failures_are_told_by_what_can_be_done_about_them() {
    let error = |status, body: &str| {
        let vectors = answer(status, "application/json", body);
        serve(json_answer(LLAMA), move |_| vectors.clone());
        embed(&["a text"]).unwrap_err()
    };
    let starting = error(503, r#"{"error":{"message":"Loading model"}}"#);
    assert!(starting.retryable && starting.kind == ErrorKind::Unavailable, "{starting:?}");
    let long = r#"{"error":{"code":500,"message":"input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)"}}"#;
    let long = error(500, long);
    assert_eq!(long.kind, ErrorKind::Limit("context".into()));
    assert!(
        long.message.contains("context_window") && long.message.contains("600 tokens"),
        "{}",
        long.message
    );
    let unknown =
        error(404, r#"{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}"#);
    assert_eq!(unknown.kind, ErrorKind::Other("unknown_model".into()));
}

#[test]
fn a_server_that_is_not_there_is_unavailable() -> Result<()> {
    on_http(|_| Err(Error::unavailable("127.0.0.1:8080 can't be reached")));
    let plugin = OpenAiEmbed::load()?;
    assert_eq!(plugin.info().unwrap_err().kind, ErrorKind::Unavailable);
    let error = plugin.embed(&["a".into()], Purpose::Query).unwrap_err();
    assert!(error.retryable && error.kind == ErrorKind::Unavailable, "{error:?}");
    assert_eq!(plugin.count_tokens(&["a b c".into()])?, [2]);
    serve(json_answer(LLAMA), lengths);
    assert_eq!(plugin.embed(&["a".into()], Purpose::Query)?.values, [1.0, 0.0], "and then it is");
    Ok(())
}

#[test]
fn settings_are_checked() {
    set_config(r#"{"base_url": "localhost:8080"}"#);
    assert!(OpenAiEmbed::load().err().is_some_and(|error| error.kind == ErrorKind::InvalidConfig));
    set_config(r#"{"dimension": 3}"#);
    assert!(OpenAiEmbed::load().err().is_some_and(|error| error.message.contains("dimension")));
    set_config("{}");
    let schema: Value = serde_json::from_str(&OpenAiEmbed::describe().config_schema).expect("a schema");
    assert_eq!(schema["properties"]["base_url"]["default"], "http://127.0.0.1:8080/v1");
}
