//! How old the newest backup is.

use jiff::{SignedDuration, Timestamp};

use super::check::{Check, Level};
use super::machine;
use crate::config::{BackupConfig, Config};
use crate::store::{self, Backup};

/// Of `backup.schedule`, which names a time of day.
const INTERVAL: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn check(config: &Config) -> Check {
    // Without a backup the daemon runs all the same.
    let written =
        Check { stops_serve: false, ..machine::writable("backups", &config.backup.dir, "backup.dir") };
    if written.level != Level::Ok {
        return written;
    }
    match store::backups(&config.backup.dir) {
        Ok(all) => judge(&config.backup, &all, Timestamp::now()),
        Err(error) => Check::warn("backups", error.to_string(), "see backup.dir in the config"),
    }
}

/// How far clocks may differ.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// `all` is newest first.
fn judge(config: &BackupConfig, all: &[Backup], now: Timestamp) -> Check {
    let dir = config.dir.display();
    if let Some(ahead) = all.iter().find(|backup| backup.created_at > now + AHEAD_MAX) {
        let said = format!("{} in {dir} is dated in the future: the clock was wrong", ahead.name);
        return Check::warn("backups", said, "remove it once there is a newer one by the right clock");
    }
    let newest = all.iter().find(|backup| backup.manifest.is_ok());
    let damaged = all.iter().filter(|backup| backup.manifest.is_err()).count();
    let Some(newest) = newest else {
        let said = format!("none in {dir}");
        let hint = "`smartrag backup create` makes one";
        return match (&config.schedule, damaged) {
            (None, 0) => Check::ok("backups", format!("{said}, and no schedule")),
            (Some(at), 0) => Check::warn("backups", format!("{said} yet; one a day at {at}"), hint),
            (_, damaged) => {
                Check::warn("backups", format!("{said} can be used, {damaged} are damaged"), hint)
            }
        };
    };
    let age = now.duration_since(newest.created_at);
    let plan = match &config.schedule {
        Some(at) => format!("one a day at {at}"),
        None => "no schedule".to_owned(),
    };
    let said = format!("{} in {dir}, the newest {} old; {plan}", all.len(), shown(age));
    if config.schedule.is_some() && age > INTERVAL * 2 {
        let hint = "see `journalctl -u smartrag` for why none was made, or run `smartrag backup create`";
        return Check::warn("backups", said, hint);
    }
    if damaged > 0 {
        let hint = "`smartrag backup verify` says where; remove those that are damaged";
        return Check::warn("backups", format!("{said}, {damaged} are damaged"), hint);
    }
    Check::ok("backups", said)
}

fn shown(age: SignedDuration) -> String {
    match age.as_hours() {
        hours if hours >= 48 => format!("{} days", hours / 24),
        1.. => format!("{} h", age.as_hours()),
        _ => format!("{} min", age.as_mins().max(0)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn backup(created_at: Timestamp) -> Backup {
        let dir = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(dir.path()).unwrap();
        let around = crate::store::Surroundings::default();
        let made = store.backup(&dir.path().join("b"), &around, &mut |_| true).unwrap();
        Backup { created_at, ..made }
    }

    fn config(schedule: Option<&str>) -> BackupConfig {
        let config = Config::with_data_dir(Path::new("/d")).backup;
        BackupConfig { schedule: schedule.map(str::to_owned), ..config }
    }

    #[test]
    fn two_intervals_are_the_limit_where_there_is_a_schedule() {
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let made = [backup(now - SignedDuration::from_hours(48))];
        assert_eq!(judge(&config(Some("03:00")), &made, now).level, Level::Ok);
        let later = now + SignedDuration::from_mins(1);
        let late = judge(&config(Some("03:00")), &made, later);
        assert_eq!(late.level, Level::Warn);
        assert!(late.detail.contains("the newest 2 days old"), "{}", late.detail);
        assert_eq!(judge(&config(None), &made, later).level, Level::Ok);
        let before = now - SignedDuration::from_hours(72);
        let ahead = judge(&config(None), &made, before);
        assert!(ahead.level == Level::Warn && ahead.detail.contains("in the future"), "{}", ahead.detail);
    }

    #[test]
    fn a_directory_that_cant_be_written_fails_but_stops_no_start() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let mut config = Config::with_data_dir(root.path());
        config.backup.dir = root.path().join("file/backups");
        let found = check(&config);
        assert_eq!((found.level, found.stops_serve), (Level::Fail, false), "{}", found.detail);
    }

    #[test]
    fn none_is_a_warning_only_if_there_should_be_one() {
        let now = Timestamp::now();
        assert_eq!(judge(&config(Some("03:00")), &[], now).level, Level::Warn);
        let none = judge(&config(None), &[], now);
        assert_eq!((none.level, none.detail.contains("no schedule")), (Level::Ok, true));
    }

    #[test]
    fn damaged_ones_do_not_count() {
        let now = Timestamp::now();
        let broken = || Backup { manifest: Err("cut".into()), ..backup(now) };
        assert_eq!(judge(&config(None), &[broken()], now).level, Level::Warn);
        assert_eq!(judge(&config(None), &[backup(now), broken()], now).level, Level::Warn);
    }
}
