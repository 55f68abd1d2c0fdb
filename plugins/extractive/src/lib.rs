//! Answers with the one to three sentences that bear the question out best, each with its citation; says so where
//! none does. It never writes a word of its own, so nothing in an answer is invented.

mod answer;
mod config;
mod evidence;
mod kind;
mod question;
mod scale;
mod select;
mod shorten;
mod stream;
mod weigh;

use smartrag_sdk::generator::{Generator, ModelInfo, Request};
use smartrag_sdk::{Descriptor, Error, Result, describe};
use smartrag_words::words;

pub use answer::Answer;
pub use config::Config;
pub use evidence::{Candidate, gather};
pub use question::Question;
pub use stream::Stream;
pub use weigh::Features;

/// The generator.
pub struct Extractive {
    config: Config,
}

impl Generator for Extractive {
    type Generation = Stream;

    fn describe() -> Descriptor {
        describe!("extractive").config_schema(config::SCHEMA)
    }

    fn load() -> Result<Self> {
        let config: Config = smartrag_sdk::config()?;
        config.check()?;
        Ok(Self { config })
    }

    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: "extractive".into(),
            context_window: None,
            strong: false,
            wants_sentences: true,
            properties: Vec::new(),
        })
    }

    fn generate(&self, request: Request) -> Result<Stream> {
        if request.question.trim().is_empty() {
            return Err(Error::invalid_input("the question is empty: ask something"));
        }
        Ok(Stream::new(Answer::to(&request, &self.config), request.options.max_tokens))
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(texts.iter().map(|text| count_tokens(text)).collect())
    }
}

/// Words and marks of punctuation.
pub(crate) fn count_tokens(text: &str) -> u32 {
    let marks = text.chars().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).count();
    (words(text).count() + marks) as u32
}

smartrag_sdk::export!(generator, Extractive);
