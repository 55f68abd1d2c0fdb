use super::*;

fn open(directory: &std::path::Path) -> Search {
    Search::open(directory).unwrap()
}

fn put(number: u8, text: &str) -> Change {
    Change::Put(indexed(document(number), vec![chunk(0, text, None)], vec![1.0, 0.0]))
}

fn found(search: &Search, text: &str) -> usize {
    let query = SearchQuery { mode: SearchMode::Keyword, ..query(text) };
    search.search(ID, &query).unwrap().hits.len()
}

#[test]
fn searches_use_the_old_indexes_until_the_new_ones_stand() {
    let directory = tempfile::tempdir().unwrap();
    let search = open(directory.path());
    search.apply(ID, &[put(1, "old")], 1).unwrap();
    let rebuild = search.begin_rebuild(ID, Some(&Space { fingerprint: "new".into(), dimension: 2 })).unwrap();
    rebuild.apply(&[put(1, "new"), put(2, "new")], 5).unwrap();
    assert_eq!((found(&search, "old"), found(&search, "new")), (1, 0));
    rebuild.finish().unwrap();
    assert_eq!((found(&search, "old"), found(&search, "new")), (0, 2));
    assert_eq!((search.counts(ID), keyword_cursor(&search)), ((2, 2), 5));
    search.apply(ID, &[put(3, "new")], 6).unwrap();
    drop(search);

    let search = open(directory.path());
    assert_eq!(keyword_cursor(&search), 6);
    assert_eq!(found(&search, "new"), 3);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let rebuild = search.begin_rebuild(ID, None).unwrap();
    rebuild.apply(&[put(9, "newer")], 7).unwrap();
    rebuild.finish().unwrap();
    assert_eq!((found(&search, "new"), found(&search, "newer")), (0, 1));
    search.drop_collection(ID).unwrap();
    assert_eq!(keyword_cursor(&search), 0);
}

#[test]
fn what_was_built_by_halves_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let search = open(directory.path());
    search.apply(ID, &[put(1, "old")], 1).unwrap();
    let rebuild = search.begin_rebuild(ID, None).unwrap();
    rebuild.apply(&[put(2, "new")], 5).unwrap();
    drop(rebuild);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "giving up removes it");
    let rebuild = search.begin_rebuild(ID, None).unwrap();
    rebuild.apply(&[put(2, "new")], 5).unwrap();
    // As a crash would leave it.
    std::mem::forget(rebuild);
    let search = open(directory.path());
    assert_eq!(keyword_cursor(&search), 1);
    assert_eq!((found(&search, "old"), found(&search, "new")), (1, 0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
