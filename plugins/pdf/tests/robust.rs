//! Real PDF files, whole and damaged: none may bring the parser down. Runs where the documents are: in the
//! directory that SMARTRAG_TEST_DATA names, or in `../shared/data` beside the repository.

use std::path::{Path, PathBuf};

use smartrag_plugin_pdf::Pdf;
use smartrag_sdk::parser::{Document, Fragment, Options, PagedParser};
use smartrag_sdk::{ErrorKind, Result, Source};

/// Larger files are tried whole only.
const DAMAGED_BYTES_MAX: usize = 400_000;
/// Variants of each file.
const VARIANTS: u64 = 6;

#[test]
fn real_and_damaged_files_end_in_text_or_an_error() {
    let files = pdf_files();
    if files.is_empty() {
        eprintln!("skipped: no PDF files; set SMARTRAG_TEST_DATA to a directory that has some");
        return;
    }
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        match read(bytes.clone()) {
            Ok(fragments) => fragments.iter().for_each(|f| check(f, &path)),
            Err(error) => assert!(!matches!(error.kind, ErrorKind::Internal), "{path:?}: {}", error.message),
        }
        if bytes.len() <= DAMAGED_BYTES_MAX {
            damaged(&bytes).for_each(|bytes| drop(read(bytes)));
        }
    }
}

fn read(bytes: Vec<u8>) -> Result<Vec<Fragment>> {
    let options = Options {
        file_type: "pdf".into(),
        filename: "a.pdf".into(),
        passwords: vec!["1234".into(), "password".into()],
    };
    let mut document = Pdf::open(Source::from_bytes(bytes), &options)?;
    let count = document.summary().page_count.min(20);
    (0..count).step_by(8).map(|start| document.pages(start..(start + 8).min(count))).collect()
}

/// Spans lie within the text, in order, on character boundaries.
fn check(fragment: &Fragment, path: &Path) {
    let mut end = 0;
    for block in &fragment.blocks {
        let span = block.span.start as usize..block.span.end as usize;
        assert!(
            span.start >= end && fragment.text.get(span.clone()).is_some_and(|t| !t.is_empty()),
            "{path:?}"
        );
        end = span.end;
        for cell in &block.cells {
            assert!(
                fragment.text.get(cell.span.start as usize..cell.span.end as usize).is_some(),
                "{path:?}"
            );
        }
    }
}

/// Cut off, with bytes changed, or with a piece missing.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..VARIANTS).map(move |seed| {
        let mut random = Random(seed * 7919 + bytes.len() as u64);
        let mut bytes = bytes.to_vec();
        match seed % 3 {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => (0..bytes.len() / 500 + 1).for_each(|_| {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }),
            _ => {
                let start = random.below(bytes.len());
                let end = (start + random.below(2_000)).min(bytes.len());
                bytes.drain(start..end);
            }
        }
        bytes
    })
}

/// SplitMix64 of Steele, Lea and Flood (2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

fn pdf_files() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("SMARTRAG_TEST_DATA").map_or(beside, PathBuf::from);
    let mut open = vec![root];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|e| e == "pdf") => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    files
}
