//! Vectors of a next embedder: against a naive model, and the switch.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::disk::Disk;
use super::*;

const OLD: (&str, usize) = ("e1", 2);
const NEXT: (&str, usize) = ("e2", 3);

/// Vectors of the next embedder for a version with so many chunks.
fn next(chunks: u32) -> Vec<f32> {
    (0..3 * chunks).map(|index| 0.5 + index as f32).collect()
}

/// A version with vectors of both.
fn both(document: &Document, chunks: u32) -> Finished {
    let old = finished(document, chunks);
    let also = Embedded { fingerprint: OLD.0.into(), dimension: OLD.1, vectors: old.vectors.clone() };
    Finished { vectors: next(chunks), also: Some(also), ..old }
}

fn made(store: &Store, pending: &[Pending]) -> Vec<NextVectors> {
    let one = |pending: &Pending| {
        let chunks = store.index_document(pending.document).unwrap().unwrap().chunks.len() as u32;
        NextVectors { document: pending.document, seq: pending.seq, vectors: next(chunks) }
    };
    pending.iter().map(one).collect()
}

/// Three documents of 0, 1 and 2 chunks with vectors of the old embedder; their collection.
fn three(store: &Store) -> (CollectionId, Vec<DocumentId>) {
    let home = key("u", "c");
    let ids = (0..3u32).map(|chunks| {
        submit(store, &home, &[chunks as u8]);
        work_off(store, chunks).unwrap()
    });
    let ids = ids.collect();
    (store.collection(&home).unwrap().unwrap().id, ids)
}

fn done(store: &Store) -> Option<u64> {
    store.collection(&key("u", "c")).unwrap().unwrap().next.map(|next| next.done)
}

#[test]
fn a_migration_runs_beside_and_switches_once_it_is_complete() {
    let (dir, store) = temporary();
    let (id, ids) = three(&store);
    assert!(!store.begin_generation(id, OLD.0, OLD.1).unwrap());
    assert!(store.begin_generation(id, NEXT.0, NEXT.1).unwrap());
    let first = store.pending(id, None, 2).unwrap();
    assert_eq!(first.iter().map(|pending| pending.document).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(store.put_next(id, NEXT.0, &made(&store, &first)).unwrap(), 2);
    assert!(!store.switch_generation(id).unwrap());
    assert_eq!(store.vectors(ids[1]).unwrap().unwrap().1, [0.0, 1.0]);
    assert_eq!(store.next_vectors(ids[1]).unwrap().unwrap(), next(1));

    let (_copy, store) = {
        drop(store);
        killed(dir.path())
    };
    assert!(store.begin_generation(id, NEXT.0, NEXT.1).unwrap());
    let rest = store.pending(id, None, 9).unwrap();
    assert_eq!(rest.iter().map(|pending| pending.document).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(store.put_next(id, NEXT.0, &made(&store, &rest)).unwrap(), 1);
    assert!(store.switch_generation(id).unwrap());
    let collection = store.collection(&key("u", "c")).unwrap().unwrap();
    assert_eq!((collection.embedder.as_deref(), collection.dimension), (Some(NEXT.0), Some(NEXT.1)));
    assert_eq!(store.vectors(ids[2]).unwrap().unwrap().1, next(2));
    assert_eq!(store.index_document(ids[2]).unwrap().unwrap().vectors, next(2));
    assert!(store.has_old_generations().unwrap());
    assert_eq!((store.sweep_generations().unwrap(), store.sweep_generations().unwrap()), (3, 0));
    assert!(!store.has_old_generations().unwrap());
    store.verify().unwrap();
}

#[test]
fn a_document_that_changes_meanwhile_is_found_again() {
    let (_dir, store) = temporary();
    let (id, ids) = three(&store);
    store.begin_generation(id, NEXT.0, NEXT.1).unwrap();
    let all = made(&store, &store.pending(id, None, 9).unwrap());
    let owner = user("u");
    store.reprocess(&owner, ids[2]).unwrap();
    work_off(&store, 2).unwrap();
    store.delete(&owner, &ids[..1]).unwrap();
    assert_eq!(store.put_next(id, NEXT.0, &all).unwrap(), 1, "of the one that stayed as it was");
    assert_eq!(store.pending(id, None, 9).unwrap().len(), 1);
    let document = store.document(&owner, ids[2]).unwrap().unwrap();
    store.commit(&[both(&document, 4)], Some(NEXT)).unwrap();
    assert_eq!(store.pending(id, None, 9).unwrap(), []);
    assert_eq!(store.vectors(ids[2]).unwrap().unwrap().1.len(), 8);
    assert!(store.switch_generation(id).unwrap());
    assert_eq!(store.vectors(ids[2]).unwrap().unwrap().1, next(4));
}

#[test]
fn vectors_that_do_not_fit_are_refused() {
    let (_dir, store) = temporary();
    let (id, ids) = three(&store);
    let document = store.document(&user("u"), ids[1]).unwrap().unwrap();
    let refused = |version: Finished, embedder: (&str, usize)| {
        let result = store.commit(&[version], Some(embedder));
        assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
    };
    refused(Finished { also: None, ..both(&document, 1) }, NEXT);
    refused(Finished { also: None, ..both(&document, 1) }, (OLD.0, 3));
    store.begin_generation(id, NEXT.0, NEXT.1).unwrap();
    refused(finished(&document, 1), NEXT);
    refused(finished(&document, 1), ("e3", 2));
    let pending = store.pending(id, Some(ids[0]), 1).unwrap()[0];
    let wrong = NextVectors { document: pending.document, seq: pending.seq, vectors: vec![1.0; 2] };
    assert!(matches!(store.put_next(id, NEXT.0, &[wrong]), Err(Error::Conflict(_))));
    assert_eq!(done(&store), Some(0));
    // The old embedder is gone: keywords find the document until the switch.
    store.commit(&[Finished { also: None, ..both(&document, 1) }], Some(NEXT)).unwrap();
    assert_eq!((store.vectors(ids[1]).unwrap(), done(&store)), (None, Some(1)));
    store.verify().unwrap();
}

#[test]
fn giving_up_is_free_until_the_switch() {
    let (_dir, store) = temporary();
    let (id, ids) = three(&store);
    store.begin_generation(id, NEXT.0, NEXT.1).unwrap();
    store.put_next(id, NEXT.0, &made(&store, &store.pending(id, None, 2).unwrap())).unwrap();
    assert!(store.begin_generation(id, "e3", 5).unwrap());
    assert_eq!(done(&store), Some(0));
    assert_eq!(store.put_next(id, NEXT.0, &[]).unwrap(), 0);
    assert!(!store.begin_generation(id, OLD.0, OLD.1).unwrap());
    assert_eq!((done(&store), store.pending(id, None, 9).unwrap()), (None, vec![]));
    assert!(!store.switch_generation(id).unwrap());
    assert_eq!(store.sweep_generations().unwrap(), 2);
    assert_eq!(store.vectors(ids[2]).unwrap().unwrap().1.len(), 4);
    crash::check_whole(&store);
}

#[test]
fn how_to_have_an_embedder_again_is_remembered() {
    let (_dir, store) = temporary();
    let mut source = EmbedderSource {
        fingerprint: "f".into(),
        dimension: 7,
        plugin: "p".into(),
        settings: JsonMap::from_iter([("k".to_owned(), serde_json::json!([1, {"x": null}]))]),
    };
    assert_eq!(store.embedder_source("f").unwrap(), None);
    for plugin in ["p", "q"] {
        source.plugin = plugin.into();
        store.remember_embedder(&source).unwrap();
        assert_eq!(store.embedder_source("f").unwrap().as_ref(), Some(&source));
    }
}

#[test]
fn data_of_the_format_before_is_taken_over() {
    use super::super::tables::META;
    let (dir, store) = temporary();
    let (id, ids) = three(&store);
    let first = |txn: &redb::WriteTransaction| {
        txn.open_table(META)?.insert("format", 1)?;
        Ok(())
    };
    store.engine().write(first).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.vectors(ids[1]).unwrap().unwrap().1, [0.0, 1.0]);
    assert!(store.begin_generation(id, NEXT.0, NEXT.1).unwrap());
}

#[test]
fn a_migration_survives_a_loss_of_power_at_any_sync() {
    for sync in 0.. {
        let disk = Disk::dying_at(sync);
        let dir = tempfile::tempdir().unwrap();
        let migrate = |store: &Store| -> Result<()> {
            let home = key("u", "c");
            while store.totals()?.documents < 3 {
                let nth = store.totals()?.documents as u8;
                store.submit(vec![upload(store, &home, &[nth])], QUEUE_MAX)?;
            }
            while let Some(job) = store.claim()? {
                // What was committed before needs no more than the mark.
                if job.stage != Stage::Indexing {
                    store.commit(&[finished(&job.document, 2)], Some(OLD))?;
                }
                store.mark_ready(&[job.document.id])?;
            }
            let id = store.collection(&home)?.unwrap().id;
            while store.begin_generation(id, NEXT.0, NEXT.1)? {
                let pending = store.pending(id, None, 2)?;
                store.put_next(id, NEXT.0, &made(store, &pending))?;
                store.switch_generation(id)?;
            }
            store.sweep_generations()?;
            Ok(())
        };
        let completed = crash::open_on(&disk, dir.path()).and_then(|store| migrate(&store));
        if !disk.is_dead() {
            assert!(completed.is_ok() && sync > 8);
            return;
        }
        for seed in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let store = crash::open_on(&disk.after_loss(seed), dir.path()).unwrap();
            if let Some(collection) = store.collection(&key("u", "c")).unwrap() {
                let dimension = collection.dimension.unwrap_or(0);
                for entry in store.journal(collection.id, 0).unwrap().iter().filter(|entry| !entry.deleted) {
                    let id = entry.document;
                    assert_eq!(store.vectors(id).unwrap().unwrap().1.len(), 2 * dimension);
                }
            }
            migrate(&store).unwrap();
            let collection = store.collection(&key("u", "c")).unwrap().unwrap();
            assert_eq!((collection.embedder.as_deref(), collection.documents), (Some(NEXT.0), 3));
            assert_eq!(store.sweep_generations().unwrap(), 0);
            store.verify().unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add { chunks: u32 },
    Delete { nth: usize },
    Replace { nth: usize, chunks: u32, both: bool },
    Begin { old: bool },
    Work { limit: usize },
    Switch,
    Sweep,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..3u32).prop_map(|chunks| Op::Add { chunks }),
        2 => (0..6usize).prop_map(|nth| Op::Delete { nth }),
        3 => (0..6usize, 0..3u32, any::<bool>()).prop_map(|(nth, chunks, both)| Op::Replace { nth, chunks, both }),
        2 => any::<bool>().prop_map(|old| Op::Begin { old }),
        4 => (1..4usize).prop_map(|limit| Op::Work { limit }),
        2 => Just(Op::Switch),
        1 => Just(Op::Sweep),
    ]
}

/// Document to chunks, and whether the next vectors are made.
#[derive(Default)]
struct Model {
    documents: BTreeMap<DocumentId, (u32, bool)>,
    running: bool,
    switched: bool,
    added: u8,
}

impl Model {
    fn nth(&self, nth: usize) -> Option<DocumentId> {
        self.documents.keys().nth(nth).copied()
    }

    fn version(&self, document: &Document, chunks: u32, wish: bool) -> (Finished, (&'static str, usize)) {
        match (self.switched, self.running && wish) {
            (true, _) => (Finished { also: None, ..both(document, chunks) }, NEXT),
            (false, true) => (both(document, chunks), NEXT),
            (false, false) => (finished(document, chunks), OLD),
        }
    }

    fn commit(&mut self, store: &Store, id: DocumentId, chunks: u32, wish: bool) {
        let document = store.document_any(id).unwrap().unwrap();
        let (version, embedder) = self.version(&document, chunks, wish);
        store.commit(&[version], Some(embedder)).unwrap();
        store.mark_ready(&[id]).unwrap();
        self.documents.insert(id, (chunks, self.running && wish && !self.switched));
    }

    fn apply(&mut self, store: &Store, op: &Op) {
        let collection = store.collection(&key("u", "c")).unwrap().map(|collection| collection.id);
        match (op.clone(), collection) {
            (Op::Add { chunks }, _) => {
                self.added += 1;
                let id = submit(store, &key("u", "c"), &[self.added]).document.id;
                self.commit(store, id, chunks, false);
            }
            (Op::Delete { nth }, _) => {
                let Some(id) = self.nth(nth) else { return };
                store.delete(&user("u"), &[id]).unwrap();
                self.documents.remove(&id);
            }
            (Op::Replace { nth, chunks, both }, _) => {
                let Some(id) = self.nth(nth) else { return };
                self.commit(store, id, chunks, both);
            }
            (Op::Begin { old }, Some(id)) => {
                let (fingerprint, dimension) = if old { OLD } else { NEXT };
                if self.switched && old {
                    return;
                }
                let began = store.begin_generation(id, fingerprint, dimension).unwrap();
                assert_eq!(began, !old && !self.switched);
                if began != self.running {
                    self.documents.values_mut().for_each(|known| known.1 = false);
                }
                self.running = began;
            }
            (Op::Work { limit }, Some(id)) => {
                let pending = store.pending(id, None, limit).unwrap();
                let wanted = self.documents.iter().filter(|(_, known)| self.running && !known.1).take(limit);
                let wanted: Vec<_> = wanted.map(|(id, _)| *id).collect();
                assert_eq!(pending.iter().map(|pending| pending.document).collect::<Vec<_>>(), wanted);
                store.put_next(id, NEXT.0, &made(store, &pending)).unwrap();
                for id in wanted {
                    self.documents.get_mut(&id).unwrap().1 = true;
                }
            }
            (Op::Switch, Some(id)) => {
                let ready = self.running && self.documents.values().all(|known| known.1);
                assert_eq!(store.switch_generation(id).unwrap(), ready);
                self.switched |= ready;
                self.running &= !ready;
            }
            (Op::Sweep, _) => drop(store.sweep_generations().unwrap()),
            (_, None) => {}
        }
    }

    fn check(&self, store: &Store) {
        for (id, (chunks, made)) in &self.documents {
            let present =
                if self.switched { next(*chunks) } else { (0..2 * chunks).map(|i| i as f32).collect() };
            assert_eq!(store.vectors(*id).unwrap().unwrap().1, present);
            let kept = (self.running && *made).then(|| next(*chunks));
            assert_eq!(store.next_vectors(*id).unwrap(), kept);
        }
        if let Some(collection) = store.collection(&key("u", "c")).unwrap() {
            let made = self.documents.values().filter(|known| known.1).count() as u64;
            assert_eq!(collection.next.map(|next| next.done), self.running.then_some(made));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn generations_do_what_a_naive_model_does(ops in prop::collection::vec(op(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let store = crash::open_on(&Disk::default(), dir.path()).unwrap();
        let mut model = Model::default();
        for op in &ops {
            model.apply(&store, op);
            model.check(&store);
        }
    }
}
