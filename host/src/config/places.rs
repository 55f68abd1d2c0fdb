use std::path::{Path, PathBuf};

use super::Config;

/// Where everything is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// Directories with `<name>/{plugin.toml, plugin.wasm}`, first wins.
    pub plugin_dirs: Vec<PathBuf>,
    /// Directories with model files, first wins.
    pub model_dirs: Vec<PathBuf>,
    /// `database/`.
    pub database_dir: PathBuf,
    /// `indexes/`.
    pub indexes_dir: PathBuf,
    /// `file_storage/`.
    pub file_storage_dir: PathBuf,
    /// `cache/`.
    pub cache_dir: PathBuf,
    /// `run/`.
    pub run_dir: PathBuf,
}

/// Where the daemon's own user reaches it.
pub fn socket(config: &Config) -> PathBuf {
    config.data_dir.join("run/smartrag.sock")
}

/// Where this process looks. Relative paths are taken from the directory it was started in.
pub fn places(config: &Config) -> Places {
    let exe = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
    let exe_dir = exe.parent().unwrap_or(Path::new("/usr/bin"));
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let here = Surroundings {
        exe_dir,
        plugins_dir: set("SMARTRAG_PLUGINS_DIR"),
        models_dir: set("SMARTRAG_MODELS_DIR"),
    };
    places_from(config, &here)
}

/// What [`places`] reads from the process.
struct Surroundings<'a> {
    exe_dir: &'a Path,
    plugins_dir: Option<PathBuf>,
    models_dir: Option<PathBuf>,
}

fn places_from(config: &Config, here: &Surroundings) -> Places {
    let below = |name: &str| config.data_dir.join(name);
    Places {
        plugin_dirs: plugin_dirs(config, here),
        model_dirs: model_dirs(config, here),
        database_dir: below("database"),
        indexes_dir: below("indexes"),
        file_storage_dir: below("file_storage"),
        cache_dir: below("cache"),
        run_dir: below("run"),
    }
}

/// The one directory of shipped plugins, then the operator's own. Where none exists the first candidate stands,
/// so that the error can name it.
fn plugin_dirs(config: &Config, here: &Surroundings) -> Vec<PathBuf> {
    let usual = || {
        let candidates = [
            here.exe_dir.join("../plugins"),
            here.exe_dir.join("../lib/smartrag/plugins"),
            PathBuf::from("/usr/lib/smartrag/plugins"),
        ];
        let found = candidates.iter().position(|dir| dir.is_dir()).unwrap_or(0);
        normal(&candidates[found])
    };
    let shipped = config.plugins.dir.clone().or_else(|| here.plugins_dir.clone()).unwrap_or_else(usual);
    std::iter::once(shipped).chain(config.plugins.extra_dirs.iter().cloned()).collect()
}

fn model_dirs(config: &Config, here: &Surroundings) -> Vec<PathBuf> {
    let usual = [
        here.exe_dir.join("../models"),
        here.exe_dir.join("../share/smartrag/models"),
        PathBuf::from("/usr/share/smartrag/models"),
        config.data_dir.join("models"),
    ];
    let named = config.models.dir.iter().chain(&here.models_dir).cloned();
    named.chain(usual.iter().map(|dir| normal(dir))).collect()
}

/// `a/b/../c` as `a/c`, for people to read. The path's parents hold no links: it stems from `canonicalize`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(exe_dir: &Path) -> Surroundings<'_> {
        Surroundings { exe_dir, plugins_dir: None, models_dir: None }
    }

    #[test]
    fn a_build_tree_has_its_plugins_beside_the_binary() {
        let root = tempfile::tempdir().unwrap();
        let exe_dir = root.path().join("target/release");
        std::fs::create_dir_all(&exe_dir).unwrap();
        let places = places_from(&Config::default(), &here(&exe_dir));
        assert_eq!(places.plugin_dirs, [root.path().join("target/plugins")]);
        std::fs::create_dir_all(root.path().join("target/lib/smartrag/plugins")).unwrap();
        let places = places_from(&Config::default(), &here(&exe_dir));
        assert_eq!(places.plugin_dirs, [root.path().join("target/lib/smartrag/plugins")]);
        assert_eq!(places.model_dirs[0], root.path().join("target/models"));
    }

    #[test]
    fn the_config_wins_over_the_environment() {
        let mut config = Config::default();
        config.plugins.extra_dirs = vec!["/mine".into()];
        config.models.dir = Some("/models".into());
        let mut here = here(Path::new("/usr/bin"));
        here.plugins_dir = Some("/env".into());
        here.models_dir = Some("/env-models".into());
        assert_eq!(places_from(&config, &here).plugin_dirs, [Path::new("/env"), Path::new("/mine")]);
        config.plugins.dir = Some("/set".into());
        let places = places_from(&config, &here);
        assert_eq!(places.plugin_dirs, [Path::new("/set"), Path::new("/mine")]);
        assert_eq!(places.model_dirs[..2], [Path::new("/models"), Path::new("/env-models")]);
    }
}
