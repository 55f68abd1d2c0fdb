//! A crash at every moment that leaves the files in a state of its own: what the store has is found again, all of it and
//! nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::model::{Content, LIMITS, Model, check_collection, copy, replay, space};
use super::*;
use crate::search::boundary::watch;

/// The files as a crash would leave them, and what the store has by then.
struct Left {
    at: &'static str,
    files: PathBuf,
    model: Model,
}

/// Everything that happens to an index: documents come, are replaced and go; segments are sealed, joined, get graphs, and
/// are rewritten because of what is dead.
fn history(collection: &Collection, model: &RefCell<Model>) {
    let content = |number: u8, index: u8| -> Content {
        ([usize::from(number + index) % 5].into(), [number as i8, index as i8 + 1, -1, 2])
    };
    let put = |number: u8, rows: u8| (number, Some((0..rows).map(|index| content(number, index)).collect()));
    let stopped = AtomicBool::new(false);
    type Changed = (u8, Option<Vec<Content>>);
    let batches: [&[Changed]; 6] = [
        &[put(0, 3), put(1, 2)],
        &[put(2, 2), put(0, 1), (1, None)],
        &[put(3, 3), put(4, 3)],
        &[put(5, 3), (3, None), put(1, 2)],
        &[put(6, 4), put(7, 4), put(2, 3)],
        &[(6, None), (7, None), (0, None)],
    ];
    for changes in batches {
        let made = model.borrow_mut().apply(changes);
        let last = model.borrow().last;
        collection.apply(&made, last).unwrap();
        collection.seal().unwrap();
        collection.rewrite(&stopped).unwrap();
    }
    collection.flush().unwrap();
    collection.optimize(&stopped).unwrap();
}

#[test]
fn no_crash_loses_or_invents_anything() {
    let root = tempfile::tempdir().unwrap();
    let files = root.path().join("live");
    std::fs::create_dir(&files).unwrap();
    let collection = Collection::open(&files, Some(&space()), Some(LIMITS)).unwrap();
    let model = Rc::new(RefCell::new(Model::default()));
    let left = Rc::new(RefCell::new(Vec::new()));
    let watcher = {
        let (model, left, root, files) = (model.clone(), left.clone(), root.path().to_owned(), files.clone());
        move |at| {
            let to = root.join(left.borrow().len().to_string());
            // tantivy's own threads may be writing; then this is no state that a crash leaves, and the next one is looked at.
            if copy(&files, &to).is_ok() {
                left.borrow_mut().push(Left { at, files: to, model: model.borrow().clone() });
            }
        }
    };
    watch(watcher, || history(&collection, &model));
    drop(collection);
    let mut seen = BTreeMap::new();
    for Left { at, files, model } in left.borrow().iter() {
        *seen.entry(*at).or_insert(0) += 1;
        let collection = Collection::open(files, Some(&space()), Some(LIMITS)).unwrap();
        replay(&collection, model);
        check_collection(&collection, model);
        // It can be worked with.
        collection.optimize(&AtomicBool::new(false)).unwrap();
        check_collection(&collection, model);
    }
    assert_eq!(seen.len(), 8, "a moment was never come to: {seen:#?}");
}
