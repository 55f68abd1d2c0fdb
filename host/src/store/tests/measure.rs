use super::*;

#[test]
#[ignore]
fn throughput() {
    let (dir, store) = temporary();
    let home = key("u", "c");
    let n = 2000usize;
    let text = "Lorem ipsum dolor sit amet. ".repeat(40);
    let start = std::time::Instant::now();
    let rss = || {
        std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find(|l| l.starts_with("VmRSS"))
            .unwrap()
            .to_owned()
    };
    println!("{}", rss());
    let uploads: Vec<_> = (0..n).map(|i| upload(&store, &home, format!("{i} {text}").as_bytes())).collect();
    println!("staged {:?}", start.elapsed());
    let mut uploads = uploads.into_iter();
    loop {
        let batch: Vec<_> = uploads.by_ref().take(256).collect();
        if batch.is_empty() {
            break;
        }
        store.submit(batch, QUEUE_MAX).unwrap();
    }
    println!("submitted {:?}", start.elapsed());
    let (mut t_claim, mut t_adv, mut t_commit, mut t_ready) = Default::default();
    let mut timed = |slot: &mut std::time::Duration, f: &mut dyn FnMut()| {
        let s = std::time::Instant::now();
        f();
        *slot += s.elapsed();
    };
    loop {
        let mut batch = Vec::new();
        while batch.len() < 64 {
            let mut job = None;
            timed(&mut t_claim, &mut || job = store.claim().unwrap());
            let Some(job) = job else { break };
            let id = job.document.id;
            let chunks: Vec<_> = (0..2).map(|i| chunk(i, &text)).collect();
            let parsed = Parsed { text: text.clone(), ..Parsed::default() };
            let steps = [
                (Stage::Parsing, None),
                (Stage::Chunking, Some(Artefact::Parsed(parsed))),
                (Stage::Enriching, Some(Artefact::Chunks(chunks.clone()))),
                (
                    Stage::Embedding,
                    Some(Artefact::Enriched { chunks: chunks.clone(), document: JsonMap::new() }),
                ),
                (Stage::Indexing, Some(Artefact::Vectors(vec![0.5; 512]))),
            ];
            for (to, done) in steps {
                let mut done = Some(done);
                timed(&mut t_adv, &mut || store.advance(id, to, done.take().unwrap()).unwrap());
            }
            batch.push(Finished {
                document: job.document,
                text: text.clone(),
                chunks,
                vectors: vec![0.5; 512],
            });
        }
        if batch.is_empty() {
            break;
        }
        let ids: Vec<_> = batch.iter().map(|b| b.document.id).collect();
        let mut batch = Some(batch);
        timed(&mut t_commit, &mut || {
            store.commit(batch.take().unwrap(), Some(("e", 256))).unwrap();
        });
        timed(&mut t_ready, &mut || store.mark_ready(&ids).unwrap());
    }
    println!(
        "all {:?}: claim {t_claim:?} advance {t_adv:?} commit {t_commit:?} ready {t_ready:?}",
        start.elapsed()
    );
    println!("{} db {} MB", rss(), store.totals().unwrap().database_bytes >> 20);
    let (mut t_submit, mut t_rest) = Default::default();
    for i in 0..100u32 {
        timed(&mut t_submit, &mut || {
            submit(&store, &home, &i.to_le_bytes());
        });
        timed(&mut t_rest, &mut || {
            work_off_256(&store);
        });
    }
    println!("single: submit {:?} claim..ready {:?}", t_submit / 100, t_rest / 100);
    drop(store);
    let s = std::time::Instant::now();
    let _store = Store::open(dir.path()).unwrap();
    println!("open {:?} {}", s.elapsed(), rss());
}

fn work_off_256(store: &Store) {
    let job = store.claim().unwrap().unwrap();
    let id = job.document.id;
    store.advance(id, Stage::Parsing, None).unwrap();
    store
        .commit(
            vec![Finished {
                document: job.document,
                text: "x".into(),
                chunks: vec![chunk(0, "x")],
                vectors: vec![0.0; 256],
            }],
            Some(("e", 256)),
        )
        .unwrap();
    store.mark_ready(&[id]).unwrap();
}
