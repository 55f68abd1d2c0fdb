//! Bytes that changed or went away behind the store's back.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::Surroundings;
use super::*;

const PAGE_BYTES: usize = 4096;

fn large(seed: u8) -> Vec<u8> {
    (0..70_000u32).map(|index| (index % 251) as u8 ^ seed).collect()
}

fn original(dir: &Path, hash: &ContentHash) -> PathBuf {
    let name = hash.to_string();
    dir.join("file_storage").join(&name[..2]).join(&name[2..4]).join(&name)
}

fn noise(seed: usize) -> Vec<u8> {
    (0..PAGE_BYTES / 32).flat_map(|nth| <[u8; 32]>::from(Sha256::digest(format!("{seed} {nth}")))).collect()
}

/// Whatever a daemon does with a store.
fn use_all(dir: &Path) -> Result<()> {
    let store = Store::open(dir)?;
    let (home, shelf) = (key("u", "c"), tempfile::tempdir().unwrap());
    let listed = store.documents(&home.owner, &DocumentQuery { limit: 100, ..Default::default() });
    let ids: Vec<_> = listed.iter().flat_map(|slice| &slice.items).map(|document| document.id).collect();
    let each = |work: &dyn Fn(DocumentId) -> Result<()>| ids.iter().try_for_each(|id| work(*id));
    let results = [
        listed.map(drop),
        store.totals().map(drop),
        each(&|id| store.text(&home.owner, id).map(drop)),
        each(&|id| store.chunks(&home.owner, id, 0, 100).map(drop)),
        each(&|id| store.content(&home.owner, id).map(drop)),
        store.submit(vec![upload(&store, &home, b"new")], QUEUE_MAX).map(drop),
        store.claim().map(drop),
        store.delete(&home.owner, &ids[..ids.len().min(1)]).map(drop),
        store.backup(shelf.path(), &Surroundings::default(), &mut |_| true).map(drop),
        store.optimize(&HashMap::new(), &mut |_| ()).map(drop),
        store.verify(),
    ];
    // Not what a backup and a rewriting find: that may be their own.
    let is_damaged = results[..8].iter().any(|result| matches!(result, Err(Error::Corrupt(_))));
    assert!(!is_damaged || store.damage().is_some(), "{results:?}");
    results.into_iter().collect()
}

#[test]
fn a_page_that_went_bad_is_an_error_and_no_panic() {
    let (dir, store) = temporary();
    let file = submit(&store, &key("u", "c"), &large(1)).document.hash;
    work_off(&store, 40).unwrap();
    for content in [b"small".to_vec(), vec![b'x'; 20_000]] {
        submit(&store, &key("u", "c"), &content);
        work_off(&store, 40).unwrap();
    }
    drop(store);
    let file = original(dir.path(), &file);
    let path = dir.path().join("database/smartrag.redb");
    let whole = fs::read(&path).unwrap();
    let mut found = 0;
    for from in (0..whole.len()).step_by(PAGE_BYTES) {
        // All of a page, and all but what tells its kind.
        for kept in [0, 4] {
            let mut damaged = whole.clone();
            damaged[from + kept..from + PAGE_BYTES].copy_from_slice(&noise(from)[kept..]);
            fs::write(&path, &damaged).unwrap();
            fs::write(&file, large(1)).unwrap();
            found += usize::from(use_all(dir.path()).is_err());
        }
    }
    assert!(found > 10, "{found} of {} pages", whole.len() / PAGE_BYTES);
}

#[test]
fn an_original_that_is_gone_is_named_and_comes_back_with_the_next_upload() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let gone = submit(&store, &home, &large(1)).document;
    submit(&store, &home, &large(2));
    let shelf = tempfile::tempdir().unwrap();
    let backup = |store: &Store, to: &Path| store.backup(to, &Surroundings::default(), &mut |_| true);
    let is_named = |error: &Error| matches!(error, Error::MissingOriginals(ids) if ids == &[gone.id]);

    fs::remove_file(original(dir.path(), &gone.hash)).unwrap();
    assert_eq!(store.missing_originals().unwrap(), [gone.id]);
    assert!(is_named(&backup(&store, shelf.path()).unwrap_err()));
    assert!(is_named(&store.content(&home.owner, gone.id).unwrap_err()));
    assert!(is_named(&store.job_content(gone.id).unwrap_err()));

    assert!(submit(&store, &home, &large(1)).duplicate);
    assert_eq!(bytes(store.content(&home.owner, gone.id).unwrap().unwrap()), large(1));
    // Also where it was cut off, and by an upload to another collection.
    fs::write(original(dir.path(), &gone.hash), &large(1)[..100]).unwrap();
    assert_eq!(store.missing_originals().unwrap(), [gone.id]);
    assert!(is_named(&backup(&store, shelf.path()).unwrap_err()));
    assert!(is_named(&store.content(&home.owner, gone.id).unwrap_err()));
    submit(&store, &key("v", "d"), &large(1));
    assert_eq!(store.missing_originals().unwrap(), []);

    // A backup that was whole is enough for the next.
    backup(&store, shelf.path()).unwrap();
    fs::remove_file(original(dir.path(), &gone.hash)).unwrap();
    let healed = backup(&store, shelf.path()).unwrap();
    assert_eq!(verify_backup(&healed.path, &mut |_| true).unwrap().problems, [""; 0]);
}
