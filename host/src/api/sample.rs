//! Figures of the machine. Linux; `None` where the system does not tell.

use std::fs;
use std::path::Path;

/// Room on the file system of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Free for this user.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Room below a directory.
pub(super) fn room(dir: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Room { free_bytes: bytes(stat.f_bavail), total_bytes: bytes(stat.f_blocks) })
}

/// Memory that programs can still get, and all of it.
pub(super) fn machine_memory() -> Option<Room> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let (free, total) = (field_kib(&text, "MemAvailable:")?, field_kib(&text, "MemTotal:")?);
    Some(Room { free_bytes: free, total_bytes: total })
}

/// A line such as `MemTotal:   1234 kB`, in bytes.
fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(field_kib("MemFree: 1 kB\nMemTotal:\t    1234 kB\n", "MemTotal:"), Some(1234 * 1024));
        assert_eq!(field_kib("MemTotal: many kB", "MemTotal:"), None);
        let room = room(Path::new("/")).unwrap();
        assert!(room.free_bytes <= room.total_bytes && room.total_bytes > 0);
    }
}
