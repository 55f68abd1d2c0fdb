//! The prompt cache on a real model, `LLAMA_NATIVE_GGUF`; `scripts/test-llama-native.sh` brings one.

use super::*;

fn engine(more: &str) -> Option<Engine> {
    let Some(path) = std::env::var_os("LLAMA_NATIVE_GGUF") else {
        eprintln!("SKIPPED: LLAMA_NATIVE_GGUF names no model; scripts/test-llama-native.sh brings one");
        return None;
    };
    let config = Config::parse(&format!(r#"{{"model_path": {path:?}{more}}}"#)).unwrap();
    Some(Engine::new(config).unwrap())
}

/// The answer, and how many tokens of the prompt were read for it.
fn answer(engine: &mut Engine, messages: &[(&str, &str)]) -> (String, usize) {
    let request = Request {
        messages: messages.to_vec(),
        temperature: Some(0.0),
        max_tokens: Some(12),
        ..Request::default()
    };
    let id = engine.begin(&request).unwrap();
    engine.admit();
    let sequence = engine.answers[&id].sequence().unwrap();
    let read = engine.answers[&id].prompt.len() - engine.sequences.tokens(sequence).len();
    let mut said = String::new();
    loop {
        let events = engine.next(id, 16).unwrap();
        if events.is_empty() {
            break;
        }
        said.extend(events.iter().filter_map(|event| match event {
            Event::Text(text) => Some(text.as_str()),
            _ => None,
        }));
    }
    engine.end(id);
    (said, read)
}

const SYSTEM: &str = "You answer from the sources below and from nothing else. Cite every statement by the number of \
                      its source in square brackets, such as [1]. If they do not hold the answer, say so.";

#[test]
fn the_fixed_prefix_is_read_once() {
    let Some(mut engine) = engine("") else { return };
    let first = [("system", SYSTEM), ("user", "Where does the heron stand?")];
    let (_, whole) = answer(&mut engine, &first);
    let second = [("system", SYSTEM), ("user", "What is a barometer?")];
    let (said, rest) = answer(&mut engine, &second);
    assert!(rest * 3 < whole, "{rest} of about {whole} tokens were read again");
    // A conversation goes on: only the new turn is read. The end of the model's turn may be cut differently.
    let third = [second[0], second[1], ("assistant", said.as_str()), ("user", "Why?")];
    let (_, turn) = answer(&mut engine, &third);
    assert!(turn < 50, "{turn} tokens were read for one short turn");
    assert_eq!(answer(&mut engine, &second), (said.clone(), 1), "the same question: one token");
    // What comes out of the cache is what would come without it.
    assert_eq!(answer(&mut self::engine("").unwrap(), &second).0, said);
}

#[test]
fn the_cache_gives_way_to_who_needs_the_room() {
    let Some(mut engine) = engine(r#", "context": 512, "parallel": 3"#) else { return };
    let long = "The heron stands in the pond. ".repeat(40);
    for number in 0..6 {
        let question = format!("{number} {long}");
        let (said, _) = answer(&mut engine, &[("system", SYSTEM), ("user", &question)]);
        assert!(!said.is_empty());
    }
}

#[test]
fn a_file_is_in_memory_once() {
    let Some(engine) = engine("") else { return };
    let other = self::engine(r#", "context": 512"#).unwrap();
    assert!(Arc::ptr_eq(engine.model.inner(), other.model.inner()));
}
