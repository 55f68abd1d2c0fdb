use std::time::{Duration, Instant};

use redb::DatabaseError;

use super::super::engine::{Engine, QUIET};
use super::super::home::FileHome;
use super::super::tables::{BLOB_BYTES, BLOBS, CHUNKS, TEXTS, VECTORS};
use super::*;

/// Whether another process, if this one were killed now, would have to read the whole database.
fn needs_repair(database: &Path) -> bool {
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(database, copy.path()).unwrap();
    let opened = redb::Builder::new().set_repair_callback(|repair| repair.abort()).open(copy.path());
    assert!(matches!(opened, Ok(_) | Err(DatabaseError::RepairAborted)), "{opened:?}");
    opened.is_err()
}

fn engine(dir: &Path) -> Engine {
    Engine::new(FileHome::new(&dir.join("smartrag.redb")).unwrap()).unwrap()
}

#[test]
fn a_settled_database_is_not_read_as_a_whole_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smartrag.redb");
    let engine = engine(dir.path());
    let touch =
        |txn: &redb::WriteTransaction| txn.open_table(TEXTS).map(drop).map_err(crate::store::Error::from);
    engine.write(touch).unwrap();
    assert!(needs_repair(&path) && engine.loose_for().is_some());
    engine.settle().unwrap();
    assert!(!needs_repair(&path) && engine.loose_for().is_none());
    let touch =
        |txn: &redb::WriteTransaction| txn.open_table(VECTORS).map(drop).map_err(crate::store::Error::from);
    engine.write_soft(touch).unwrap();
    assert!(!needs_repair(&path), "a soft commit changes nothing that is on disk");
    engine.settle().unwrap();
    assert!(!needs_repair(&path));
}

#[test]
fn the_store_settles_by_itself() {
    let (dir, store) = temporary();
    submit(&store, &key("u", "c"), b"a");
    let begun = Instant::now();
    while store.engine().loose_for().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(QUIET / 4);
    }
    assert!(!needs_repair(&dir.path().join("database/smartrag.redb")));
}

#[test]
fn lines_go_that_every_index_has_passed() {
    let (_dir, store) = temporary();
    let home = key("u", "c");
    let ids: Vec<_> = (0..4u8)
        .map(|content| {
            submit(&store, &home, &[content]);
            work_off(&store, 1).unwrap()
        })
        .collect();
    let gone = store.delete(&home.owner, &ids[..3]).unwrap();
    let gone: Vec<_> = gone.into_iter().map(|(_, _, _, entry)| entry).collect();
    let id = gone[0].collection;
    let done = store.optimize(&HashMap::from([(id, gone[0].seq)]), &mut |_| ()).unwrap();
    assert_eq!((done.journal_lines, done.rows, done.files), (1, 0, 0));
    let seqs =
        |store: &Store| store.journal(id, 0).unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&store), [4, 6, 7]);
    assert_eq!(store.collection(&home).unwrap().unwrap().purged_seq, gone[0].seq);
    let done = store.optimize(&passed(&store), &mut |_| ()).unwrap();
    assert_eq!(done.journal_lines, 1, "the last line stays: it says how far the journal goes");
    assert_eq!(seqs(&store), [4, 7]);
    assert_eq!(store.optimize(&passed(&store), &mut |_| ()).unwrap().journal_lines, 0);
    crash::check_whole(&store);
}

#[test]
fn what_nothing_points_to_goes() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    submit(&store, &home, &[1; 100]);
    submit(&store, &home, &[2; 100_000]);
    while work_off(&store, 2).is_some() {}
    let before = store.totals().unwrap();
    let (lost, hash) = ((7, 7), [7; 32]);
    store
        .engine()
        .write(|txn| {
            txn.open_table(TEXTS)?.insert(lost, "x")?;
            txn.open_table(VECTORS)?.insert(lost, &[0; 8][..])?;
            txn.open_table(CHUNKS)?.insert((7, 7, 0), &[0; 8][..])?;
            txn.open_table(CHUNKS)?.insert((7, 7, 1), &[0; 8][..])?;
            txn.open_table(BLOBS)?.insert(&hash, (8, 1))?;
            txn.open_table(BLOB_BYTES)?.insert(&hash, &[0; 8][..])?;
            Ok(())
        })
        .unwrap();
    let file = dir.path().join("file_storage/07/07");
    std::fs::create_dir_all(&file).unwrap();
    let file = file.join(ContentHash(hash).to_string());
    std::fs::write(&file, [7; 100_000]).unwrap();
    let done = store.optimize(&passed(&store), &mut |_| ()).unwrap();
    assert_eq!((done.rows, done.files), (4, 1));
    assert!(!file.exists());
    assert_eq!(store.totals().unwrap().chunks, before.chunks);
    crash::check_whole(&store);
    let done = store.optimize(&passed(&store), &mut |_| ()).unwrap();
    assert_eq!((done.rows, done.files, done.journal_lines), (0, 0, 0));
}

#[test]
fn the_device_gets_back_what_is_free() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let ids: Vec<_> = (0..60u8).map(|nth| submit(&store, &home, &[nth; 60_000]).document.id).collect();
    for id in &ids[1..] {
        store.delete(&home.owner, &[*id]).unwrap();
    }
    let mut steps = Vec::new();
    let done = store.optimize(&passed(&store), &mut |step| steps.push(step)).unwrap();
    assert!(done.compacted && done.bytes_after < done.bytes_before / 2, "{done:?}");
    assert!(matches!(steps[..], [OptimizeStep::Sweep, OptimizeStep::Copy(_), ..]), "{steps:?}");
    assert!(!dir.path().join("database/smartrag.new").exists());
    assert_eq!(bytes(store.content(&home.owner, ids[0]).unwrap().unwrap()), [0; 60_000]);
    submit(&store, &home, b"more");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.totals().unwrap().documents, 2);
    let again = store.optimize(&passed(&store), &mut |_| ()).unwrap();
    assert!(again.bytes_after <= done.bytes_before / 2);
    crash::check_whole(&store);
}

#[test]
fn readers_and_writers_go_on_around_a_copy() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let first = submit(&store, &home, b"first").document.id;
    let taken = std::thread::scope(|scope| {
        let writer = |client: u8| {
            let (store, home) = (&store, &home);
            move || (0..30u8).map(|nth| submit(store, home, &[client, nth]).document.id).collect::<Vec<_>>()
        };
        let writers = [scope.spawn(writer(1)), scope.spawn(writer(2))];
        let reader =
            scope.spawn(|| (0..200).for_each(|_| assert!(store.document_any(first).unwrap().is_some())));
        (0..5).for_each(|_| store.copy(&mut |_| ()).unwrap());
        reader.join().unwrap();
        writers.map(|writer| writer.join().unwrap()).concat()
    });
    let (_copy, found) = killed(dir.path());
    for id in taken {
        assert!(found.document_any(id).unwrap().is_some());
    }
    crash::check_whole(&found);
}
