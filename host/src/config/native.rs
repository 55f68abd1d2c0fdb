//! `plugins.native`: code that runs without a fence, so every value must be there and exact.

use super::check::Checker;
use super::raw::RawNative;
use super::*;

const NAME_CHARS_MAX: usize = 64;
const EXAMPLE: &str = "{role: embedder, path: /opt/example/lib.so, sha256: <64 hex digits>}";

impl Checker<'_> {
    /// Checks each entry; one that is wrong is left out.
    pub(super) fn natives(&mut self, raw: BTreeMap<String, RawNative>) -> BTreeMap<String, NativeConfig> {
        raw.into_iter().filter_map(|(name, raw)| Some((name.clone(), self.native(&name, raw)?))).collect()
    }

    fn native(&mut self, name: &str, raw: RawNative) -> Option<NativeConfig> {
        let key = format!("plugins.native.{name}");
        let is_name_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_name_char) {
            self.wrong(&key, "the name must be 1 to 64 lower-case letters, digits and hyphens");
        }
        // All three are judged, so that all is told at once.
        let role = self.native_role(&key, raw.role);
        let path = self.native_path(&key, raw.path);
        let sha256 = self.native_hash(&key, raw.sha256);
        Some(NativeConfig { role: role?, path: path?, sha256: sha256? })
    }

    fn native_role(&mut self, key: &str, role: Option<String>) -> Option<Role> {
        let role = self.given(key, "role", role)?;
        let known = Role::parse(&role).filter(|role| matches!(role, Role::Embedder | Role::Generator));
        if known.is_none() {
            self.wrong(&format!("{key}.role"), format!("expected embedder or generator, found {role:?}"));
        }
        known
    }

    fn native_path(&mut self, key: &str, path: Option<PathBuf>) -> Option<PathBuf> {
        let path = self.given(key, "path", path)?;
        if !path.is_absolute() {
            let found = path.display();
            self.wrong(&format!("{key}.path"), format!("must be absolute: write /…/{found}, found {found}"));
            return None;
        }
        Some(path)
    }

    fn native_hash(&mut self, key: &str, hash: Option<String>) -> Option<String> {
        let hash = self.given(key, "sha256", hash)?;
        self.hash(key, hash, "the library")
    }

    /// In lower case.
    pub(super) fn hash(&mut self, key: &str, hash: String, of: &str) -> Option<String> {
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let remedy = format!("expected 64 hexadecimal digits: write what `sha256sum` prints for {of}");
            self.wrong(&format!("{key}.sha256"), format!("{remedy}, found {hash:?}"));
            return None;
        }
        Some(hash.to_ascii_lowercase())
    }

    fn given<T>(&mut self, key: &str, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.wrong(key, format!("`{field}` is missing: write {EXAMPLE}"));
        }
        value
    }
}
