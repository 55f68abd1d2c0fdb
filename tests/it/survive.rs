//! A hundred kills at random moments, and disks that do not do what they should.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PATIENCE, TestDaemon, data_dir, serve, wait};

/// Kills of one test. More can be asked for.
fn rounds() -> u64 {
    std::env::var("SMARTRAG_TEST_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100)
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What the daemon said, and what it was asked when it died.
#[derive(Default)]
struct Told {
    /// Acknowledged documents: id to the word that only they have.
    there: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    /// Deletions without an answer: either is right.
    in_doubt: BTreeSet<String>,
    next: u64,
}

const WORDS: [&str; 8] = ["heron", "pelican", "harbour", "engine", "lantern", "granite", "meadow", "violin"];

fn text(number: u64) -> String {
    let word = |at: u64| WORDS[(number.wrapping_mul(7).wrapping_add(at * 3) % 8) as usize];
    format!("Entry unique{number} speaks of a {}, a {} and a {}.", word(0), word(1), word(number % 5))
}

impl Told {
    /// Uploads some documents in one request; those that were answered are acknowledged.
    async fn upload(&mut self, daemon: &TestDaemon, count: u64) -> Option<()> {
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let line = |number: &u64| {
            format!("{}\n", json!({"text": text(*number), "filename": format!("{number}.txt")}))
        };
        let body: String = numbers.iter().map(line).collect();
        let request =
            daemon.request("POST", "/api/v1/documents/batch").header("content-type", "application/x-ndjson");
        let answer = request.body(body).send().await.ok()?.text().await.ok()?;
        for (line, number) in answer.lines().zip(numbers) {
            let line: Value = serde_json::from_str(line).ok()?;
            let id = line["document_id"].as_str()?.to_owned();
            self.there.insert(id, format!("unique{number}"));
        }
        Some(())
    }

    async fn delete(&mut self, daemon: &TestDaemon, nth: u64) -> Option<()> {
        let nth = nth as usize % self.there.len().max(1);
        let Some(id) = self.there.keys().nth(nth).cloned() else { return Some(()) };
        self.in_doubt.insert(id.clone());
        let answer = daemon.request("DELETE", &format!("/api/v1/documents/{id}")).send().await.ok()?;
        if answer.status().is_success() {
            self.in_doubt.remove(&id);
            self.there.remove(&id);
            self.gone.insert(id);
        }
        Some(())
    }

    /// Work until the daemon dies.
    async fn work(&mut self, daemon: &TestDaemon, random: &mut Random) {
        loop {
            let done = match random.below(12) {
                0 => daemon.request("POST", "/api/v1/admin/optimize").send().await.ok().map(drop),
                1 => daemon.request("POST", "/api/v1/admin/reindex").send().await.ok().map(drop),
                2..6 => self.delete(daemon, random.below(1000)).await,
                _ => self.upload(daemon, 1 + random.below(12)).await,
            };
            if done.is_none() {
                return;
            }
        }
    }
}

/// All documents, once none is under way any more: id to status.
async fn documents(daemon: &TestDaemon) -> BTreeMap<String, String> {
    let begun = Instant::now();
    loop {
        let (mut all, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = daemon.get(&format!("/api/v1/documents?limit=200{cursor}")).await.ok();
            for item in page["items"].as_array().unwrap() {
                let field = |name: &str| item[name].as_str().unwrap().to_owned();
                assert!(all.insert(field("document_id"), field("status")).is_none(), "listed twice: {item}");
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        if all.values().all(|status| status == "ready" || status == "failed") {
            return all;
        }
        assert!(begun.elapsed() < PATIENCE, "documents are stuck: {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ids and scores, best first.
async fn found(daemon: &TestDaemon, query: &str, mode: &str) -> Vec<(String, String)> {
    let body = json!({"query": query, "mode": mode, "top_k": 20, "fold": false});
    let hit = |hit: &Value| {
        (hit["chunk_id"].as_str().unwrap().to_owned(), format!("{:.3}", hit["score"].as_f64().unwrap()))
    };
    let mut hits: Vec<_> = daemon.search(&body).await.iter().map(hit).collect();
    // Equal scores come in the order of rows, which a rebuild keeps; the id of equals is of no interest here.
    hits.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    hits
}

async fn check(daemon: &TestDaemon, told: &mut Told) {
    let listed = documents(daemon).await;
    for id in std::mem::take(&mut told.in_doubt) {
        if !listed.contains_key(&id) {
            told.there.remove(&id);
            told.gone.insert(id);
        }
    }
    for (id, word) in &told.there {
        assert_eq!(listed.get(id).map(String::as_str), Some("ready"), "{word} was acknowledged");
    }
    for id in &told.gone {
        assert!(!listed.contains_key(id), "{id} was deleted");
    }
}

async fn check_searches(daemon: &TestDaemon, told: &Told) {
    for (id, word) in &told.there {
        let hits = found(daemon, word, "keyword").await;
        assert_eq!(hits.len(), 1, "{word}: {hits:?}");
        assert!(hits[0].0.starts_with(id.as_str()), "{word}: {hits:?}");
    }
    let queries = WORDS.iter().flat_map(|word| ["keyword", "vector"].map(|mode| (*word, mode)));
    let mut before = Vec::new();
    for (word, mode) in queries.clone() {
        before.push(found(daemon, word, mode).await);
    }
    daemon.post("/api/v1/admin/reindex", &json!({})).await.ok();
    for ((word, mode), before) in queries.zip(before) {
        let scores = |hits: &[(String, String)]| hits.iter().map(|hit| hit.1.clone()).collect::<Vec<_>>();
        let after = found(daemon, word, mode).await;
        assert_eq!(scores(&before), scores(&after), "{word} by {mode} after the indexes were built anew");
        for (chunk, _) in after {
            assert!(!told.gone.contains(chunk.split(':').next().unwrap()), "{chunk} was deleted");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_a_hundred_kills() {
    let mut random = Random(20);
    let mut told = Told::default();
    let mut daemon = TestDaemon::start();
    for round in 0..rounds() {
        let life = Duration::from_millis(20 + random.below(350));
        let pid = rustix::process::Pid::from_raw(daemon.pid() as i32).unwrap();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(life);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        told.work(&daemon, &mut random).await;
        killer.join().unwrap();
        daemon = TestDaemon::start_on(daemon.kill());
        // Now and then it ends in order, which leaves other files behind.
        if round % 10 == 9 {
            check(&daemon, &mut told).await;
        }
    }
    check(&daemon, &mut told).await;
    assert!(told.there.len() > 20 && told.gone.len() > 5, "too little happened");
    check_searches(&daemon, &told).await;
}

/// The library that shows a process another time.
fn faketime() -> Option<PathBuf> {
    let of_machine = std::fs::read_dir("/usr/lib").ok()?.flatten();
    of_machine.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_may_go_backwards() {
    let Some(faketime) = faketime() else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let mut random = Random(21);
    let mut told = Told::default();
    let mut data = data_dir();
    let mut years = BTreeSet::new();
    for offset in ["-100d", "+4000d", "-9000d", "-1d", "+1d"] {
        let environment = [
            ("LD_PRELOAD", faketime.as_os_str()),
            ("FAKETIME", offset.as_ref()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
        ];
        let daemon = TestDaemon::start_on_in(data, &environment);
        for _ in 0..4 {
            told.upload(&daemon, 3).await.unwrap();
            told.delete(&daemon, random.below(1000)).await.unwrap();
        }
        check(&daemon, &mut told).await;
        let listed = daemon.get("/api/v1/documents?limit=200").await.ok();
        years.extend(
            listed["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["upload_time"].as_str().unwrap()[..4].to_owned()),
        );
        data = daemon.kill();
    }
    assert!(years.len() > 2, "the clock was not off: {years:?}");
    let daemon = TestDaemon::start_on(data);
    check(&daemon, &mut told).await;
    check_searches(&daemon, &told).await;
}

/// What a daemon says that does not start, and that it ends with an error.
fn refusal(data: &Path) -> String {
    let mut child = serve(data).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success(), "{said}");
    said
}

#[tokio::test]
async fn a_second_daemon_on_the_same_data_is_refused() {
    let daemon = TestDaemon::start();
    daemon.add("one.txt", "A heron.").await;
    let said = refusal(daemon.data());
    assert!(said.contains("in use") || said.contains("another"), "{said}");
    assert_eq!(daemon.search(&json!({"query": "heron"})).await.len(), 1);
}

/// Whether this process may mount file systems; says so where not.
fn mount(options: &str, at: &Path) -> Option<Mount> {
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
    if mount.is_ok_and(|output| output.status.success()) {
        return Some(Mount(at.to_owned()));
    }
    eprintln!("SKIPPED: no right to mount a file system; run as root to test full and read-only disks");
    None
}

struct Mount(std::path::PathBuf);

impl Mount {
    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() {
    let data = data_dir();
    let aside = tempfile::tempdir().unwrap();
    copy(data.path(), aside.path());
    let used: u64 = walkdir::WalkDir::new(aside.path())
        .into_iter()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let size = format!("size={}", used + (40 << 20));
    let Some(mount) = mount(&size, data.path()) else { return };
    copy(aside.path(), data.path());
    let daemon = TestDaemon::start_on(data);
    let mut kept = Vec::new();
    let mut refused = 0;
    for number in 0..400 {
        let line =
            |line: u32| format!("Line {line} of text {number} is like no other: {}.\n", line * 7919 + number);
        let text: String = (0..8_000).map(line).collect();
        let body = json!({"filename": format!("{number}.txt"), "text": text});
        let answer = daemon.post("/api/v1/documents", &body).await;
        match answer.status {
            202 => kept.push(answer.json()["document_id"].as_str().unwrap().to_owned()),
            507 => refused += 1,
            429 => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => panic!("{}: {}", answer.status, answer.body),
        }
        if refused > 3 {
            break;
        }
    }
    assert!(refused > 0 && !kept.is_empty(), "{refused} refused, {} kept", kept.len());
    // Searches are answered all the while, and with room everything goes on.
    daemon.get("/api/v1/health").await.ok();
    daemon.post("/api/v1/search", &json!({"query": "line"})).await.ok();
    mount.remount("size=3g");
    let listed = documents(&daemon).await;
    for id in &kept {
        assert!(listed.contains_key(id), "an acknowledged document is gone");
    }
    assert_eq!(listed.len(), kept.len());
    let failed: Vec<_> = listed.iter().filter(|(_, status)| *status != "ready").collect();
    assert!(failed.is_empty(), "{failed:?}");
    daemon.add("after.txt", "A pelican after the flood.").await;
    assert_eq!(daemon.search(&json!({"query": "pelican", "mode": "keyword"})).await.len(), 1);
    drop(daemon);
    drop(mount);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory_is_refused_plainly() {
    let data = data_dir();
    let Some(mount) = mount("size=300m", data.path()) else { return };
    mount.remount("ro");
    let said = refusal(data.path());
    assert!(said.to_lowercase().contains("read-only") || said.contains("can't be written"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    drop(mount);
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => std::fs::create_dir_all(target).unwrap(),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
