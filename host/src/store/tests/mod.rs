//! The store as a whole; what concerns one file stands in that file.

pub(super) mod crash;
mod damage;
mod disk;
mod files;
mod generations;
mod ledger;
mod lists;
mod model;
mod optimize;
mod rows;

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::types::*;

pub(super) const QUEUE_MAX: usize = 10_000;

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(super) fn key(owner: &str, name: &str) -> CollectionKey {
    CollectionKey { owner: user(owner), name: CollectionName::new(name).unwrap() }
}

pub(super) fn temporary() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// What another process would find if this one were killed now.
fn killed(dir: &Path) -> (TempDir, Store) {
    let copy = tempfile::tempdir().unwrap();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.unwrap();
        let to = copy.path().join(entry.path().strip_prefix(dir).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    let store = Store::open(copy.path()).unwrap();
    (copy, store)
}

fn staged(store: &Store, bytes: &[u8]) -> StagedBlob {
    let mut writer = store.blob_writer().unwrap();
    bytes.chunks(10_000).for_each(|part| writer.write(part).unwrap());
    writer.finish().unwrap()
}

pub(super) fn upload(store: &Store, collection: &CollectionKey, bytes: &[u8]) -> NewDocument {
    NewDocument {
        path: None,
        collection: collection.clone(),
        filename: "a.txt".into(),
        file_type: "txt".into(),
        blob: staged(store, bytes),
        tags: vec!["t".into(), "u".into(), "t".into()],
        metadata: JsonMap::new(),
        upload_time: 7,
        since: Instant::now(),
    }
}

pub(super) fn submit(store: &Store, collection: &CollectionKey, bytes: &[u8]) -> Submitted {
    store.submit(vec![upload(store, collection, bytes)], QUEUE_MAX).unwrap().remove(0)
}

fn chunk(index: u32, text: &str) -> Chunk {
    Chunk {
        index,
        text: text.into(),
        chars: 0..text.chars().count(),
        page: None,
        heading_path: vec!["H".into()],
        context: None,
        language: Some("en".into()),
        tokens: 3,
        metadata: JsonMap::new(),
    }
}

/// A version of a document with so many chunks and 2 dimensions.
pub(super) fn finished(document: &Document, chunks: u32) -> Finished {
    Finished {
        document: Document { title: Some("T".into()), ..document.clone() },
        text: format!("text {chunks}"),
        chunks: (0..chunks).map(|index| chunk(index, &format!("chunk {index} of {chunks}"))).collect(),
        vectors: (0..2 * chunks).map(|index| index as f32).collect(),
        also: None,
    }
}

pub(super) const EMBEDDER: Option<(&str, usize)> = Some(("e1", 2));

/// As if every index had read the whole journal.
pub(super) fn passed(store: &Store) -> HashMap<CollectionId, u64> {
    let collections = store.collections(None).unwrap();
    collections.iter().map(|collection| (collection.id, collection.last_seq)).collect()
}

/// Takes the oldest job through to ready.
pub(super) fn work_off(store: &Store, chunks: u32) -> Option<DocumentId> {
    let job = store.claim().unwrap()?;
    let id = job.document.id;
    store.advance(id, Stage::Parsing, None).unwrap();
    assert_eq!(store.commit(&[finished(&job.document, chunks)], EMBEDDER).unwrap().len(), 1);
    store.mark_ready(&[id]).unwrap();
    Some(id)
}

fn failure() -> DocumentError {
    DocumentError { code: "corrupt".into(), stage: Stage::Parsing, plugin: None, detail: "d".into() }
}

pub(super) fn bytes(handle: BlobHandle) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    match handle {
        BlobHandle::Bytes(bytes) => bytes.to_vec(),
        BlobHandle::File(file, size) => {
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
    }
}

/// Later versions must open what this one writes.
#[test]
fn a_store_of_this_format_is_kept() {
    let name = format!("tests/it/data/store-{}.tar.gz", super::open::FORMAT);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    assert!(path.exists(), "make it with scripts/make-store-fixture.py {}", path.display());
}
