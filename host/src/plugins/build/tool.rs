//! Runs the tools of other languages.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BuildError;

/// What a tool may say before it is cut.
const SAID_MAX: u64 = 1 << 20;

/// The first file of this name in the directories of PATH.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What a program says to one argument, if it ends well.
pub(super) fn answer(program: &Path, argument: impl AsRef<OsStr>) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Major and minor of the first version number in a text.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

/// Runs a tool to its end; `log` gets what it says, made readable. The error of its own is `failed`.
pub(super) fn run(
    mut command: Command,
    readable: impl Fn(&str) -> String,
    log: &mut dyn FnMut(&str),
    failed: BuildError,
) -> Result<(), BuildError> {
    let program = PathBuf::from(command.get_program());
    let lost = |source| BuildError::Run { program: program.clone(), source };
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(lost)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| stdout.map(all).unwrap_or_default());
        let stderr = stderr.map(all).unwrap_or_default();
        stdout.join().unwrap_or_default() + &stderr
    });
    let status = child.wait().map_err(lost)?;
    BufReader::new(readable(&said).as_bytes()).lines().map_while(Result::ok).for_each(|line| log(&line));
    if status.success() { Ok(()) } else { Err(failed) }
}

fn all(from: impl Read) -> String {
    let mut bytes = Vec::new();
    let mut from = from.take(SAID_MAX);
    // What was read until then is the better half of the story.
    let _ = from.read_to_end(&mut bytes);
    let _ = std::io::copy(from.get_mut(), &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say() {
        assert_eq!(version("componentize-py 0.25.1"), Some((0, 25)));
        assert_eq!(version("v20.20.2"), Some((20, 20)));
        assert_eq!(version("0.23.0"), Some((0, 23)));
        assert_eq!(version("no number, or 3"), None);
    }
}
