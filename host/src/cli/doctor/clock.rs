//! The clock: entries are ordered and forgotten by it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};

use super::check::Check;
use crate::store::Store;

/// Before this the program did not exist.
const EARLIEST: Timestamp = Timestamp::constant(1_735_689_600, 0);
/// 2100: no clock of this machine is right any more.
const LATEST: Timestamp = Timestamp::constant(4_102_444_800, 0);
/// Clocks are corrected by so much without anybody's mistake.
const SLACK: SignedDuration = SignedDuration::from_mins(5);
/// Files may come from a machine in another time zone whose clock shows local time.
const SLACK_OF_FILES: SignedDuration = SignedDuration::from_hours(26);
/// systemd's own client leaves it there once it has reached a server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
const HINT: &str = "set the clock: `timedatectl set-ntp true`, or `date --set`";

pub(super) fn check(store: Option<&Store>) -> Check {
    let of_store = store.and_then(|store| store.newest().ok().flatten());
    let of_store = of_store.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let program = std::env::current_exe().and_then(|path| path.metadata()?.modified()).ok();
    judge(Timestamp::now(), of_store, program.and_then(timestamp), Path::new(SYNCHRONISED).exists())
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since: Duration = time.duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok()
}

fn judge(
    now: Timestamp,
    newest: Option<Timestamp>,
    program: Option<Timestamp>,
    is_synchronised: bool,
) -> Check {
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    if now < EARLIEST || now > LATEST {
        return Check::warn("clock", format!("it is {}, which can't be", shown(now)), HINT);
    }
    if let Some(newest) = newest.filter(|newest| now.duration_until(*newest) > SLACK) {
        let said = format!("it is {}, but the store has entries of {}", shown(now), shown(newest));
        let hint =
            format!("{HINT}; if it is right, it was wrong before, and those entries count as the newest");
        return Check::warn("clock", said, hint);
    }
    if let Some(program) = program.filter(|program| now.duration_until(*program) > SLACK_OF_FILES) {
        let said = format!("it is {}, but this program is of {}", shown(now), shown(program));
        return Check::warn("clock", said, HINT);
    }
    let how = if is_synchronised { ", synchronised" } else { "" };
    Check::ok("clock", format!("{}{how}", shown(now)))
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn absurd_years_are_noticed() {
        for now in ["1970-01-01T00:00:10Z", "2024-12-31T23:59:59Z", "2100-01-02T00:00:00Z"] {
            assert_eq!(judge(at(now), None, None, false).level, Level::Warn, "{now}");
        }
        assert_eq!(judge(at("2026-11-26T10:00:00Z"), None, None, false).detail, "2026-11-26 10:00 UTC");
    }

    #[test]
    fn a_clock_that_went_back_is_noticed() {
        let now = at("2026-11-26T10:00:00Z");
        let level = |newest| judge(now, Some(at(newest)), None, true).level;
        assert_eq!(level("2026-11-26T10:05:00Z"), Level::Ok);
        assert_eq!(level("2026-11-26T10:05:01Z"), Level::Warn);
        assert_eq!(level("2025-11-26T10:05:01Z"), Level::Ok);
    }

    #[test]
    fn a_clock_before_the_program_is_noticed() {
        let now = at("2026-11-26T10:00:00Z");
        let level = |program| judge(now, None, Some(at(program)), true).level;
        assert_eq!(level("2026-11-27T11:00:00Z"), Level::Ok);
        assert_eq!(level("2026-11-28T10:00:00Z"), Level::Warn);
    }
}
