//! A line of the report.

use serde::Serialize;

use crate::cli::output;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// What was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    pub name: String,
    pub level: Level,
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether `serve` would not start, or lose something.
    #[serde(skip)]
    pub stops_serve: bool,
}

impl Check {
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        let (name, detail) = (name.to_owned(), detail.into());
        Self { name, level: Level::Ok, detail, hint: None, stops_serve: false }
    }

    pub fn warn(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warn, hint: Some(hint.into()), ..Self::ok(name, detail) }
    }

    /// Something that is needed is not there, though the daemon would start.
    pub fn fail(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::warn(name, detail, hint) }
    }

    /// The daemon would not start, or lose something.
    pub fn fatal(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { stops_serve: true, ..Self::fail(name, detail, hint) }
    }

    /// As it counts before a start: a daemon that would run is not kept from it.
    pub fn before_start(mut self) -> Self {
        if !self.stops_serve {
            self.level = self.level.min(Level::Warn);
        }
        self
    }
}

/// For `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub status: Level,
    pub checks: Vec<Check>,
}

impl Report {
    pub fn of(checks: Vec<Check>) -> Self {
        let status = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
        Self { status, checks }
    }
}

pub(super) fn render(Report { status, checks }: &Report) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        text.push_str(&format!("{mark}  {:<11}  {}\n", check.name, output::one_line(&check.detail)));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("                   -> {hint}\n"));
        }
    }
    let verdict = match status {
        Level::Ok => "everything is there",
        Level::Warn => "it works, with the warnings above",
        Level::Fail => "not everything that is needed is there",
    };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_lines_up_and_says_what_to_do() {
        let checks = vec![Check::ok("config", "fine"), Check::fail("permissions", "open", "close them")];
        assert_eq!(
            render(&Report::of(checks)),
            "ok    config       fine\n\
             FAIL  permissions  open\n                   -> close them\n\
             \nnot everything that is needed is there\n"
        );
    }

    #[test]
    fn before_a_start_only_that_counts_which_stops_it() {
        let level = |check: Check| check.before_start().level;
        assert_eq!(level(Check::fatal("store", "damaged", "restore")), Level::Fail);
        assert_eq!(level(Check::fail("model", "wrong", "fetch")), Level::Warn);
        assert_eq!(level(Check::ok("disk", "large")), Level::Ok);
    }
}
