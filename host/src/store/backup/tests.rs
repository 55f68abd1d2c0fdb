use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::restore::Restore;
use super::*;
use crate::store::tests::crash::check_whole;
use crate::store::tests::{
    EMBEDDER, QUEUE_MAX, bytes, finished, key, passed, submit, temporary, upload, user, work_off,
};
use crate::types::*;

/// Of a backup that may hold anything.
pub(super) fn any_manifest() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (_data, store) = temporary();
    fs::read(made(&store, dir.path()).path.join(MANIFEST)).unwrap()
}

fn made(store: &Store, dir: &Path) -> Backup {
    store.backup(dir, &Surroundings::default(), &mut |_| true).unwrap()
}

fn large(seed: u8) -> Vec<u8> {
    (0..70_000u32).map(|index| (index % 251) as u8 ^ seed).collect()
}

fn problems(backup: &Path) -> Vec<String> {
    verify(backup, &mut |_| true).unwrap().problems
}

fn restored(backup: &Path, data: &Path, replace: bool) -> Result<Restored> {
    restore(backup, data, replace, &|| Ok(()), &mut |_| true)
}

/// Names of all documents.
fn ids(store: &Store) -> BTreeSet<DocumentId> {
    let of = |owner: &UserId| {
        store.documents(owner, &crate::store::DocumentQuery { limit: usize::MAX, ..Default::default() })
    };
    store
        .collections(None)
        .unwrap()
        .iter()
        .flat_map(|collection| of(&collection.key.owner).unwrap().items)
        .map(|document| document.id)
        .collect()
}

/// A store with small and large documents, two of them with the same bytes.
fn filled() -> (tempfile::TempDir, Store) {
    let (dir, store) = temporary();
    for (nth, content) in [large(1), b"small".to_vec(), large(2), b"other".to_vec()].iter().enumerate() {
        submit(&store, &key("u", "c"), content);
        work_off(&store, nth as u32 + 1).unwrap();
    }
    submit(&store, &key("v", "d"), &large(1));
    (dir, store)
}

#[test]
fn a_backup_is_the_store_of_its_moment() {
    let (data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let around = Surroundings {
        plugins: vec![PluginNote {
            name: "p".into(),
            version: "1".into(),
            role: "parser".into(),
            sha256: String::new(),
        }],
        config: Some(b"log: {level: info}\n".to_vec()),
    };
    let mut steps = Vec::new();
    let backup = store
        .backup(shelf.path(), &around, &mut |step| {
            steps.push(step);
            true
        })
        .unwrap();
    let manifest = backup.manifest.clone().unwrap();
    assert_eq!(manifest.counts, Counts { documents: 5, chunks: 10, sessions: 0, conversations: 0 });
    assert_eq!(manifest.blobs, LargeBlobs { count: 2, bytes: 140_000 });
    assert_eq!(manifest.embedders.len(), 1);
    assert_eq!((&manifest.plugins, manifest.files.len()), (&around.plugins, 3));
    assert!(matches!(steps[..], [BackupStep::Database(_), .., BackupStep::Finish]), "{steps:?}");
    assert_eq!(problems(&backup.path), [""; 0]);
    assert!(backups(shelf.path()).unwrap()[0].verified_at.is_some());
    for (path, mode) in [("", 0o700), (DATABASE, 0o600), (MANIFEST, 0o600), (CONFIG, 0o600), (FILES, 0o700)] {
        assert_eq!(fs::metadata(backup.path.join(path)).unwrap().mode() & 0o777, mode, "{path}");
    }
    // Linked, not copied: the same file.
    let hash = ContentHash(Sha256::digest(large(1)).into());
    let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(backup.path.join(file_path(&hash))), inode(data.path().join(file_path(&hash))));
    // Documents that go later are still in it.
    for id in ids(&store) {
        let _ = store.delete(&user("u"), &[id]).unwrap();
    }
    store.optimize(&passed(&store), &mut |_| ()).unwrap();
    assert_eq!(problems(&backup.path), [""; 0]);
}

#[test]
fn a_list_of_hashes_is_one_that_other_programs_read() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path());
    let checked = std::process::Command::new("sha256sum")
        .args(["--quiet", "-c", SUMS])
        .current_dir(&backup.path)
        .output();
    // Not every machine has it.
    if let Ok(checked) = checked {
        assert!(checked.status.success(), "{checked:?}");
    }
    let lines = fs::read_to_string(backup.path.join(SUMS)).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
}

#[test]
fn a_restored_store_is_the_same() {
    let (_data, store) = filled();
    let (shelf, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = made(&store, shelf.path());
    let done = restored(&backup.path, data.path(), false).unwrap();
    assert_eq!((done.files_copied, &done.manifest), (2, backup.manifest.as_ref().unwrap()));
    let again = Store::open(data.path()).unwrap();
    check_whole(&again);
    assert_eq!(ids(&again), ids(&store));
    for id in ids(&store) {
        for owner in ["u", "v"] {
            let content = |store: &Store| store.content(&user(owner), id).unwrap().map(bytes);
            assert_eq!(content(&again), content(&store));
        }
        assert_eq!(again.index_document(id).unwrap(), store.index_document(id).unwrap());
    }
    // A copy: what happens to one does not happen to the other.
    let hash = ContentHash(Sha256::digest(large(1)).into());
    let inode = |dir: &Path| fs::metadata(dir.join(file_path(&hash))).unwrap().ino();
    assert_ne!(inode(data.path()), inode(&backup.path));
    // What was under way goes on.
    assert!(again.claim().unwrap().is_some());
}

/// As `work_off`, where the document may be deleted meanwhile.
fn work_off_if_there(store: &Store) {
    let Some(job) = store.claim().unwrap() else { return };
    let id = job.document.id;
    let _ = store.advance(id, Stage::Parsing, None);
    store.commit(&[finished(&job.document, 2)], EMBEDDER).unwrap();
    store.mark_ready(&[id]).unwrap();
}

/// Ends the writers of a test that fails, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_snapshot_is_whole_while_others_write_and_delete() {
    let (_data, store) = temporary();
    let shelf = tempfile::tempdir().unwrap();
    let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|threads| {
        for writer in 0..3u32 {
            let (store, stop, rounds) = (&store, &stop, &rounds);
            threads.spawn(move || {
                let _stop = Stop(stop);
                let home = key(&format!("u{writer}"), "c");
                let mut mine = Vec::new();
                for round in 0u32.. {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let mut content = large(writer as u8);
                    content.extend(round.to_le_bytes());
                    content.truncate(if round.is_multiple_of(3) { 100 } else { usize::MAX });
                    content.extend(round.to_le_bytes());
                    let taken = store.submit(vec![upload(store, &home, &content)], QUEUE_MAX).unwrap();
                    mine.push(taken[0].document.id);
                    if writer == 0 {
                        work_off_if_there(store);
                    }
                    if mine.len() > 3 {
                        assert_eq!(store.delete(&home.owner, &[mine.remove(0)]).unwrap().len(), 1);
                    }
                    rounds.fetch_add(1, Ordering::Release);
                }
            });
        }
        let _stop = Stop(&stop);
        for nth in 1..4 {
            while rounds.load(Ordering::Acquire) < nth * 12 && !stop.load(Ordering::Acquire) {
                thread::yield_now();
            }
            // In the middle of it, writers get on: all of them, more than once.
            let backup = store.backup(shelf.path(), &Surroundings::default(), &mut |_| {
                let seen = rounds.load(Ordering::Acquire);
                while rounds.load(Ordering::Acquire) < seen + 3 && !stop.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                true
            });
            let backup = backup.unwrap();
            assert_eq!(problems(&backup.path), [""; 0]);
            let data = tempfile::tempdir().unwrap();
            restored(&backup.path, data.path(), false).unwrap();
            let again = Store::open(data.path()).unwrap();
            check_whole(&again);
            assert!(!ids(&again).is_empty());
        }
    });
    // Files that had to stay for a backup are gone, and so are their markers.
    let hashes: BTreeSet<_> = store.files().list().unwrap().iter().map(|(hash, _)| hash.0).collect();
    let named = store
        .engine()
        .read(|txn| blobs::large(txn)?.map(|blob| Ok(blob?.0.0)).collect::<Result<BTreeSet<_>>>());
    assert_eq!(hashes, named.unwrap());
    assert_eq!(store.files().marked().unwrap(), []);
    check_whole(&store);
}

#[test]
fn room_is_given_back_after_a_backup_not_during_one() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let mut refused = None;
    store
        .backup(shelf.path(), &Surroundings::default(), &mut |step| {
            if matches!(step, BackupStep::Database(_)) && refused.is_none() {
                refused = Some(store.optimize(&passed(&store), &mut |_| ()));
            }
            true
        })
        .unwrap();
    assert!(matches!(refused, Some(Err(Error::Conflict(_)))), "{refused:?}");
    store.optimize(&passed(&store), &mut |_| ()).unwrap();
}

#[test]
fn an_interrupted_backup_leaves_nothing() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    for step in 0.. {
        let mut left = step;
        let done = store.backup(shelf.path(), &Surroundings::default(), &mut |_| {
            left -= 1;
            left >= 0
        });
        let hidden = fs::read_dir(shelf.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(".partial"));
        assert_eq!(hidden.count(), 0);
        if done.is_ok() {
            assert!(step > 3);
            break;
        }
        assert!(matches!(done, Err(Error::Stopped)));
        assert_eq!(backups(shelf.path()).unwrap(), []);
    }
}

#[test]
fn copies_are_shared_among_backups_where_the_data_are_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let files = |name: &str| Files::open(dir.path().join(name).join(FILES)).unwrap();
    let hash = ContentHash(Sha256::digest(large(1)).into());
    let write = |root: &str, content: &[u8]| {
        let path = dir.path().join(root).join(file_path(&hash));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    let (former, ours) = (write("before", &large(1)), write("data", &large(1)));
    let links = Links::new(files("data"), Some(&dir.path().join("before")), &dir.path().join("new"));
    assert!(!links.link_to_former(&hash, 1, &dir.path().join("x")), "of another size");
    assert!(links.link_to_former(&hash, 70_000, &dir.path().join("x")));
    assert_eq!(fs::metadata(dir.path().join("x")).unwrap().ino(), fs::metadata(&former).unwrap().ino());
    links.make(&hash, 70_000).unwrap();
    let made = dir.path().join("new").join(file_path(&hash));
    assert_eq!(fs::metadata(made).unwrap().ino(), fs::metadata(&ours).unwrap().ino());
    fs::remove_file(ours).unwrap();
    let other = ContentHash([7; 32]);
    assert!(!links.make(&other, 70_000).unwrap(), "a file that is missing everywhere");
}

#[test]
fn damage_is_found_and_named() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path()).path;
    let hash = ContentHash(Sha256::digest(large(2)).into());
    let blob = file_path(&hash);
    type Damage<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Damage, &str); 8] = [
        (MANIFEST, &|path| fs::write(path, "{}").unwrap(), "manifest.json can't be read"),
        (MANIFEST, &|path| fs::remove_file(path).unwrap(), "manifest.json: No such file"),
        (DATABASE, &|path| flip(path, 5000), "the bytes of database/smartrag.redb changed"),
        (DATABASE, &|path| cut(path), "database/smartrag.redb has"),
        (SUMS, &|path| flip(path, 3), "the bytes of SHA256SUMS changed"),
        (&blob, &|path| flip(path, 69_999), "the bytes of file_storage"),
        (&blob, &|path| fs::remove_file(path).unwrap(), "No such file"),
        (
            &blob,
            &|path| {
                fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
            },
            "is not a regular file",
        ),
    ];
    for (path, damage, said) in cases {
        // A copy of its own: a linked file is that of the store.
        let copy = tempfile::tempdir().unwrap();
        for entry in walkdir::WalkDir::new(&backup).min_depth(1) {
            let entry = entry.unwrap();
            let to = copy.path().join(entry.path().strip_prefix(&backup).unwrap());
            match entry.file_type().is_dir() {
                true => fs::create_dir_all(to).unwrap(),
                false => drop(fs::copy(entry.path(), to).unwrap()),
            }
        }
        assert_eq!(problems(copy.path()), [""; 0]);
        damage(&copy.path().join(path));
        let found = problems(copy.path());
        assert!(found.iter().any(|found| found.contains(said)), "{path}: {found:?}");
        let data = tempfile::tempdir().unwrap();
        let refused = restored(copy.path(), data.path(), false);
        assert!(matches!(refused, Err(Error::BadBackup(..))), "{path}: {refused:?}");
        assert!(!data.path().join(DATABASE).exists());
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

/// A manifest that agrees with other rows is found out by the rows.
#[test]
fn counts_and_rows_are_compared() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path());
    let mut manifest = backup.manifest.unwrap();
    manifest.counts.documents += 1;
    manifest.blobs.count += 1;
    fs::write(backup.path.join(MANIFEST), manifest.to_bytes()).unwrap();
    let found = problems(&backup.path);
    assert!(found.iter().any(|found| found.contains("holds 5 documents")), "{found:?}");
    assert!(found.iter().any(|found| found.contains("names 2 large files")), "{found:?}");
    assert!(backups(shelf.path()).unwrap()[0].verified_at.is_none());
}

#[test]
fn what_is_there_is_replaced_only_if_asked() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path()).path;
    let (other, there) = temporary();
    submit(&there, &key("x", "y"), &large(9));
    submit(&there, &key("x", "y"), &large(1));
    assert!(matches!(restored(&backup, other.path(), true), Err(Error::Locked(_))));
    let before = ids(&there);
    drop(there);
    assert!(matches!(restored(&backup, other.path(), false), Err(Error::Conflict(_))));
    assert_eq!(ids(&Store::open(other.path()).unwrap()), before);
    fs::create_dir_all(other.path().join("models")).unwrap();
    fs::write(other.path().join("models/m"), "weights").unwrap();
    let done = restored(&backup, other.path(), true).unwrap();
    assert_eq!(done.files_copied, 1, "one was there already");
    let again = Store::open(other.path()).unwrap();
    check_whole(&again);
    assert_eq!(ids(&again), ids(&store));
    assert_eq!(again.files().list().unwrap().len(), 2, "the file of the old store alone is gone");
    assert!(other.path().join("models/m").exists());
    // Somebody's home is no data directory.
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("thesis.odt"), "x").unwrap();
    let refused = restored(&backup, home.path(), false).unwrap_err().to_string();
    assert!(refused.contains("thesis.odt"), "{refused}");
}

/// At any moment of a restore the directory is the old store or the new one, and the next restore is whole.
#[test]
fn a_killed_restore_leaves_one_of_both() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path()).path;
    let new = ids(&store);
    for has_store in [true, false] {
        let (mut was_old, mut was_new) = (false, false);
        for moment in 0.. {
            let (dir, there) = temporary();
            submit(&there, &key("x", "y"), &large(9));
            submit(&there, &key("x", "y"), &large(1));
            let old = ids(&there);
            drop(there);
            if !has_store {
                fs::remove_dir_all(dir.path().join("database")).unwrap();
                fs::remove_dir_all(dir.path().join("file_storage")).unwrap();
            }
            let restore =
                Restore { backup: &backup, data_dir: dir.path(), replace: true, forget_indexes: &|| Ok(()) };
            let (manifest, lock) = restore.begin(&mut |_| true).unwrap();
            let mut left = moment;
            // Without its own cleaning up: nobody cleans up after a kill.
            let done = restore.exchange(manifest, lock, &mut |_| {
                left -= 1;
                left >= 0
            });
            let again = Store::open(dir.path()).unwrap();
            check_whole(&again);
            let found = ids(&again);
            let expected = if has_store { old } else { BTreeSet::new() };
            assert!(found == new || found == expected, "{moment}: {found:?}");
            assert!(found == new || done.is_err());
            (was_old, was_new) = (was_old || found == expected, was_new || (found == new && done.is_err()));
            let named = again.engine().read(|txn| Ok(blobs::large(txn)?.count())).unwrap();
            assert_eq!(again.files().list().unwrap().len(), named, "{moment}: files that nobody names");
            drop(again);
            assert!(!dir.path().join("database/smartrag.new").exists());
            restored(&backup, dir.path(), true).unwrap();
            assert_eq!(ids(&Store::open(dir.path()).unwrap()), new);
            if done.is_ok() {
                break;
            }
        }
        assert!(was_old && was_new, "both sides of the exchange were met");
    }
}

#[test]
fn a_restore_that_fails_cleans_up() {
    let (_data, store) = filled();
    let shelf = tempfile::tempdir().unwrap();
    let backup = made(&store, shelf.path()).path;
    let data = tempfile::tempdir().unwrap();
    let refuse = || Err(io::Error::other("no"));
    assert!(restore(&backup, data.path(), false, &refuse, &mut |_| true).is_err());
    let left: Vec<_> = walkdir::WalkDir::new(data.path())
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.file_name().to_owned())
        .collect();
    assert_eq!(left, ["lock"]);
    restored(&backup, data.path(), false).unwrap();
}
