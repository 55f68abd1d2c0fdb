//! Compiles the plugins once for all tests: each test's data directory begins with hard links to the result.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{serve, wait};

/// Puts the compiled plugins into `data/cache`.
pub fn warm(data: &Path) {
    let template = template();
    let target = data.join("cache");
    fs::create_dir_all(&target).unwrap();
    link(&template, &target);
}

/// The cache directory of a daemon that ran once on these very plugins.
fn template() -> PathBuf {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(shared).unwrap();
    let lock = File::create(shared.join("plugins.lock")).unwrap();
    lock.lock().unwrap();
    let cache = shared.join("plugins-cache");
    let stamp = stamp();
    if fs::read_to_string(cache.join("stamp")).ok().as_deref() != Some(stamp.as_str()) {
        let _ = fs::remove_dir_all(&cache);
        let data = tempfile::tempdir_in(shared).unwrap();
        let mut child = serve(data.path()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        assert!(
            line.contains("ready"),
            "the daemon did not start: are the plugins built (scripts/build-plugins.sh)?"
        );
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        wait(&mut child);
        fs::rename(data.path().join("cache"), &cache).unwrap();
        fs::write(cache.join("stamp"), stamp).unwrap();
    }
    cache
}

/// What the cache was made from: the program and the plugins, by time and size.
fn stamp() -> String {
    let plugins = Path::new(super::SMARTRAG).parent().unwrap().join("../plugins");
    let find = Command::new("find")
        .args([Path::new(super::SMARTRAG), &plugins])
        .args(["-type", "f", "-printf", "%p %s %T@\n"])
        .output()
        .unwrap();
    String::from_utf8(find.stdout).unwrap()
}

fn link(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
            link(&entry.path(), &target);
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
