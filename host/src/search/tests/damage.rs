//! Indexes that can't be read back are noticed, and begin anew.

use std::path::PathBuf;

use super::*;

fn keyword_files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join(ID.to_string()).join("keyword")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(extension)).collect();
    files.sort();
    files
}

fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let search = open(directory.path());
    for number in 1..4 {
        search.apply(ID, &[put(number, "some words to keep", Some("en"))], u64::from(number)).unwrap();
    }
    directory
}

/// After damage the index begins anew and works.
fn begins_anew(directory: &Path) {
    let search = open(directory);
    assert_eq!(keyword_cursor(&search), 0);
    assert_eq!(search.counts(ID), (0, 0));
    search.apply(ID, &[put(9, "some words", Some("en"))], 4).unwrap();
    assert_eq!(found(&search, &query("words")), [document_id(9)]);
    drop(search);
    assert_eq!(keyword_cursor(&open(directory)), 4);
}

#[test]
fn an_intact_index_keeps_its_cursor() {
    let directory = filled();
    let search = open(directory.path());
    assert_eq!(keyword_cursor(&search), 3);
    assert_eq!(search.counts(ID), (3, 0));
    search.apply(ID, &[], 8).unwrap();
    assert_eq!(keyword_cursor(&search), 8);
    search.apply(ID, &[put(2, "late", None)], 5).unwrap();
    assert_eq!(keyword_cursor(&search), 8, "the cursor never goes back");
}

#[test]
fn truncated_changed_or_missing_files_are_noticed() {
    for extension in [".term", ".idx", ".pos", ".fast", ".fieldnorm", ".store"] {
        let damages: [fn(&Path); 4] = [
            |path| std::fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
            |path| {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            },
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[0] ^= 0x40;
                std::fs::write(path, bytes).unwrap();
            },
            |path| std::fs::remove_file(path).unwrap(),
        ];
        for damage in damages {
            let directory = filled();
            let file = keyword_files(directory.path(), extension).remove(0);
            damage(&file);
            begins_anew(directory.path());
        }
    }
}

#[test]
fn unreadable_lists_and_other_versions_are_noticed() {
    for (file, text) in
        [("meta.json", ""), ("meta.json", "{}"), (".managed.json", "["), (".managed.json", "")]
    {
        let directory = filled();
        std::fs::write(keyword_files(directory.path(), file).remove(0), text).unwrap();
        begins_anew(directory.path());
    }
    let directory = filled();
    let meta = keyword_files(directory.path(), "meta.json").remove(0);
    let text = std::fs::read_to_string(&meta).unwrap().replace("smartrag ", "smartrag 0");
    std::fs::write(&meta, text).unwrap();
    begins_anew(directory.path());
}

#[test]
fn files_of_a_killed_writer_are_removed() {
    let directory = filled();
    let stray =
        directory.path().join(ID.to_string()).join("keyword").join("0123456789abcdef0123456789abcdef.term");
    std::fs::write(&stray, "half").unwrap();
    // A killed process may have listed what it did not come to commit.
    let list = keyword_files(directory.path(), ".managed.json").remove(0);
    let text = std::fs::read_to_string(&list).unwrap();
    let name = stray.file_name().unwrap().to_string_lossy();
    std::fs::write(&list, text.replacen('[', &format!("[\"{name}\","), 1)).unwrap();
    let search = open(directory.path());
    assert_eq!(keyword_cursor(&search), 3);
    assert!(!stray.exists());
}

#[test]
fn a_dropped_collection_is_empty_and_can_be_built_anew() {
    let directory = filled();
    let search = open(directory.path());
    search.open_collection(ID, None).unwrap();
    search.drop_collection(ID).unwrap();
    assert!(!directory.path().join(ID.to_string()).exists());
    assert_eq!(search.counts(ID), (0, 0));
    assert_eq!(keyword_cursor(&search), 0);
    search.apply(ID, &[put(1, "word", None)], 1).unwrap();
    assert_eq!(search.counts(ID), (1, 0));
}
