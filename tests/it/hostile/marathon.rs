//! Ten thousand hostile calls against the same daemon, whose memory must come back.
//!
//! A call is a request of which a plugin is asked for a misdeed: a text to annotate, to embed or to answer, or a file to
//! read. Several callers send theirs one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::loading::change;
use super::{House, Neighbours};
use crate::support::Answer;

const CALLS: usize = 10_000;
/// The same calls, after which memory is looked at for the first time.
const WARM_UP: usize = 600;
const CALLERS: usize = 4;
/// How much more memory the daemon may have in the end.
const GROWTH: f64 = 1.10;

/// Role and misdeed, again and again.
const COURSE: &[(&str, &str)] = &[
    ("enricher", "panic"),
    ("enricher", "recurse"),
    ("embedder", "nan"),
    ("enricher", "output"),
    ("generator", "panic"),
    ("enricher", "wild-pointer"),
    ("enricher", "loop"),
    ("embedder", "panic"),
    ("enricher", "tiny"),
    ("enricher", "recurse-frames"),
    ("generator", "recurse"),
    ("embedder", "output"),
    ("enricher", "memory"),
    ("enricher", "not-json"),
    ("generator", "not-utf8"),
    ("embedder", "recurse"),
    ("enricher", "panic"),
    ("generator", "flood"),
    ("embedder", "wild-pointer"),
    ("enricher", "recurse"),
];
/// Now and then it is a file.
const FILES: &[&str] = &["panic", "recurse", "span-inside", "wild-pointer", "not-utf8"];
const A_FILE_EVERY: usize = 50;

pub async fn run(house: &House, neighbours: &Neighbours) {
    // So that an endless loop is over soon.
    change(house, "hostile-enricher", "deadline", "100ms");
    house.reload().await;
    let begun = Instant::now();
    calls(house, "warm-up", WARM_UP).await;
    let before = resident(house).await;
    calls(house, "marathon", CALLS).await;
    let after = resident(house).await;
    eprintln!(
        "{CALLS} hostile calls: {:.0} MiB before, {:.0} MiB after, {} s",
        before / 1024.0,
        after / 1024.0,
        begun.elapsed().as_secs()
    );
    assert!(after <= before * GROWTH, "memory grew from {before} to {after} KiB");
    neighbours.still_well("the marathon");
}

async fn calls(house: &House, name: &str, count: usize) {
    let next = AtomicUsize::new(0);
    let caller = || async {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            match at % A_FILE_EVERY {
                0 => file(house, name, at).await,
                _ => call(house, COURSE[at % COURSE.len()]).await,
            }
        }
    };
    futures_util::future::join_all((0..CALLERS).map(|_| caller())).await;
}

async fn file(house: &House, name: &str, at: usize) {
    let misdeed = FILES[at / A_FILE_EVERY % FILES.len()];
    let bytes = format!("parser!{misdeed} {name} {at}").into_bytes();
    let items = house.daemon.upload("", &[(&format!("{name}-{at}.hostile"), bytes)]).await;
    assert_eq!(items[0]["status"], "failed", "{}", items[0]);
}

/// One hostile call, and a harmless one behind it: five crashes in a row would be a quarantine.
async fn call(house: &House, (role, misdeed): (&str, &str)) {
    let text = format!("{role}!{misdeed}");
    let (hostile, harmless) = match role {
        "enricher" => (house.enrich(&text).await, house.enrich("harmless").await),
        "embedder" => (house.embed(&text).await, house.embed("harmless").await),
        _ => (house.ask(&text).await, house.ask("harmless").await),
    };
    // On a busy machine the little time of the enricher can be over before it was tried out.
    let late = |answer: &Answer| role == "enricher" && answer.body.contains("did not end within");
    assert!(matches!(hostile.status, 502 | 504) || late(&hostile), "{text}: {hostile:?}");
    assert!(harmless.status == 200 || late(&harmless), "after {text}: {harmless:?}");
}

/// Memory of the daemon in KiB once it has come to rest: the least of some looks, since pools and the neighbours' own
/// questions come and go.
async fn resident(house: &House) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", house.daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        least = line.split_whitespace().next().unwrap().parse::<f64>().unwrap().min(least);
    }
    least
}
