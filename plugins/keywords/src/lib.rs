//! Names what a text is about: `terms`, up to eight words or phrases of a document and five of a chunk.

mod phrases;
mod rank;
mod statistics;

use smartrag_sdk::enricher::{ChunkInput, DocumentInput, Enricher};
use smartrag_sdk::{Annotation, Descriptor, Result, describe};
use smartrag_words::Language;

pub use rank::keywords;

const DOCUMENT_TERMS: usize = 8;
const CHUNK_TERMS: usize = 5;

/// The enricher.
pub struct Keywords;

impl Enricher for Keywords {
    fn describe() -> Descriptor {
        describe!("keywords")
    }

    fn load() -> Result<Self> {
        Ok(Self)
    }

    fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>> {
        let language = Language::of(document.language.as_deref(), &document.text);
        Ok(annotations(&document.text, language, DOCUMENT_TERMS))
    }

    fn enrich_chunks(&self, document: &DocumentInput, chunks: &[ChunkInput]) -> Result<Vec<Vec<Annotation>>> {
        let declared = |chunk: &ChunkInput| chunk.language.clone().or_else(|| document.language.clone());
        let of_chunk = |chunk: &ChunkInput| {
            let language = Language::of(declared(chunk).as_deref(), &chunk.text);
            annotations(&chunk.text, language, CHUNK_TERMS)
        };
        Ok(chunks.iter().map(of_chunk).collect())
    }
}

fn annotations(text: &str, language: Language, count: usize) -> Vec<Annotation> {
    let terms = keywords(text, language, count);
    if terms.is_empty() { Vec::new() } else { vec![Annotation::new("terms", terms)] }
}

smartrag_sdk::export!(enricher, Keywords);

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Photosynthesis is how plants turn light into sugar. In photosynthesis, chlorophyll absorbs \
        light. Without chlorophyll there is no photosynthesis, and plants starve.";

    fn document(text: &str) -> DocumentInput {
        DocumentInput {
            filename: "a.txt".into(),
            file_type: "txt".into(),
            title: None,
            language: None,
            text: text.into(),
        }
    }

    #[test]
    fn terms_are_a_json_list() -> Result<()> {
        let found = Keywords.enrich_document(&document(TEXT))?;
        assert_eq!(found[0].key, "terms");
        assert!(found[0].value.starts_with("[\"photosynthesis\""), "{}", found[0].value);
        Ok(())
    }

    #[test]
    fn every_chunk_has_an_entry() -> Result<()> {
        let chunk = |text: &str| ChunkInput { text: text.into(), heading_path: vec![], language: None };
        let chunks = [chunk(""), chunk(TEXT), chunk("and or but")];
        let found = Keywords.enrich_chunks(&document(TEXT), &chunks)?;
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(counts, [0, 1, 0]);
        Ok(())
    }
}
