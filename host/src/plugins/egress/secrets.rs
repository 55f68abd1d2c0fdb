//! `{{secret:NAME}}` in header values. Read from the operator's place at each use and kept nowhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::Error;
use crate::config::SecretSource;

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// The secrets of one plugin: where they are, not what they are.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    plugin: String,
    sources: BTreeMap<String, SecretSource>,
}

/// A secret that a request carries, so that its answer can be cleaned of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Used {
    pub name: String,
    pub value: Vec<u8>,
}

impl Secrets {
    /// Those that the config gives a plugin.
    pub fn new(plugin: &str, sources: BTreeMap<String, SecretSource>) -> Self {
        Self { plugin: plugin.to_owned(), sources }
    }

    /// The value with its secrets put in; `used` learns of each. Nothing within a secret is replaced.
    pub fn fill(&self, value: &str, used: &mut Vec<Used>) -> Result<Vec<u8>, Error> {
        let mut filled = Vec::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let Some((name, after)) = behind.split_once(CLOSE) else { break };
            let secret = self.read(name)?;
            filled.extend_from_slice(before.as_bytes());
            filled.extend_from_slice(&secret);
            used.push(Used { name: name.to_owned(), value: secret });
            rest = after;
        }
        filled.extend_from_slice(rest.as_bytes());
        Ok(filled)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let key = |name: &str| format!("plugins.grants.{}.secrets", self.plugin) + "." + name;
        let Some(source) = self.sources.get(name) else {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(Error::Denied(format!(
                "secret `{name}` is not granted: `{}: env:VARIABLE` or `file:/path` in the config would grant it",
                key(&name)
            )));
        };
        let value = read(source)
            .map_err(|what| Error::Unavailable(format!("secret `{name}` ({}): {what}", key(name))))?;
        // Checked here, so that no message about a bad header has a reason to show it.
        if value.is_empty() || value.iter().any(|byte| byte.is_ascii_control()) {
            let what = "it must be one line, not empty and without control characters";
            return Err(Error::Unavailable(format!("secret `{name}` ({}): {what}", key(name))));
        }
        Ok(value)
    }
}

fn read(source: &SecretSource) -> Result<Vec<u8>, String> {
    match source {
        SecretSource::Env(variable) => match std::env::var_os(variable) {
            Some(value) => Ok(value.into_encoded_bytes()),
            None => Err(format!("the environment variable {variable} is not set")),
        },
        SecretSource::File(path) => {
            let unreadable = |error| format!("{} can't be read: {error}", path.display());
            let mut bytes = Vec::new();
            let file = File::open(path).map_err(unreadable)?;
            file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.len() as u64 > SECRET_BYTES_MAX {
                return Err(format!("{} has more than {SECRET_BYTES_MAX} bytes", path.display()));
            }
            let end = bytes.trim_ascii_end().len();
            bytes.truncate(end);
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(dir: &tempfile::TempDir) -> Secrets {
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            (name.to_owned(), SecretSource::File(dir.path().join(name)))
        };
        let absent = ("absent".to_owned(), SecretSource::Env("SMARTRAG_NO_SUCH_SECRET".into()));
        let sources = [
            file("key", "s3cret-key\n"),
            file("nested", "{{secret:key}}"),
            file("lines", "a\nb"),
            file("empty", "\n"),
            absent,
        ];
        Secrets::new("p", sources.into())
    }

    #[test]
    fn templates_are_filled() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = secrets(&dir);
        let table = [
            ("plain", "plain"),
            ("Bearer {{secret:key}}", "Bearer s3cret-key"),
            ("{{secret:key}}:{{secret:key}}!", "s3cret-key:s3cret-key!"),
            ("{{secret:nested}}", "{{secret:key}}"),
            ("{{secret:key", "{{secret:key"),
        ];
        for (value, expected) in table {
            let mut used = Vec::new();
            assert_eq!(secrets.fill(value, &mut used).unwrap(), expected.as_bytes());
            assert_eq!(used.len(), value.matches("}}").count());
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_shown() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = secrets(&dir);
        let error = |value: &str| secrets.fill(value, &mut Vec::new()).unwrap_err().to_string();
        assert!(error("{{secret:other}}").contains("`plugins.grants.p.secrets.other: env:VARIABLE`"));
        assert!(error("{{secret:absent}}").contains("SMARTRAG_NO_SUCH_SECRET is not set"));
        assert!(error("{{secret:lines}}").contains("one line"));
        assert!(error("{{secret:empty}}").contains("not empty"));
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }
}
