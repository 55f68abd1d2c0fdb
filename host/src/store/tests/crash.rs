use std::fs::File;
use std::path::Path;

use super::disk::Disk;
use super::*;

pub(super) fn open_on(disk: &Disk, dir: &Path) -> Result<Store> {
    let lock = File::create(dir.join("lock")).unwrap();
    Store::with_engine(dir, disk.engine()?, dir.join("lock"), lock)
}

/// What was acknowledged, in order.
#[derive(Default)]
struct Acknowledged {
    submitted: Vec<DocumentId>,
    committed: Vec<DocumentId>,
    failed: Option<DocumentId>,
    deleted: Option<DocumentId>,
    session: bool,
    messages: usize,
}

/// A day in the life of a store; ends at the first error.
fn day(store: &Store, done: &mut Acknowledged) -> Result<()> {
    let home = key("u", "c");
    for batch in [&["a", "b"][..], &["c"][..]] {
        let uploads = batch.iter().map(|text| upload(store, &home, text.as_bytes())).collect();
        let taken = store.submit(uploads, QUEUE_MAX)?;
        done.submitted.extend(taken.iter().map(|taken| taken.document.id));
    }
    // On disk with whatever is next on disk.
    let soft = store.submit_soft(vec![upload(store, &home, b"soft")], QUEUE_MAX)?;
    let mut versions = Vec::new();
    for chunks in 1..3 {
        let job = store.claim()?.unwrap();
        store.advance(job.document.id, Stage::Parsing, None)?;
        versions.push(finished(&job.document, chunks));
    }
    let ids: Vec<_> = versions.iter().map(|version| version.document.id).collect();
    store.commit(&versions, EMBEDDER)?;
    done.committed = ids.clone();
    done.submitted.extend(soft.iter().map(|taken| taken.document.id));
    store.mark_ready(&ids)?;
    let third = store.claim()?.unwrap().document.id;
    store.fail(third, failure())?;
    done.failed = Some(third);
    store.delete(&home.owner, &ids[..1])?;
    done.deleted = Some(ids[0]);
    let session = Session {
        id: SessionId::new("s").unwrap(),
        user: home.owner.clone(),
        title: None,
        context: JsonMap::new(),
        created_at: 1,
        last_active: 1,
    };
    store.create_session(&session, Instant::now())?;
    done.session = true;
    let id = ConversationId::from_bytes([1; 16]);
    let conversation = Conversation {
        id,
        user: home.owner.clone(),
        session: Some(session.id),
        title: None,
        metadata: JsonMap::new(),
        created_at: 1,
        updated_at: 1,
    };
    store.begin_conversation(&conversation, &[], Instant::now())?;
    for turn in 1..3 {
        let message = |role| Message {
            id: MessageId::new(),
            role,
            content: "m".into(),
            metadata: JsonMap::new(),
            created_at: turn,
        };
        store.append_messages(
            &home.owner,
            id,
            &[message(MessageRole::User), message(MessageRole::Assistant)],
        )?;
        done.messages += 2;
    }
    store.engine().settle()?;
    store.optimize(&passed(store), &mut |_| ())?;
    store.copy(&mut |_| ())?;
    let taken = store.submit(vec![upload(store, &home, b"after")], QUEUE_MAX)?;
    done.submitted.extend(taken.iter().map(|taken| taken.document.id));
    store.engine().settle()
}

/// Laws that hold at every moment.
pub(in crate::store) fn check_whole(store: &Store) {
    store.verify().unwrap();
    let mut totals = (0, 0);
    for collection in store.collections(None).unwrap() {
        let owner = &collection.key.owner;
        let query = DocumentQuery {
            listed: Listed::One(collection.key.clone()),
            limit: usize::MAX,
            ..DocumentQuery::default()
        };
        let documents = store.documents(owner, &query).unwrap().items;
        let (mut ready, mut chunks) = (0, 0);
        for document in &documents {
            let rows = store.chunks(owner, document.id, 0, usize::MAX).unwrap().items;
            assert_eq!(rows.len(), document.chunk_count as usize);
            assert!(store.content(owner, document.id).unwrap().is_some());
            assert_eq!(document.error.is_some(), document.status == Stage::Failed);
            if let Some(version) = store.index_document(document.id).unwrap() {
                assert_eq!(version.vectors.len(), 2 * rows.len());
                assert!(store.text(owner, document.id).unwrap().is_some());
                ready += 1;
            }
            chunks += rows.len() as u64;
        }
        assert_eq!((collection.documents, collection.chunks), (ready, chunks));
        let journal = store.journal(collection.id, 0).unwrap();
        assert_eq!(journal.last().map_or(0, |entry| entry.seq), collection.last_seq);
        totals = (totals.0 + documents.len() as u64, totals.1 + chunks);
    }
    let all = store.totals().unwrap();
    assert_eq!((all.documents, all.chunks), totals);
    assert_eq!(all.documents, all.ready + all.failed + all.queued);
}

fn check_acknowledged(store: &Store, done: &Acknowledged) {
    let owner = user("u");
    for id in &done.submitted {
        let document = store.document(&owner, *id).unwrap();
        if done.deleted == Some(*id) {
            assert!(document.is_none());
            continue;
        }
        // The deletion that was not acknowledged may have happened all the same.
        let Some(document) = document else {
            assert!(done.failed.is_some() && done.committed.first() == Some(id));
            continue;
        };
        if done.committed.contains(id) {
            assert!(matches!(document.status, Stage::Indexing | Stage::Ready));
            assert!(document.chunk_count > 0);
        }
        if done.failed == Some(*id) {
            assert_eq!(document.status, Stage::Failed);
        }
    }
    let session = store.session(&SessionId::new("s").unwrap()).unwrap();
    assert!(session.is_some() || !done.session);
    if done.messages > 0 {
        let messages = store.messages(&owner, ConversationId::from_bytes([1; 16]), 100).unwrap().len();
        assert!(messages >= done.messages && messages.is_multiple_of(2));
    }
}

#[test]
fn after_a_loss_of_power_at_any_sync_the_acknowledged_is_there_and_nothing_by_halves() {
    for sync in 0.. {
        let disk = Disk::dying_at(sync);
        let dir = tempfile::tempdir().unwrap();
        let mut done = Acknowledged::default();
        let completed = open_on(&disk, dir.path()).and_then(|store| day(&store, &mut done));
        if !disk.is_dead() {
            assert!(completed.is_ok() && sync > 10);
            return;
        }
        for seed in 0..4 {
            let store = open_on(&disk.after_loss(seed), dir.path()).unwrap();
            check_whole(&store);
            check_acknowledged(&store, &done);
            while work_off(&store, 2).is_some() {}
            check_whole(&store);
        }
    }
}

#[test]
fn a_full_disk_is_said_so_and_leaves_the_store_usable() {
    let disk = Disk::default();
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&disk, dir.path()).unwrap();
    let home = key("u", "c");
    submit(&store, &home, b"first");
    let id = work_off(&store, 3).unwrap();
    disk.set_full(true);
    let refused = store.submit(vec![upload(&store, &home, &[7; 60_000])], QUEUE_MAX);
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    disk.set_full(false);
    assert_eq!(store.chunks(&home.owner, id, 0, 10).unwrap().items.len(), 3);
    submit(&store, &home, &[7; 60_000]);
    while work_off(&store, 1).is_some() {}
    assert_eq!(store.totals().unwrap().ready, 2);
    check_whole(&store);
}

#[test]
fn a_disk_that_fills_up_during_the_copy_costs_nothing_but_the_copy() {
    let disk = Disk::default();
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&disk, dir.path()).unwrap();
    let home = key("u", "c");
    submit(&store, &home, b"first");
    let id = work_off(&store, 3).unwrap();
    disk.set_full(true);
    assert!(matches!(store.copy(&mut |_| ()), Err(Error::Full)));
    assert_eq!(store.chunks(&home.owner, id, 0, 10).unwrap().items.len(), 3);
    disk.set_full(false);
    submit(&store, &home, b"second");
    store.copy(&mut |_| ()).unwrap();
    check_whole(&store);
    assert_eq!(store.totals().unwrap().documents, 2);
}

#[test]
fn what_shares_an_fsync_is_acknowledged_only_when_it_is_on_disk() {
    for syncs in [0, 1, 2, 5] {
        let disk = Disk::default();
        let dir = tempfile::tempdir().unwrap();
        let store = open_on(&disk, dir.path()).unwrap();
        disk.die_after(syncs);
        let client = |client: u8| {
            let taken = (0..20u8).map_while(|nth| {
                let new = upload(&store, &key("u", "c"), &[client, nth]);
                store.submit(vec![new], QUEUE_MAX).ok()
            });
            taken.map(|mut taken| taken.remove(0).document.id).collect::<Vec<_>>()
        };
        let clients = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|number| scope.spawn(move || client(number)));
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(disk.is_dead());
        for seed in 0..4 {
            let store = open_on(&disk.after_loss(seed), dir.path()).unwrap();
            check_whole(&store);
            for id in clients.iter().flatten() {
                assert!(store.document_any(*id).unwrap().is_some());
            }
        }
    }
}
