//! Row numbers: each version of a document has its own, in the order of the journal.

use redb::ReadableTable;

use super::*;
use crate::store::collections;
use crate::store::records::{DocumentRecord, pack, unpack};
use crate::store::tables::{DOCUMENTS, META};

fn rows(store: &Store, id: DocumentId) -> std::ops::Range<u32> {
    let document = store.index_document(id).unwrap().unwrap();
    document.first_row..document.first_row + document.chunks.len() as u32
}

#[test]
fn every_version_has_rows_of_its_own() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let ids = [(b"a", 3), (b"b", 0), (b"c", 2)].map(|(bytes, chunks)| {
        submit(&store, &home, bytes);
        work_off(&store, chunks).unwrap()
    });
    assert_eq!(ids.map(|id| rows(&store, id)), [0..3, 3..3, 3..5]);
    store.reprocess(&home.owner, ids[0]).unwrap();
    work_off(&store, 1).unwrap();
    assert_eq!(rows(&store, ids[0]), 5..6);
    store.delete(&home.owner, &ids[2..3]).unwrap();
    submit(&store, &key("u", "d"), b"c");
    let other = work_off(&store, 4).unwrap();
    assert_eq!(rows(&store, other), 0..4, "collections count by themselves");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    submit(&store, &home, b"d");
    assert_eq!(rows(&store, work_off(&store, 1).unwrap()), 6..7, "no number comes back");
}

/// As the first version of the format left it.
fn forget_rows(store: &Store, home: &CollectionKey) {
    let forget = |txn: &redb::WriteTransaction| {
        let mut record = collections::record(txn, home)?.unwrap();
        record.next_row = 0;
        collections::put(txn, home, &record)?;
        txn.open_table(META)?.insert("format", 1)?;
        let mut documents = txn.open_table(DOCUMENTS)?;
        let all: Vec<_> = documents
            .iter()?
            .map(|row| row.map(|(key, value)| (key.value(), value.value().to_vec())))
            .collect();
        for row in all {
            let (key, bytes) = row?;
            let record = DocumentRecord { first_row: 0, ..unpack(&bytes)? };
            documents.insert(key, pack(&record)?.as_slice())?;
        }
        Ok(())
    };
    store.engine().write(forget).unwrap();
}

#[test]
fn documents_of_the_first_format_get_rows() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let ids = [b"a", b"b", b"c"].map(|bytes| {
        submit(&store, &home, bytes);
        work_off(&store, 2).unwrap()
    });
    store.reprocess(&home.owner, ids[0]).unwrap();
    work_off(&store, 2).unwrap();
    forget_rows(&store, &home);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let [first, second, third] = ids.map(|id| rows(&store, id));
    assert_eq!((second, third, first), (0..2, 2..4, 4..6), "in the order of the journal");
}
