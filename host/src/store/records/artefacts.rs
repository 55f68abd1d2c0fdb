use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::documents::{StageRecord, chunks, warnings};
use super::{Items, Result};
use crate::store::Artefact;
use crate::types::*;

#[derive(Serialize, Deserialize)]
#[serde(remote = "BlockKind")]
enum BlockKindRecord {
    Heading,
    Paragraph,
    ListItem,
    Code,
    Quote,
    Table,
    Caption,
    Footnote,
    Formula,
    Image,
    PageHeader,
    PageFooter,
    Other,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Cell")]
struct CellRecord {
    row: u32,
    column: u32,
    row_span: u32,
    column_span: u32,
    header: bool,
    span: Range<usize>,
}
stored!(cells, CellRecord, Cell);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Block")]
struct BlockRecord {
    #[serde(with = "BlockKindRecord")]
    kind: BlockKind,
    level: u8,
    span: Range<usize>,
    page: Option<u32>,
    bbox: Option<[f32; 4]>,
    part: Option<String>,
    language: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "cells")]
    cells: Vec<Cell>,
}
stored!(blocks, BlockRecord, Block);

#[derive(Serialize, Deserialize)]
#[serde(remote = "PageStatus")]
enum PageStatusRecord {
    Ok,
    Empty,
    NeedsOcr,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Page")]
struct PageRecord {
    number: u32,
    label: Option<String>,
    width: f32,
    height: f32,
    #[serde(with = "PageStatusRecord")]
    status: PageStatus,
}
stored!(pages, PageRecord, Page);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Parsed")]
struct ParsedRecord {
    text: String,
    #[serde(with = "blocks")]
    blocks: Vec<Block>,
    #[serde(with = "pages")]
    pages: Vec<Page>,
    paged: bool,
    title: Option<String>,
    language: Option<String>,
    metadata: JsonMap,
    #[serde(with = "warnings")]
    warnings: Vec<Warning>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Artefact")]
enum ArtefactRecord {
    Parsed(#[serde(with = "ParsedRecord")] Parsed),
    Chunks(#[serde(with = "chunks")] Vec<Chunk>),
    Enriched {
        #[serde(with = "chunks")]
        chunks: Vec<Chunk>,
        document: JsonMap,
    },
    Vectors(#[serde(with = "floats")] Vec<f32>),
}

mod floats {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(floats: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&super::super::pack_floats(floats))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        <&[u8]>::deserialize(from).map(super::super::unpack_floats)
    }
}

/// A step of a job as the scratch log keeps it.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StepRecord {
    #[serde(with = "StageRecord")]
    pub to: Stage,
    #[serde(with = "artefacts")]
    pub done: Option<Artefact>,
}
stored!(artefacts, ArtefactRecord, Artefact);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{pack, unpack, unpack_chunk};
    use super::*;

    #[test]
    fn a_step_comes_back_as_it_was() {
        let parsed = Parsed {
            text: "Ä".into(),
            blocks: vec![Block {
                kind: BlockKind::Table,
                level: 0,
                span: 0..2,
                page: Some(3),
                bbox: Some([0.5; 4]),
                part: None,
                language: Some("de".into()),
                cells: vec![Cell {
                    row: 0,
                    column: 1,
                    row_span: 1,
                    column_span: 2,
                    header: true,
                    span: 0..2,
                }],
            }],
            pages: vec![Page {
                number: 0,
                label: Some("i".into()),
                width: 1.0,
                height: 2.0,
                status: PageStatus::NeedsOcr,
            }],
            paged: true,
            warnings: vec![Warning { code: "x".into(), detail: "y".into(), page: Some(1) }],
            ..Parsed::default()
        };
        let mut document = JsonMap::new();
        document.insert("n".into(), json!({"a": [1, -2, 2.5, null, true]}));
        let artefacts = [
            Artefact::Parsed(parsed),
            Artefact::Enriched { chunks: Vec::new(), document },
            Artefact::Vectors(vec![1.5, -0.0, f32::MIN]),
        ];
        for artefact in artefacts {
            let step = StepRecord { to: Stage::Chunking, done: Some(artefact.clone()) };
            let read: StepRecord = unpack(&pack(&step).unwrap()).unwrap();
            assert_eq!((read.to, read.done), (Stage::Chunking, Some(artefact)));
        }
    }

    #[test]
    fn fields_that_a_newer_version_added_are_passed_over() {
        #[derive(Serialize)]
        struct Newer {
            index: u32,
            text: &'static str,
            chars: Range<usize>,
            colour: &'static str,
        }
        let bytes = pack(&Newer { index: 4, text: "t", chars: 1..2, colour: "red" }).unwrap();
        let chunk = unpack_chunk(&bytes).unwrap();
        assert_eq!((chunk.index, chunk.text.as_str(), chunk.tokens), (4, "t", 0));
    }
}
