use super::*;

fn large(seed: u8) -> Vec<u8> {
    (0..200_000u32).map(|index| (index % 251) as u8 ^ seed).collect()
}

fn stored_files(dir: &Path) -> usize {
    let walk = walkdir::WalkDir::new(dir.join("file_storage")).into_iter();
    walk.filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count()
}

#[test]
fn bytes_come_back_whatever_their_size() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    for size in [0, 1, 65_536, 65_537, 200_000] {
        let content = &large(1)[..size];
        let blob = staged(&store, content);
        assert_eq!((blob.size(), blob.head()), (size as u64, &content[..size.min(8192)]));
        assert_eq!(bytes(blob.open().unwrap()), content);
        let id = submit(&store, &home, content).document.id;
        assert_eq!(bytes(store.content(&home.owner, id).unwrap().unwrap()), content);
        assert_eq!(bytes(store.job_content(id).unwrap()), content);
    }
    assert_eq!(stored_files(dir.path()), 2);
    store.verify().unwrap();
}

#[test]
fn the_same_bytes_are_stored_once_and_go_with_their_last_document() {
    let (dir, store) = temporary();
    for content in [large(0), b"small".to_vec()] {
        let places = [key("u", "c"), key("u", "d"), key("v", "c")];
        let ids = places.each_ref().map(|place| {
            let first = submit(&store, place, &content);
            let again = submit(&store, place, &content);
            assert!(!first.duplicate && again.duplicate);
            assert_eq!(again.document, first.document);
            first.document.id
        });
        let size = content.len() as u64;
        for (nth, (place, id)) in places.iter().zip(ids).enumerate() {
            let (_, _, purged, entry) = store.delete(&place.owner, &[id]).unwrap().remove(0);
            assert!(entry.deleted);
            let last = nth == 2;
            assert_eq!((purged.blob, purged.bytes), (last, if last { size } else { 0 }));
            assert_eq!(store.content(&user("v"), ids[2]).unwrap().is_some(), !last);
        }
        assert_eq!(stored_files(dir.path()), 0);
    }
    crash::check_whole(&store);
}

#[test]
fn an_upload_given_up_leaves_nothing() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    drop(staged(&store, &large(2)));
    let refused = store.submit(vec![upload(&store, &home, &large(3))], 0);
    assert!(matches!(refused, Err(Error::QueueFull(0))));
    assert_eq!(stored_files(dir.path()), 0);
}

#[test]
fn what_a_crash_left_is_removed_at_the_next_start() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let kept = submit(&store, &home, &large(4)).document;
    let orphan = staged(&store, &large(5)).hash();
    // As if the process had died between placing a file and its record, and in the middle of an upload.
    store.files().mark([&orphan, &kept.hash].into_iter()).unwrap();
    let name = orphan.to_string();
    let place = dir.path().join("file_storage").join(&name[..2]).join(&name[2..4]);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join(&name), large(5)).unwrap();
    std::fs::write(dir.path().join("file_storage/tmp/upload-x"), b"half").unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(stored_files(dir.path()), 1);
    assert_eq!(bytes(store.content(&home.owner, kept.id).unwrap().unwrap()), large(4));
}

#[test]
fn a_directory_has_one_store_at_a_time() {
    let (dir, store) = temporary();
    assert!(matches!(Store::open(dir.path()), Err(Error::Locked(_))));
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_damaged_database_is_named_so() {
    let (dir, store) = temporary();
    submit(&store, &key("u", "c"), &[9; 30_000]);
    drop(store);
    let path = dir.path().join("database/smartrag.redb");
    let whole = std::fs::read(&path).unwrap();
    let foreign = b"not a database, but long enough to be looked at".repeat(200);
    for damaged in [foreign.as_slice(), &whole[..whole.len() / 2], &whole[..100]] {
        std::fs::write(&path, damaged).unwrap();
        let opened = Store::open(dir.path());
        assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
    }
    std::fs::write(&path, whole).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.verify().unwrap();
}

#[test]
fn changed_bytes_of_a_file_are_noticed_by_verify() {
    let (dir, store) = temporary();
    let name = submit(&store, &key("u", "c"), &large(6)).document.hash.to_string();
    let path = dir.path().join("file_storage").join(&name[..2]).join(&name[2..4]).join(&name);
    std::fs::write(path, large(7)).unwrap();
    assert!(matches!(store.verify(), Err(Error::Changed(_))));
}
