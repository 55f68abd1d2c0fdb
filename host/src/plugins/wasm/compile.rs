//! Compiling foreign code in a child process: whatever time and memory it needs, or however it ends, the daemon lives on.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::engine;
pub use crate::config::CompileLimits;

/// The subcommand of this program that is the child.
pub const SUBCOMMAND: &str = "compile-component";
/// What the child says of a component at most.
const COMPLAINT_MAX: u64 = 4 << 10;

/// The child: reads a component from standard input, writes its machine code to standard output.
///
/// # Errors
/// A sentence about the component or about the pipes.
pub fn compile_component(limits: CompileLimits) -> Result<(), String> {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Cpu, limits.cpu_seconds)
        .and_then(|()| limit(Resource::As, limits.memory_bytes))
        .and_then(|()| limit(Resource::Core, 0))
        .map_err(|error| format!("the limits could not be set: {error}"))?;
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let code = engine::bare()
        .and_then(|engine| engine.precompile_component(&bytes))
        .map_err(|error| format!("{error:#}"))?;
    io::stdout().write_all(&code).map_err(|error| error.to_string())
}

/// Has a child write the component's machine code to `output`; the error is a sentence.
pub fn compile(bytes: &[u8], output: &File, limits: CompileLimits) -> Result<(), String> {
    // The engine would take text, too.
    if !bytes.starts_with(b"\0asm") {
        return Err("it is not WebAssembly".into());
    }
    if cfg!(any(test, feature = "fuzz")) {
        return here(bytes, output);
    }
    let (mut child, mut complaint) = spawn(bytes, output, limits).map_err(|error| {
        format!("the compiler did not start: {error}; check that the program and its temporary directory are there")
    })?;
    let status = wait(&mut child, Duration::from_secs(limits.cpu_seconds * 2));
    let status = status.map_err(|error| format!("the compiler was lost: {error}"))?;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let mut said = String::new();
    let read = complaint.rewind().and_then(|()| complaint.take(COMPLAINT_MAX).read_to_string(&mut said));
    Err(reason(status, limits, if read.is_ok() { said.trim() } else { "" }))
}

/// Unit tests and fuzz targets are not the program that could be its own child.
fn here(bytes: &[u8], mut output: &File) -> Result<(), String> {
    let code = engine::bare().and_then(|engine| engine.precompile_component(bytes));
    let code = code.map_err(|error| format!("{error:#}"))?;
    output.write_all(&code).map_err(|error| error.to_string())
}

fn spawn(bytes: &[u8], output: &File, limits: CompileLimits) -> io::Result<(Child, File)> {
    let mut input = tempfile::tempfile()?;
    input.write_all(bytes)?;
    input.rewind()?;
    let complaint = tempfile::tempfile()?;
    // This very program, even where its file was replaced meanwhile.
    let child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .args(["--cpu-seconds", &limits.cpu_seconds.to_string()])
        .args(["--memory-bytes", &limits.memory_bytes.to_string()])
        .env_clear()
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(complaint.try_clone()?))
        .spawn()?;
    Ok((child, complaint))
}

/// `None` if it did not end in time; then it was killed.
fn wait(child: &mut Child, most: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn reason(status: Option<ExitStatus>, limits: CompileLimits, said: &str) -> String {
    let signal = status.and_then(|status| status.signal()).and_then(Signal::from_named_raw);
    match (status, signal) {
        (None, _) | (_, Some(Signal::XCPU | Signal::KILL)) => format!(
            "it takes more than {} s to compile, so it is refused: ask its author for a smaller one, or raise \
             plugins.compile.cpu_max",
            limits.cpu_seconds
        ),
        (_, Some(_)) => format!(
            "the compiler broke off ({}): it may need more than {} MiB of memory, see plugins.compile.memory_max",
            if said.is_empty() { "without a word" } else { said },
            limits.memory_bytes >> 20
        ),
        _ => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let limits = CompileLimits { cpu_seconds: 7, memory_bytes: 64 << 20 };
        let signalled = |signal: Signal| Some(ExitStatus::from_raw(signal.as_raw()));
        assert!(reason(signalled(Signal::XCPU), limits, "").contains("more than 7 s"));
        assert!(reason(None, limits, "").contains("more than 7 s"));
        assert!(reason(signalled(Signal::ABORT), limits, "no memory").contains("(no memory)"));
        assert_eq!(reason(Some(ExitStatus::from_raw(1 << 8)), limits, "not valid"), "not valid");
    }

    #[test]
    fn a_child_that_does_not_end_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(&mut child, Duration::from_millis(20)).unwrap().is_none());
        assert!(child.try_wait().unwrap().is_some());
    }
}
