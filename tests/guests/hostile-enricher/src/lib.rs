//! An enricher that does what the text asks for: `enricher!log`.

use smartrag_sdk::enricher::{DocumentInput, Enricher};
use smartrag_sdk::{Annotation, Descriptor, Result, describe};

struct Plugin;

impl Enricher for Plugin {
    fn describe() -> Descriptor {
        describe!("hostile-enricher")
    }

    fn load() -> Result<Self> {
        Ok(Self)
    }

    fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>> {
        let Some((misdeed, _)) = hostile::misdeed("enricher", &document.text) else {
            return Ok(vec![Annotation::new("bytes", document.text.len())]);
        };
        hostile::commit(misdeed);
        Ok(match misdeed {
            "output" => vec![Annotation { key: "much".into(), value: "1".repeat(8 << 20) }],
            "tiny" => vec![Annotation { key: "k".into(), value: "1".into() }; 20_000],
            "not-json" => vec![Annotation { key: "k".into(), value: "{".into() }],
            _ => Vec::new(),
        })
    }
}

smartrag_sdk::export!(enricher, Plugin);
