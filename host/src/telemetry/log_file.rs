//! A daily log file. Where it can't be written, its lines go elsewhere and somebody is told; where it was removed, it is begun
//! anew.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};

use super::seldom::Seldom;

/// Days of log files that are kept.
const FILES_MAX: usize = 14;
/// How often the file is looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is told that it can't be written.
const COMPLAINTS: Duration = Duration::from_secs(60);

pub(super) struct LogFile<S> {
    dir: PathBuf,
    name: &'static str,
    file: RollingFileAppender,
    looked: Instant,
    look: Duration,
    complaints: Seldom,
    spare: S,
}

fn appender(dir: &Path, name: &str) -> Result<RollingFileAppender, InitError> {
    let builder = RollingFileAppender::builder().rotation(Rotation::DAILY).max_log_files(FILES_MAX);
    builder.filename_prefix(name).filename_suffix("log").build(dir)
}

impl<S: Write> LogFile<S> {
    /// `<dir>/<name>.<day>.log`, and where lines go that can't be written there.
    ///
    /// # Errors
    /// It can't be created.
    pub(super) fn open(dir: &Path, name: &'static str, spare: S) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = appender(dir, name).map_err(io::Error::other)?;
        let (dir, looked) = (dir.to_owned(), Instant::now());
        Ok(Self { dir, name, file, looked, look: LOOK, complaints: Seldom::new(COMPLAINTS), spare })
    }

    /// As the appender names it.
    fn is_there(&self) -> bool {
        let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
        self.dir.join(format!("{}.{day}.log", self.name)).exists()
    }

    /// What is written to a file that was removed would be gone.
    fn renew(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < self.look {
            return Ok(());
        }
        if !self.is_there() {
            fs::create_dir_all(&self.dir)?;
            self.file = appender(&self.dir, self.name).map_err(io::Error::other)?;
        }
        self.looked = Instant::now();
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.complaints.is_due() {
            return;
        }
        let (name, dir) = (self.name, self.dir.display());
        let _ =
            writeln!(self.spare, "error: {name}.log in {dir} can't be written, its lines go here: {error}");
    }
}

impl<S: Write> Write for LogFile<S> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.renew().and_then(|()| self.file.write_all(line)) {
            Ok(()) => {
                if self.complaints.ends() {
                    let (name, dir) = (self.name, self.dir.display());
                    let _ = writeln!(self.spare, "{name}.log in {dir} is written again");
                }
            }
            Err(error) => {
                self.complain(&error);
                self.spare.write_all(line)?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(dir: &Path) -> String {
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn lines_go_elsewhere_while_the_directory_is_away_and_back_when_it_is_there() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("log");
        let mut log = LogFile { look: Duration::ZERO, ..LogFile::open(&dir, "daemon", Vec::new()).unwrap() };
        log.write_all(b"one\n").unwrap();
        assert_eq!(lines(&dir), "one\n");

        fs::remove_dir_all(&dir).unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!((lines(&dir).as_str(), log.spare.len()), ("two\n", 0), "it is begun anew");

        fs::remove_dir_all(&dir).unwrap();
        fs::write(&dir, "in the way").unwrap();
        log.write_all(b"three\n").unwrap();
        log.write_all(b"four\n").unwrap();
        let told = String::from_utf8(log.spare.clone()).unwrap();
        assert!(told.starts_with("error: daemon.log in ") && told.ends_with("\nthree\nfour\n"), "{told}");
        assert_eq!(told.lines().count(), 3, "told once: {told}");

        fs::remove_file(&dir).unwrap();
        log.write_all(b"five\n").unwrap();
        assert_eq!(lines(&dir), "five\n");
        assert!(log.spare.ends_with(b"is written again\n"));
    }
}
