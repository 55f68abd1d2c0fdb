//! Random operations on the store and on a naive model of it, compared after each.

use proptest::prelude::*;

use super::disk::Disk;
use super::*;

const OWNERS: [&str; 2] = ["u", "v"];
const COLLECTIONS: [&str; 2] = ["c", "d"];

#[derive(Clone, Debug)]
enum Op {
    Submit {
        owner: usize,
        collection: usize,
        content: u8,
    },
    WorkOff {
        chunks: u32,
    },
    Fail,
    /// By an owner, whosever the document is.
    Delete {
        owner: usize,
        nth: usize,
    },
    Reprocess {
        owner: usize,
        nth: usize,
    },
    /// Once the indexes have followed.
    Optimize,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..2usize, 0..2usize, 0..4u8)
            .prop_map(|(owner, collection, content)| Op::Submit { owner, collection, content }),
        4 => (0..4u32).prop_map(|chunks| Op::WorkOff { chunks }),
        1 => Just(Op::Fail),
        2 => (0..2usize, 0..8usize).prop_map(|(owner, nth)| Op::Delete { owner, nth }),
        2 => (0..2usize, 0..8usize).prop_map(|(owner, nth)| Op::Reprocess { owner, nth }),
        1 => Just(Op::Optimize),
    ]
}

struct Known {
    id: DocumentId,
    owner: usize,
    collection: usize,
    content: u8,
    status: Stage,
    /// Of the committed version.
    chunks: Option<u32>,
}

#[derive(Default)]
struct Model {
    documents: Vec<Known>,
    /// Oldest first.
    queue: Vec<DocumentId>,
    /// Whose document was taken last.
    served: Option<usize>,
    /// Document and whether it is deleted, by last change.
    journal: Vec<(DocumentId, bool)>,
    /// Deletions that the journal need not have any more.
    purged: Vec<DocumentId>,
}

impl Model {
    fn known(&mut self, id: DocumentId) -> &mut Known {
        self.documents.iter_mut().find(|known| known.id == id).unwrap()
    }

    fn changed(&mut self, id: DocumentId, deleted: bool) {
        self.journal.retain(|(other, _)| *other != id);
        self.journal.push((id, deleted));
    }

    fn nth(&self, nth: usize) -> DocumentId {
        self.documents.get(nth).map_or_else(DocumentId::new, |known| known.id)
    }

    fn apply(&mut self, store: &Store, op: &Op) {
        match *op {
            Op::Submit { owner, collection, content } => self.submit(store, owner, collection, content),
            Op::WorkOff { chunks } => {
                let done = work_off(store, chunks);
                assert_eq!(done, self.pop());
                if let Some(id) = done {
                    self.known(id).status = Stage::Ready;
                    self.known(id).chunks = Some(chunks);
                    self.changed(id, false);
                }
            }
            Op::Fail => {
                let job = store.claim().unwrap().map(|job| job.document.id);
                assert_eq!(job, self.pop());
                if let Some(id) = job {
                    store.fail(id, failure()).unwrap();
                    self.known(id).status = Stage::Failed;
                }
            }
            Op::Optimize => {
                store.optimize(&passed(store), &mut |_| ()).unwrap();
                store.copy(&mut |_| ()).unwrap();
                self.purged = self.journal.iter().filter(|entry| entry.1).map(|entry| entry.0).collect();
            }
            Op::Delete { owner, nth } => self.delete(store, owner, self.nth(nth)),
            Op::Reprocess { owner, nth } => {
                let id = self.nth(nth);
                let found = store.reprocess(&user(OWNERS[owner]), id).unwrap().is_some();
                let known = self.documents.iter_mut().find(|known| known.id == id && known.owner == owner);
                assert_eq!(found, known.is_some());
                if let Some(known) = known
                    && known.status.is_final()
                {
                    known.status = Stage::Queued;
                    self.queue.push(id);
                }
            }
        }
    }

    /// The oldest of the owner whose turn it is.
    fn pop(&mut self) -> Option<DocumentId> {
        let owner = |id: &DocumentId| self.documents.iter().find(|known| known.id == *id).unwrap().owner;
        let owners: Vec<usize> = self.queue.iter().map(owner).collect();
        let behind = owners.iter().filter(|owner| Some(**owner) > self.served).min();
        let turn = *behind.or(owners.iter().min())?;
        self.served = Some(turn);
        Some(self.queue.remove(owners.iter().position(|owner| *owner == turn)?))
    }

    fn submit(&mut self, store: &Store, owner: usize, collection: usize, content: u8) {
        let taken = submit(store, &key(OWNERS[owner], COLLECTIONS[collection]), &[content]);
        let same =
            |known: &&Known| (known.owner, known.collection, known.content) == (owner, collection, content);
        let former = self.documents.iter().find(same).map(|known| known.id);
        assert_eq!(taken.duplicate.then_some(taken.document.id), former);
        if !taken.duplicate {
            let id = taken.document.id;
            self.queue.push(id);
            let status = Stage::Queued;
            self.documents.push(Known { id, owner, collection, content, status, chunks: None });
        }
    }

    fn delete(&mut self, store: &Store, owner: usize, id: DocumentId) {
        let purged = store.delete(&user(OWNERS[owner]), &[id]).unwrap().pop();
        let position = self.documents.iter().position(|known| known.id == id && known.owner == owner);
        assert_eq!(purged.is_some(), position.is_some());
        let (Some((_, _, purged, _)), Some(position)) = (purged, position) else { return };
        let gone = self.documents.remove(position);
        self.queue.retain(|queued| *queued != id);
        assert_eq!(purged.chunks, u64::from(gone.chunks.unwrap_or(0)));
        assert_eq!(purged.blob, self.documents.iter().all(|known| known.content != gone.content));
        self.changed(id, true);
    }

    fn check(&self, store: &Store) {
        for (owner, name) in OWNERS.iter().enumerate() {
            let owner_id = user(name);
            let query = DocumentQuery { limit: 100, ..DocumentQuery::default() };
            let listed = store.documents(&owner_id, &query).unwrap().items;
            let own: Vec<_> = self.documents.iter().filter(|known| known.owner == owner).collect();
            assert_eq!(
                listed.iter().map(|document| (document.id, document.status)).collect::<Vec<_>>(),
                own.iter().map(|known| (known.id, known.status)).collect::<Vec<_>>()
            );
            for known in &self.documents {
                self.check_document(store, &owner_id, known.owner == owner, known);
            }
        }
        let mut journal: Vec<_> = store
            .collections(None)
            .unwrap()
            .iter()
            .flat_map(|collection| store.journal(collection.id, 0).unwrap())
            .collect();
        journal.sort_by_key(|entry| entry.seq);
        let journal: Vec<_> = journal.iter().map(|entry| (entry.document, entry.deleted)).collect();
        let needed = |(id, _): &(DocumentId, bool)| !self.purged.contains(id);
        let (found, known) = (journal.iter().filter(|entry| needed(entry)), self.journal.iter());
        assert!(found.eq(known.filter(|entry| needed(entry))), "{journal:?}");
        assert!(journal.len() <= self.journal.len() - self.purged.len() + OWNERS.len() * COLLECTIONS.len());
        assert_eq!(store.totals().unwrap().queued, self.queue.len() as u64);
    }

    fn check_document(&self, store: &Store, owner: &UserId, own: bool, known: &Known) {
        let id = known.id;
        assert_eq!(store.document(owner, id).unwrap().is_some(), own);
        let content = store.content(owner, id).unwrap().map(bytes);
        assert_eq!(content, own.then(|| vec![known.content]));
        assert_eq!(store.text(owner, id).unwrap().is_some(), own && known.chunks.is_some());
        let wanted: Vec<_> = (0..5).map(|index| ChunkId { document: id, index }).collect();
        let found = store.chunks_by_id(owner, &wanted).unwrap();
        assert_eq!(found.len() as u32, if own { known.chunks.unwrap_or(0) } else { 0 });
        assert!(found.iter().all(|(document, _)| document.id == id && document.collection.owner == *owner));
        assert_eq!(store.chunks(owner, id, 0, 9).is_ok(), own);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_naive_model_does(ops in prop::collection::vec(op(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let store = crash::open_on(&Disk::default(), dir.path()).unwrap();
        let mut model = Model::default();
        for op in &ops {
            model.apply(&store, op);
            model.check(&store);
        }
        crash::check_whole(&store);
    }
}
