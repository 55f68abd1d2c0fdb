//! A generator that does what its question asks for: `generator!get http://…`. What it gets to see is its answer.

use smartrag_sdk::generator::{Event, FinishReason, Generation, Generator, ModelInfo, Request};
use smartrag_sdk::{Descriptor, ModelFile, Result, describe, http, log};

struct Plugin;

enum Answer {
    /// What is left of it.
    Events(Vec<Event>),
    /// Happens with the first events.
    Deed(String),
    /// The same event again and again.
    Endless(Event),
    /// More events than it was asked for.
    Flood,
    /// Asks a server that does not answer, and does not take no for an answer.
    Linger(String),
}

impl Generator for Plugin {
    type Generation = Answer;

    fn describe() -> Descriptor {
        describe!("hostile-generator")
    }

    fn load() -> Result<Self> {
        Ok(Self)
    }

    fn info(&self) -> Result<ModelInfo> {
        let model = "hostile".into();
        Ok(ModelInfo {
            model,
            context_window: None,
            strong: false,
            wants_sentences: false,
            properties: Vec::new(),
        })
    }

    fn generate(&self, request: Request) -> Result<Answer> {
        let Some((misdeed, words)) = hostile::misdeed("generator", &request.question) else {
            return Ok(said("nothing was asked for"));
        };
        let word = |at: usize| words.get(at).copied().unwrap_or_default().to_owned();
        hostile::commit(misdeed);
        Ok(match misdeed {
            "next" => Answer::Deed(word(0)),
            "endless" => Answer::Endless(Event::Text("x".into())),
            "endless-nothing" => Answer::Endless(Event::Text(String::new())),
            "flood" => Answer::Flood,
            "linger" => Answer::Linger(word(0)),
            "output" => Answer::Events(vec![Event::Text("x".repeat(8 << 20))]),
            "not-utf8" => Answer::Events(vec![Event::Text(not_utf8())]),
            "get" => said(&told(get(&word(0), &[]))),
            "header" => said(&told(get(&word(0), &[(&word(1), &words[2..].join(" "))]))),
            "inject" => said(&told(get(&word(0), &[("x-a", "b\r\nx-secret: stolen")]))),
            "secret-url" => said(&told(get(&format!("{}?key={{{{secret:key}}}}", word(0)), &[]))),
            "model" => said(&told(ModelFile::open(&word(0)).map(|file| format!("{} bytes", file.size())))),
            // Its failure is the user's.
            "wait" => said(&get(&word(0), &[])?),
            _ => said("no such misdeed"),
        })
    }
}

impl Generation for Answer {
    fn next(&mut self, max: u32) -> Result<Vec<Event>> {
        match self {
            Answer::Events(events) => Ok(std::mem::take(events)),
            Answer::Deed(misdeed) => {
                hostile::commit(misdeed);
                Ok(Vec::new())
            }
            Answer::Endless(event) => Ok(vec![event.clone(); max as usize]),
            Answer::Flood => Ok(vec![Event::Text("x".into()); max as usize + 1]),
            Answer::Linger(url) => loop {
                if let Err(error) = get(url, &[]) {
                    log::info(&error.message);
                }
            },
        }
    }
}

fn said(text: &str) -> Answer {
    Answer::Events(vec![Event::Text(text.to_owned()), Event::Finish(FinishReason::Stop)])
}

fn told(outcome: Result<String>) -> String {
    outcome.unwrap_or_else(|error| format!("{:?}: {}", error.kind, error.message))
}

/// Status, what the server says of where to go next, and the body.
fn get(url: &str, headers: &[(&str, &str)]) -> Result<String> {
    let request =
        headers.iter().fold(http::Request::get(url), |request, (name, value)| request.header(name, *value));
    let response = request.send()?;
    let (status, location) = (response.status(), response.header("location").map(str::to_owned));
    Ok(format!("{status} {} {}", location.unwrap_or_default(), response.text(1 << 20)?))
}

fn not_utf8() -> String {
    // SAFETY: there is none; the host has to find out.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc3]) }
}

smartrag_sdk::export!(generator, Plugin);
