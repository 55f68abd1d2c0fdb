use super::*;

fn parsed() -> Artefact {
    Artefact::Parsed(Parsed { text: "text".into(), ..Parsed::default() })
}

#[test]
fn a_killed_job_goes_on_at_the_stage_whose_inputs_are_stored() {
    let (dir, store) = temporary();
    submit(&store, &key("u", "c"), b"bytes");
    let job = store.claim().unwrap().unwrap();
    let id = job.document.id;
    assert_eq!((job.stage, job.attempts), (Stage::Queued, 0));

    let chunks = Artefact::Chunks(vec![chunk(0, "text")]);
    let enriched = Artefact::Enriched { chunks: vec![chunk(0, "text")], document: JsonMap::new() };
    let vectors = Artefact::Vectors(vec![0.5, 1.5]);
    let steps = [
        (Stage::Parsing, None, Stage::Queued),
        (Stage::Chunking, Some(parsed()), Stage::Chunking),
        (Stage::Enriching, Some(chunks), Stage::Enriching),
        (Stage::Embedding, Some(enriched), Stage::Embedding),
        // Only a committed document says `Indexing`.
        (Stage::Indexing, Some(vectors), Stage::Embedding),
    ];
    let mut kept = Vec::new();
    for (to, done, resumed) in steps {
        kept.extend(done.clone());
        store.advance(id, to, done).unwrap();
        assert_eq!(store.document_any(id).unwrap().unwrap().status, to);
        let (_copy, again) = killed(dir.path());
        let job = again.claim().unwrap().unwrap();
        assert_eq!((job.document.id, job.stage, job.attempts), (id, resumed, 1));
        assert_eq!(again.artefacts(id).unwrap(), kept);
        assert!(again.claim().unwrap().is_none());
    }

    store.commit(&[finished(&job.document, 1)], EMBEDDER).unwrap();
    let (_copy, again) = killed(dir.path());
    let job = again.claim().unwrap().unwrap();
    assert_eq!((job.stage, job.document.status), (Stage::Indexing, Stage::Indexing));
    again.mark_ready(&[id]).unwrap();
    assert!(again.claim().unwrap().is_none());
    assert_eq!(again.document_any(id).unwrap().unwrap().status, Stage::Ready);
    assert!(again.artefacts(id).unwrap().is_empty());
}

#[test]
fn a_document_that_kills_the_process_is_counted_and_one_given_back_is_not() {
    let (mut dir, mut store) = temporary();
    submit(&store, &key("u", "c"), b"bytes");
    for attempts in 0..4 {
        let job = store.claim().unwrap().unwrap();
        assert_eq!(job.attempts, attempts);
        store.release(job.document.id);
        let job = store.claim().unwrap().unwrap();
        assert_eq!(job.attempts, attempts);
        store.advance(job.document.id, Stage::Parsing, None).unwrap();
        (dir, store) = killed(dir.path());
    }
    let job = store.claim().unwrap().unwrap();
    store.fail(job.document.id, failure()).unwrap();
    store.reprocess(&user("u"), job.document.id).unwrap();
    assert_eq!(store.claim().unwrap().unwrap().attempts, 0);
}

#[test]
fn a_torn_tail_of_the_scratch_file_costs_one_step() {
    let (dir, store) = temporary();
    submit(&store, &key("u", "c"), b"bytes");
    let id = store.claim().unwrap().unwrap().document.id;
    store.advance(id, Stage::Parsing, None).unwrap();
    store.advance(id, Stage::Chunking, Some(parsed())).unwrap();
    store.advance(id, Stage::Enriching, Some(Artefact::Chunks(vec![chunk(0, "x")]))).unwrap();
    let log = dir.path().join("cache/stages-00000000.log");
    let len = std::fs::metadata(&log).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(len - 3).unwrap();
    let (_copy, again) = killed(dir.path());
    assert_eq!(again.claim().unwrap().unwrap().stage, Stage::Chunking);
    assert_eq!(again.artefacts(id).unwrap(), vec![parsed()]);
    // What is written over the torn tail is found again.
    again.advance(id, Stage::Enriching, Some(Artefact::Chunks(vec![]))).unwrap();
    let (_copy, again) = killed(_copy.path());
    assert_eq!(again.claim().unwrap().unwrap().stage, Stage::Enriching);
}

#[test]
fn jobs_come_oldest_first_and_never_twice() {
    let (_dir, store) = temporary();
    let home = key("u", "c");
    let ids: Vec<_> = (0..4u8).map(|byte| submit(&store, &home, &[byte]).document.id).collect();
    let claim = || store.claim().unwrap().map(|job| job.document.id);
    assert_eq!((claim(), claim()), (Some(ids[0]), Some(ids[1])));
    store.release(ids[0]);
    assert_eq!((claim(), claim()), (Some(ids[0]), Some(ids[2])));
    assert_eq!(store.delete(&home.owner, &ids[3..4]).unwrap().len(), 1);
    assert_eq!(claim(), None);
    assert!(matches!(store.advance(ids[3], Stage::Parsing, None), Err(Error::NotFound)));
    let gone = Document { id: ids[3], ..store.document_any(ids[0]).unwrap().unwrap() };
    assert!(store.commit(&[finished(&gone, 1)], EMBEDDER).unwrap().is_empty());
    store.fail(ids[3], failure()).unwrap();
    assert!(store.document_any(ids[3]).unwrap().is_none());
}

#[test]
fn owners_take_turns() {
    let (dir, store) = temporary();
    let (bulk, other) = (key("u", "c"), key("v", "c"));
    let pile: Vec<_> = (0..6u8).map(|byte| submit(&store, &bulk, &[byte]).document.id).collect();
    let claim = |store: &Store| store.claim().unwrap().map(|job| job.document.id);
    assert_eq!(claim(&store), Some(pile[0]));
    let few: Vec<_> = (0..2u8).map(|byte| submit(&store, &other, &[byte]).document.id).collect();
    let third = submit(&store, &key("w", "c"), b"0").document.id;
    assert_eq!((claim(&store), claim(&store)), (Some(few[0]), Some(third)));
    store.release(few[0]);
    assert_eq!((claim(&store), claim(&store)), (Some(pile[1]), Some(few[0])));
    store.delete(&bulk.owner, &pile[2..3]).unwrap();
    assert_eq!((claim(&store), claim(&store), claim(&store)), (Some(pile[3]), Some(few[1]), Some(pile[4])));
    // The same from what a dead process left.
    let (_copy, again) = killed(dir.path());
    let turns = [pile[0], few[0], third, pile[1], few[1], pile[3], pile[4], pile[5]];
    assert_eq!(turns.map(|_| claim(&again)), turns.map(Some));
    assert_eq!(claim(&again), None);
}

#[test]
fn the_end_of_a_job_leaves_its_successor_to_whoever_has_it() {
    let (_dir, store) = temporary();
    let home = key("u", "c");
    let id = submit(&store, &home, b"bytes").document.id;
    work_off(&store, 1);
    store.reprocess(&home.owner, id).unwrap();
    assert!(store.claim().unwrap().is_some());
    // As the call before would if it came late.
    store.forget_jobs(&[id]);
    assert!(store.is_claimed(id));
    store.fail(id, failure()).unwrap();
    assert!(!store.is_claimed(id));
}

#[test]
fn a_document_queued_anew_keeps_its_chunks_until_others_replace_them() {
    let (_dir, store) = temporary();
    let home = key("u", "c");
    let owner = &home.owner;
    let id = submit(&store, &home, b"bytes").document.id;
    work_off(&store, 3);
    assert_eq!(store.reprocess(owner, id).unwrap().unwrap().status, Stage::Queued);
    assert_eq!(store.chunks(owner, id, 0, 10).unwrap().items.len(), 3);
    let job = store.claim().unwrap().unwrap();
    // A second wish changes nothing: the work is under way.
    store.reprocess(owner, id).unwrap().unwrap();
    assert!(store.claim().unwrap().is_none());
    store.fail(id, failure()).unwrap();
    assert_eq!(store.chunks(owner, id, 0, 10).unwrap().items.len(), 3);
    assert_eq!(store.document(owner, id).unwrap().unwrap().error, Some(failure()));
    store.reprocess(owner, id).unwrap().unwrap();
    let entries = store.commit(&[finished(&job.document, 2)], EMBEDDER).unwrap();
    // Asked for between commit and indexing: the old work ends, the new job stays.
    store.reprocess(owner, id).unwrap().unwrap();
    store.mark_ready(&[id]).unwrap();
    assert_eq!(store.document(owner, id).unwrap().unwrap().status, Stage::Queued);
    let collection = store.collection(&home).unwrap().unwrap();
    assert_eq!((collection.documents, collection.chunks), (1, 2));
    let entries: Vec<_> = entries.into_iter().map(|committed| committed.entry).collect();
    assert_eq!(store.journal(collection.id, 0).unwrap(), entries);
    crash::check_whole(&store);
}

#[test]
fn a_full_queue_takes_nothing() {
    let (_dir, store) = temporary();
    let home = key("u", "c");
    submit(&store, &home, b"0");
    let uploads =
        || vec![upload(&store, &home, b"0"), upload(&store, &home, b"1"), upload(&store, &home, b"2")];
    assert!(matches!(store.submit(uploads(), 2), Err(Error::QueueFull(2))));
    assert_eq!(store.totals().unwrap().documents, 1);
    assert_eq!(store.submit(uploads(), 3).unwrap().len(), 3);
}

#[test]
fn a_pile_leaves_others_their_room_in_the_queue() {
    let (_dir, store) = temporary();
    let (bulk, other) = (key("u", "c"), key("v", "c"));
    let upload_all = |home: &CollectionKey, from: u16| {
        let one = |number: &u16| vec![upload(&store, home, &number.to_le_bytes())];
        let fits = |number: &u16| match store.submit(one(number), 200) {
            Ok(_) => true,
            Err(Error::QueueFull(_)) => false,
            Err(error) => panic!("{error}"),
        };
        (from..from + 200).take_while(fits).count()
    };
    assert_eq!((upload_all(&bulk, 0), upload_all(&bulk, 1000)), (160, 0));
    assert_eq!((upload_all(&other, 0), upload_all(&key("w", "c"), 0)), (32, 7));
    assert!(matches!(store.submit(vec![upload(&store, &bulk, b"more")], 200), Err(Error::QueueFull(160))));
    // Those that are worked on are out of the way of what their owner adds.
    for _ in 0..90 {
        let id = store.claim().unwrap().unwrap().document.id;
        store.fail(id, failure()).unwrap();
    }
    assert!(upload_all(&bulk, 1000) > 0);
}

#[test]
fn vectors_that_do_not_fit_the_chunks_are_refused() {
    let (_dir, store) = temporary();
    let document = submit(&store, &key("u", "c"), b"0").document;
    let short = Finished { vectors: vec![1.0], ..finished(&document, 1) };
    assert!(matches!(store.commit(&[short], EMBEDDER), Err(Error::Conflict(_))));
    let without = Finished { vectors: Vec::new(), ..finished(&document, 1) };
    store.commit(&[without], None).unwrap();
    assert!(store.index_document(document.id).unwrap().unwrap().vectors.is_empty());
}
