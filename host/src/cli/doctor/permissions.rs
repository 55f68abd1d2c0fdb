//! Who else of this machine can read or change what is the daemon's alone.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::check::Check;
use super::owners;
use crate::config::{self, Config, SecretSource};

/// Bits of `chmod` for users that are neither owner nor group.
const OTHERS: u32 = 0o007;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ENTER: u32 = 0o001;
/// What the daemon makes below the data directory; models are no secret.
pub(super) const PRIVATE: [&str; 6] = ["database", "file_storage", "indexes", "cache", "run", "backups"];
/// Words in the name of a setting that may hold a secret.
const SECRET_WORDS: [&str; 4] = ["api_key", "token", "password", "secret"];

pub(super) fn checks(config: &Config, file: Option<&Path>) -> Vec<Check> {
    let mut checks: Vec<Check> = data(&config.data_dir).into_iter().collect();
    checks.extend(config.log.dir.as_deref().and_then(logs));
    checks.extend(socket(&config::socket(config)));
    checks.extend(secret_files(config).filter_map(|file| secret(&file)));
    checks.extend(file.and_then(|file| config_file(config, file)));
    checks.extend(owners::check(&config.data_dir));
    if checks.is_empty() {
        let said = match config.data_dir.exists() {
            true => "data, socket and secrets are closed to other users",
            false => "nothing there yet: what the daemon creates is closed to other users",
        };
        checks.push(Check::ok("permissions", said));
    }
    checks
}

fn others(metadata: &Metadata) -> u32 {
    metadata.mode() & OTHERS
}

/// A closed directory closes what lies below it, whatever that says itself.
fn data(dir: &Path) -> Option<Check> {
    let open = others(&dir.metadata().ok()?);
    let shown = dir.display();
    let close = format!("chmod 700 {shown}");
    if open & OTHERS_WRITE != 0 {
        return Some(Check::warn(
            "permissions",
            format!("every user can add to and remove from {shown}"),
            close,
        ));
    }
    if open & OTHERS_ENTER == 0 {
        return None;
    }
    let first = PRIVATE.iter().find_map(|part| exposed(&dir.join(part)))?;
    let can = if first.is_writable { "change" } else { "read" };
    let said = format!("every user can {can} {}", first.path.display());
    Some(Check::warn("permissions", said, close))
}

/// They name users, documents and addresses.
fn logs(dir: &Path) -> Option<Check> {
    let file = exposed(dir)?.path;
    let said = format!("every user can read the log in {}", file.display());
    Some(Check::warn("permissions", said, format!("chmod -R o-rwx {}", dir.display())))
}

struct Exposed {
    path: PathBuf,
    is_writable: bool,
}

/// What others may do with a file; there is nothing to read in an empty one, such as a lock.
fn bits(file: &Metadata) -> u32 {
    let readable = if file.len() > 0 { OTHERS_READ } else { 0 };
    others(file) & (readable | OTHERS_WRITE)
}

/// The first file, by name, that others reach and may read or change.
fn exposed(part: &Path) -> Option<Exposed> {
    let enters = |entry: &walkdir::DirEntry| {
        !entry.file_type().is_dir() || entry.metadata().is_ok_and(|found| others(&found) & OTHERS_ENTER != 0)
    };
    let entries = WalkDir::new(part).sort_by_file_name().into_iter().filter_entry(enters).flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    let (bits, entry) = files
        .filter_map(|entry| Some((bits(&entry.metadata().ok()?), entry)))
        .find(|(bits, _)| *bits != 0)?;
    Some(Exposed { path: entry.into_path(), is_writable: bits & OTHERS_WRITE != 0 })
}

/// Whoever can write to it is an administrator.
fn socket(path: &Path) -> Option<Check> {
    let metadata = path.symlink_metadata().ok().filter(|found| found.file_type().is_socket())?;
    let is_closed = metadata.mode() & 0o777 == 0o600;
    let shown = path.display();
    (!is_closed).then(|| {
        let said = format!("{shown}, which makes administrators, is open to others than its owner");
        Check::warn("permissions", said, format!("chmod 600 {shown}"))
    })
}

fn secret_files(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let sources = config.plugins.grants.values().flat_map(|grant| grant.secrets.values());
    sources.filter_map(|source| match source {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Env(_) => None,
    })
}

fn secret(path: &Path) -> Option<Check> {
    let shown = path.display();
    let open = match path.metadata() {
        Ok(metadata) => others(&metadata),
        Err(error) => {
            let hint = "the daemon's user must be able to read it: `chown root:smartrag` and `chmod 640`";
            return Some(Check::warn("permissions", format!("the secret in {shown}: {error}"), hint));
        }
    };
    let said = || format!("every user can read or change the secret in {shown}");
    (open != 0).then(|| Check::warn("permissions", said(), format!("chmod o-rwx {shown}")))
}

/// Who can change it can grant anything; who can read it sees what should not stand there.
fn config_file(config: &Config, file: &Path) -> Option<Check> {
    let open = others(&file.metadata().ok()?);
    let shown = file.display();
    if open & OTHERS_WRITE != 0 {
        let said = format!("every user can change {shown}, and so what plugins may do");
        return Some(Check::warn("permissions", said, format!("chmod o-w {shown}")));
    }
    (open & OTHERS_READ != 0 && holds_secrets(config)).then(|| {
        let said = format!("every user can read {shown}, which seems to hold a secret");
        let hint =
            format!("name it as env: or file: under plugins.grants.NAME.secrets, or chmod o-r {shown}");
        Check::warn("permissions", said, hint)
    })
}

/// Settings that name where a secret is (`api_key_secret: api_key`) hold none.
fn holds_secrets(config: &Config) -> bool {
    let used = config.backends.named.values().map(|backend| &backend.plugin.settings);
    let settings = used.chain([&config.embedder.settings]).chain(config.plugins.settings.values());
    let is_secret = |key: &String| {
        SECRET_WORDS.iter().any(|word| key.to_lowercase().ends_with(word)) && !key.ends_with("_secret")
    };
    settings.flatten().any(|(key, value)| is_secret(key) && value.is_string())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::check::Level;
    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_log_that_everybody_reads_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("daemon.2026-11-27.log");
        fs::write(&file, "a line").unwrap();
        mode(dir.path(), 0o755);
        mode(&file, 0o644);
        assert!(logs(dir.path()).unwrap().detail.ends_with("daemon.2026-11-27.log"));
        mode(&file, 0o640);
        assert_eq!(logs(dir.path()), None);
    }

    fn data_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("database")).unwrap();
        let file = dir.path().join("database/smartrag.redb");
        fs::write(&file, "data").unwrap();
        mode(&file, 0o644);
        let lock = dir.path().join("database/lock");
        fs::write(&lock, "").unwrap();
        mode(&lock, 0o644);
        dir
    }

    #[test]
    fn a_closed_directory_closes_all() {
        let dir = data_dir();
        let database = dir.path().join("database");
        mode(dir.path(), 0o700);
        assert_eq!(data(dir.path()), None);
        mode(dir.path(), 0o755);
        mode(&database, 0o700);
        assert_eq!(data(dir.path()), None);
        mode(&database, 0o755);
        let open = data(dir.path()).unwrap();
        assert_eq!(open.level, Level::Warn);
        assert!(open.detail.contains("can read") && open.detail.contains("smartrag.redb"), "{}", open.detail);
        assert_eq!(open.hint.unwrap(), format!("chmod 700 {}", dir.path().display()));
    }

    #[test]
    fn what_others_can_change_is_said_so() {
        let dir = data_dir();
        mode(dir.path(), 0o755);
        mode(&dir.path().join("database"), 0o755);
        mode(&dir.path().join("database/smartrag.redb"), 0o666);
        assert!(data(dir.path()).unwrap().detail.contains("can change"));
        mode(dir.path(), 0o777);
        assert!(data(dir.path()).unwrap().detail.contains("can add to"));
    }

    #[test]
    fn sockets_and_secrets_are_for_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("smartrag.sock");
        assert_eq!(socket(&path), None);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        mode(&path, 0o666);
        assert!(socket(&path).unwrap().hint.unwrap().starts_with("chmod 600"));
        mode(&path, 0o600);
        assert_eq!(socket(&path), None);
        let key = dir.path().join("key");
        assert_eq!(secret(&key).unwrap().level, Level::Warn);
        fs::write(&key, "x").unwrap();
        mode(&key, 0o640);
        assert_eq!(secret(&key), None);
        mode(&key, 0o644);
        assert!(secret(&key).unwrap().hint.unwrap().starts_with("chmod o-rwx"));
    }

    #[test]
    fn a_config_that_others_read_is_a_matter_only_with_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        fs::write(&file, "").unwrap();
        let mut config = Config::with_data_dir(dir.path());
        mode(&file, 0o644);
        assert_eq!(config_file(&config, &file), None);
        config.embedder.settings.insert("api_key_secret".into(), "api_key".into());
        assert_eq!(config_file(&config, &file), None);
        config.embedder.settings.insert("api_key".into(), "sk-1".into());
        assert!(config_file(&config, &file).unwrap().detail.contains("hold a secret"));
        mode(&file, 0o640);
        assert_eq!(config_file(&config, &file), None);
        mode(&file, 0o666);
        assert!(config_file(&config, &file).unwrap().detail.contains("can change"));
    }
}
