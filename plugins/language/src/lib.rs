//! Names the language of a document and of each chunk: `code` (ISO 639-1) and `confidence` (0 to 1).
//!
//! Trigrams (whatlang) decide long texts; short ones are decided by their stop words, or follow their document.

mod codes;
mod detect;

use std::cell::RefCell;

use smartrag_sdk::enricher::{ChunkInput, DocumentInput, Enricher};
use smartrag_sdk::{Annotation, Descriptor, Result, describe};

pub use detect::{Detector, Guess};

/// A guess that stands against what the file or the document says.
const SURE: f32 = 0.8;
/// Letters of a chunk that may differ from its document.
const LETTERS_MIN: usize = 40;

/// The enricher.
pub struct LanguagePlugin {
    detector: Detector,
    /// The document that was looked at last: its chunks usually come next.
    last: RefCell<Option<(DocumentInput, Option<Guess>)>>,
}

impl LanguagePlugin {
    /// A sure guess on enough text beats the language that the file declares, which is often a template's.
    fn of_document(&self, document: &DocumentInput) -> Option<Guess> {
        let mut last = self.last.borrow_mut();
        if let Some((_, guess)) = last.as_ref().filter(|(other, _)| other == document) {
            return guess.clone();
        }
        let declared = document.language.as_deref().and_then(codes::primary).map(Guess::declared);
        let guess = self.settle(&document.text, declared);
        *last = Some((document.clone(), guess.clone()));
        guess
    }

    /// The guess for a text, or what was known before where the text does not say enough to the contrary.
    fn settle(&self, text: &str, known: Option<Guess>) -> Option<Guess> {
        let guess = self.detector.detect(text);
        match (guess, known) {
            (Some(guess), Some(known)) if guess.code == known.code => {
                Some(if guess.confidence > known.confidence { guess } else { known })
            }
            (Some(guess), Some(_)) if guess.confidence >= SURE && letters(text) >= LETTERS_MIN => Some(guess),
            (guess, known) => known.or(guess),
        }
    }
}

impl Enricher for LanguagePlugin {
    fn describe() -> Descriptor {
        describe!("language")
    }

    fn load() -> Result<Self> {
        Ok(Self { detector: Detector::default(), last: RefCell::default() })
    }

    fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>> {
        Ok(annotations(self.of_document(document)))
    }

    fn enrich_chunks(&self, document: &DocumentInput, chunks: &[ChunkInput]) -> Result<Vec<Vec<Annotation>>> {
        let of_document = self.of_document(document);
        let of_chunk = |chunk: &ChunkInput| {
            let declared = chunk.language.as_deref().and_then(codes::primary).map(Guess::declared);
            // A chunk that is the whole document was looked at already.
            if declared.is_none() && chunk.text.trim() == document.text.trim() {
                return annotations(of_document.clone());
            }
            annotations(self.settle(&chunk.text, declared.or_else(|| of_document.clone())))
        };
        Ok(chunks.iter().map(of_chunk).collect())
    }
}

fn annotations(guess: Option<Guess>) -> Vec<Annotation> {
    let Some(guess) = guess else { return Vec::new() };
    let confidence = (f64::from(guess.confidence) * 100.0).round() / 100.0;
    vec![Annotation::new("code", guess.code), Annotation::new("confidence", confidence)]
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphabetic()).count()
}

smartrag_sdk::export!(enricher, LanguagePlugin);

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: &str =
        "Die Verteidigung der Panthers gab nur 308 Punkte ab und belegte den sechsten Platz.";
    const ENGLISH: &str = "The defence gave up just 308 points, which ranked it sixth in the whole league.";

    fn document(text: &str, language: Option<&str>) -> DocumentInput {
        DocumentInput {
            filename: "a.txt".into(),
            file_type: "txt".into(),
            title: None,
            language: language.map(String::from),
            text: text.into(),
        }
    }

    fn chunk(text: &str) -> ChunkInput {
        ChunkInput { text: text.into(), heading_path: vec![], language: None }
    }

    fn code(annotations: &[Annotation]) -> &str {
        annotations.first().map_or("none", |annotation| annotation.value.as_str())
    }

    #[test]
    fn documents_are_named() -> Result<()> {
        let plugin = LanguagePlugin::load()?;
        let name = |text, declared| plugin.enrich_document(&document(text, declared));
        assert_eq!(code(&name(GERMAN, None)?), "\"de\"");
        assert_eq!(code(&name(GERMAN, Some("en-US"))?), "\"de\"");
        assert_eq!(code(&name("308 + 24", Some("de-AT"))?), "\"de\"");
        assert_eq!(name("308 + 24", None)?, []);
        assert_eq!(name("", Some("???"))?, []);
        Ok(())
    }

    #[test]
    fn chunks_follow_their_document_unless_they_clearly_differ() -> Result<()> {
        let plugin = LanguagePlugin::load()?;
        let chunks = [chunk("Tabelle 3"), chunk(ENGLISH), chunk("Hilfe"), chunk("1 2 3")];
        let found = plugin.enrich_chunks(&document(GERMAN, None), &chunks)?;
        let codes: Vec<&str> = found.iter().map(|annotations| code(annotations)).collect();
        assert_eq!(codes, ["\"de\"", "\"en\"", "\"de\"", "\"de\""]);
        Ok(())
    }
}
