//! The machine: data directory, disk, memory.

use std::path::{Path, PathBuf};

use super::check::Check;
use crate::cli::output;
use crate::config::Config;

/// What the store itself leaves free: below it nothing can be taken in.
const DISK_FULL: u64 = 4 << 20;
const DISK_FAIL: u64 = 64 << 20;
const DISK_WARN: u64 = 1 << 30;
const MEMORY_WARN: u64 = 512 << 20;

pub(super) fn checks(config: &Config) -> Vec<Check> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let data_dir = writable("data_dir", &config.data_dir, "data_dir");
    vec![data_dir, disk(&config.data_dir), memory(available(&meminfo))]
}

/// Writes a file where the directory exists; else asks whether it could be made. Leaves nothing behind.
pub(super) fn writable(name: &str, dir: &Path, key: &str) -> Check {
    let shown = dir.display();
    let hint = format!("give the user that runs the daemon write access, or set {key}");
    if dir.is_dir() {
        return match tempfile::tempfile_in(dir) {
            Ok(_) => Check::ok(name, format!("{shown} is writable")),
            Err(error) => Check::fatal(name, format!("{shown} can't be written: {error}"), hint),
        };
    }
    let above = existing(dir);
    let may = rustix::fs::access(&above, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    match may {
        Ok(()) if above.is_dir() => Check::ok(name, format!("{shown} will be created")),
        _ => Check::fatal(name, format!("{shown} does not exist and can't be created"), hint),
    }
}

/// The nearest directory above that exists.
fn existing(dir: &Path) -> PathBuf {
    dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new(".")).to_owned()
}

fn disk(dir: &Path) -> Check {
    match rustix::fs::statvfs(existing(dir)) {
        Ok(stat) => disk_left(dir, stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => Check::warn("disk", format!("{}: {error}", dir.display()), "check the file system"),
    }
}

fn disk_left(dir: &Path, free: u64) -> Check {
    let said = format!("{} free for {}", output::size(free), dir.display());
    let hint = "free some space, or set data_dir to a larger disk";
    match free {
        ..DISK_FULL => Check::fatal("disk", said, hint),
        DISK_FULL..DISK_FAIL => Check::fail("disk", said, hint),
        DISK_FAIL..DISK_WARN => Check::warn("disk", said, hint),
        _ => Check::ok("disk", said),
    }
}

fn memory(available: Option<u64>) -> Check {
    match available {
        None => Check::warn("memory", "the system does not tell how much there is", "have 512 MiB free"),
        Some(bytes) => {
            let said = format!("{} available", output::size(bytes));
            if bytes < MEMORY_WARN {
                Check::warn("memory", said, "large documents may fail: lower ingest.workers, or add memory")
            } else {
                Check::ok("memory", said)
            }
        }
    }
}

/// Bytes that programs can still take, from `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    #[test]
    fn a_data_dir_that_is_not_there_yet_is_not_made() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let data_dir = |dir: &Path| writable("data_dir", dir, "data_dir");
        assert_eq!(data_dir(&dir).level, Level::Ok);
        assert!(!root.path().join("a").exists());
        std::fs::write(root.path().join("file"), "").unwrap();
        assert_eq!(data_dir(&root.path().join("file")).level, Level::Fail);
        assert_eq!(data_dir(&root.path().join("file/below")).level, Level::Fail);
    }

    #[test]
    fn thresholds() {
        let level = |free| disk_left(Path::new("/d"), free).level;
        assert_eq!([level(0), level(100 << 20), level(2 << 30)], [Level::Fail, Level::Warn, Level::Ok]);
        assert!(disk_left(Path::new("/d"), 1 << 20).stops_serve);
        assert!(!disk_left(Path::new("/d"), 32 << 20).stops_serve);
        assert_eq!(available("MemTotal: 1 kB\nMemAvailable:   4 kB\n"), Some(4096));
        assert_eq!(memory(Some(1)).level, Level::Warn);
        assert_eq!(memory(None).level, Level::Warn);
    }
}
