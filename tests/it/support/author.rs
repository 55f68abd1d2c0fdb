//! The commands of a plugin's author.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::SMARTRAG;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The target directory that this test was built in, so that the standard library is not built anew.
pub fn target_dir() -> PathBuf {
    Path::new(SMARTRAG).ancestors().nth(2).unwrap().to_owned()
}

/// `smartrag plugin …` in a directory, not run yet.
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(SMARTRAG);
    command.arg("plugin").args(arguments).current_dir(dir);
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env_remove("SMARTRAG_CONFIG").env("CARGO_TARGET_DIR", target_dir());
    command
}

pub fn smartrag(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a command that succeeds says.
pub fn done(dir: &Path, arguments: &[&str]) -> String {
    ended(0, command(dir, arguments))
}

/// What a command that fails says.
pub fn failed(dir: &Path, arguments: &[&str]) -> String {
    ended(1, command(dir, arguments))
}

/// What a command says that ends with this exit code.
pub fn ended(code: i32, mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", said(&output));
    said(&output)
}

/// The JSON that a command prints which succeeds; what it says beside that is no matter.
pub fn json(dir: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = smartrag(dir, &[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

pub fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
