//! When the next backup is due.

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// After a failure the next try waits for so long.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// `HH:MM`.
pub(super) fn time_of_day(text: &str) -> Option<Time> {
    Time::strptime("%H:%M", text).ok()
}

/// When a backup is made next: at once where none was made since the last time on the schedule (the machine was off, or
/// there has never been one), else at the next one. `tried` is when the last try began, whatever came of it.
pub(super) fn next_run(
    now: &Zoned,
    at: Time,
    last: Option<Timestamp>,
    tried: Option<Timestamp>,
) -> Timestamp {
    let on_day = |days: i64| {
        let date = now.date().checked_add(days.days()).ok()?;
        Some(date.to_datetime(at).to_zoned(now.time_zone().clone()).ok()?.timestamp())
    };
    let present = now.timestamp();
    // One that a wrong clock dated in the future stands for none.
    let last = last.filter(|last| last.as_second() <= present.as_second());
    let moments: Vec<Timestamp> = [-1, 0, 1, 2].into_iter().filter_map(on_day).collect();
    let passed = moments.iter().rev().find(|moment| **moment <= present);
    // A backup of the same second, which its name and its time are cut to, counts.
    let is_due = passed.is_some_and(|passed| last.is_none_or(|last| last.as_second() < passed.as_second()));
    let due = match is_due {
        true => present,
        false => moments.iter().copied().find(|moment| *moment > present).unwrap_or(present + PATIENCE),
    };
    // A clock that was set back must not stop it for long.
    match tried.filter(|tried| *tried <= present) {
        Some(tried) => due.max(tried + PATIENCE),
        None => due,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};

    use super::*;

    fn zoned(text: &str) -> Zoned {
        // Two hours ahead of UTC.
        text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(TimeZone::fixed(Offset::constant(2))).unwrap()
    }

    fn next(now: &str, last: Option<&str>, tried: Option<&str>) -> String {
        let moment = |text: &str| zoned(text).timestamp();
        let at = time_of_day("03:00").unwrap();
        let due = next_run(&zoned(now), at, last.map(moment), tried.map(moment));
        due.to_zoned(TimeZone::fixed(Offset::constant(2))).datetime().to_string()
    }

    #[test]
    fn times_of_day_are_read() {
        assert_eq!(time_of_day("03:30"), Some(Time::constant(3, 30, 0, 0)));
        assert_eq!(time_of_day("25:00"), None);
    }

    #[test]
    fn it_is_made_every_day_in_local_time() {
        let monday = Some("2026-11-23T03:00:01");
        assert_eq!(next("2026-11-23T03:00:05", monday, monday), "2026-11-24T03:00:00");
        assert_eq!(next("2026-11-24T02:59:59", monday, monday), "2026-11-24T03:00:00");
        assert_eq!(next("2026-11-24T03:00:00", monday, monday), "2026-11-24T03:00:00");
        // One made by hand in the evening does not stand for that of the night.
        let evening = Some("2026-11-23T22:00:00");
        assert_eq!(next("2026-11-24T03:00:00", evening, None), "2026-11-24T03:00:00");
    }

    #[test]
    fn what_was_missed_is_made_up_for() {
        assert_eq!(next("2026-11-26T10:00:00", Some("2026-11-23T03:00:00"), None), "2026-11-26T10:00:00");
        assert_eq!(next("2026-11-26T10:00:00", None, None), "2026-11-26T10:00:00");
        assert_eq!(next("2026-11-26T10:00:00", Some("2026-11-26T03:00:00"), None), "2026-11-27T03:00:00");
        assert_eq!(next("2026-11-26T02:00:00", Some("2026-11-25T03:00:00"), None), "2026-11-26T03:00:00");
    }

    #[test]
    fn a_failure_is_tried_again_after_a_while() {
        let last = Some("2026-11-23T03:00:00");
        assert_eq!(next("2026-11-24T03:00:02", last, Some("2026-11-24T03:00:00")), "2026-11-24T04:00:00");
        assert_eq!(next("2026-11-24T04:00:00", last, Some("2026-11-24T03:00:00")), "2026-11-24T04:00:00");
        // The clock was set back.
        assert_eq!(next("2026-11-24T05:00:00", last, Some("2026-11-25T03:00:00")), "2026-11-24T05:00:00");
        assert_eq!(next("2026-11-24T05:00:00", Some("2027-11-24T03:00:00"), None), "2026-11-24T05:00:00");
    }

    #[test]
    fn days_of_23_and_25_hours_have_one_each() {
        // Where the clocks change, in a zone that needs no files of the system.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = time_of_day("02:30").unwrap();
        for (month, day) in [(3, 29), (10, 25)] {
            let mut now =
                jiff::civil::date(2026, month, day - 1).at(12, 0, 0, 0).to_zoned(zone.clone()).unwrap();
            let mut last = now.timestamp();
            let mut days = Vec::new();
            for _ in 0..3 {
                let due = next_run(&now, at, Some(last), None);
                days.push(due.to_zoned(zone.clone()).date().day());
                (now, last) = (due.to_zoned(zone.clone()), due);
            }
            assert_eq!(days, [day, day + 1, day + 2]);
        }
    }
}
