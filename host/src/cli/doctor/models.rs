//! Model files, which are known by their hash.

use std::fs::File;

use super::check::Check;
use super::plugins::needed;
use crate::cli::plugin::load_plugins;
use crate::config::Config;
use crate::plugins::{ModelFile, OTHER_HASH, sha256};
use crate::wire::{PluginModelFile, PluginRecord};

/// One that is not what it should be fails wherever it is; one that is missing only where it is needed.
pub(super) fn checks(config: &Config, installed: &[PluginRecord]) -> Vec<Check> {
    let needed = needed(config);
    let of = |plugin: &PluginRecord| {
        let is_needed = needed.contains(plugin.name.as_str());
        plugin.models.iter().map(|file| check(&plugin.name, file, is_needed)).collect::<Vec<_>>()
    };
    installed.iter().flat_map(of).collect()
}

fn check(plugin: &str, file: &PluginModelFile, is_needed: bool) -> Check {
    let name = format!("{} of {plugin}", file.name);
    let Some(problem) = file.problem.as_ref().filter(|_| !file.present) else {
        return Check::ok("model", name);
    };
    // The plugin host ends with what to do.
    let (problem, hint) = problem.rsplit_once("; ").unwrap_or((problem, "see `models.dir` in the config"));
    let said = format!("{name}: {problem}");
    match is_needed || problem.contains(OTHER_HASH) {
        true => Check::fail("model", said, hint),
        false => Check::warn("model", said, hint),
    }
}

/// Reads every file again: what was once found right is else not read twice.
pub(super) fn deep(config: &Config) -> Vec<Check> {
    // Whatever keeps plugins from being loaded was told before.
    let Ok((plugins, _scratch)) = load_plugins(config) else { return Vec::new() };
    let files = plugins.list().into_iter().flat_map(|plugin| plugin.models);
    files.filter_map(|file| read_again(&file)).collect()
}

fn read_again(file: &ModelFile) -> Option<Check> {
    let path = file.found.as_ref()?;
    let read = File::open(path).and_then(sha256);
    let (path, hint) = (path.display(), "bring it anew: `smartrag models check` names the command");
    match read {
        Ok(hash) if hash.to_string().eq_ignore_ascii_case(&file.sha256) => None,
        Ok(_) => Some(Check::fail("model", format!("{path} has {OTHER_HASH} than before"), hint)),
        Err(error) => Some(Check::fail("model", format!("{path}: {error}"), hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    fn file(problem: Option<&str>) -> PluginModelFile {
        let (name, sha256) = ("weights".into(), "cd".into());
        PluginModelFile { name, sha256, present: problem.is_none(), problem: problem.map(str::to_owned) }
    }

    #[test]
    fn a_missing_file_fails_only_where_it_is_needed() {
        let absent = file(Some("w.bin is in none of [\"/m\"]; bring it with `smartrag models fetch`"));
        let told = check("other", &absent, false);
        assert_eq!(told.level, Level::Warn);
        assert_eq!(told.detail, "weights of other: w.bin is in none of [\"/m\"]");
        assert_eq!(told.hint.as_deref(), Some("bring it with `smartrag models fetch`"));
        assert_eq!(check("other", &absent, true).level, Level::Fail);
        assert_eq!(check("other", &file(None), true).level, Level::Ok);
    }

    #[test]
    fn a_file_of_another_hash_fails_everywhere() {
        let wrong = file(Some(&format!("/m/w.bin has {OTHER_HASH}; bring it with `fetch`")));
        assert_eq!(check("other", &wrong, false).level, Level::Fail);
    }

    #[test]
    fn a_file_that_rotted_is_found_by_reading_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.bin");
        std::fs::write(&path, "abc").unwrap();
        let mut file = ModelFile {
            name: "weights".into(),
            path: "w.bin".into(),
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            found: Some(path.clone()),
            problem: None,
        };
        assert_eq!(read_again(&file), None);
        std::fs::write(&path, "abd").unwrap();
        assert_eq!(read_again(&file).unwrap().level, Level::Fail);
        file.found = None;
        assert_eq!(read_again(&file), None);
    }
}
