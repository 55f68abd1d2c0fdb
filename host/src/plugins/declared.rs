//! What installed plugins declare, without a look inside their components.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::info::ModelFile;
use super::load::{COMPONENT_FILE, MANIFEST_FILE, read_component_file};
use super::manifest::{Manifest, ModelDeclaration};
use super::models::{Models, Verifier};
use super::{Error, registry};
use crate::types::{PluginId, Role};

/// A model file and the plugin that declares it.
pub struct DeclaredModel {
    /// Name of the plugin.
    pub plugin: String,
    /// What its manifest says.
    pub declared: ModelDeclaration,
    /// Whether it is there.
    pub file: ModelFile,
}

/// The model files of all plugins in these directories; broken manifests are left out. Reads the files that are there.
pub fn declared_models(dirs: &[PathBuf], model_dirs: &[PathBuf]) -> Result<Vec<DeclaredModel>, Error> {
    let verifier = Arc::new(Verifier::new(None));
    let mut all = Vec::new();
    for Manifest { name, models, .. } in registry::find(dirs)?.values().filter_map(|dir| manifest(dir)) {
        let files = Models::new(models.clone(), model_dirs.into(), verifier.clone()).status();
        let both = models.into_iter().zip(files);
        all.extend(both.map(|(declared, file)| DeclaredModel { plugin: name.clone(), declared, file }));
    }
    Ok(all)
}

/// The names of all plugins in these directories, and their roles where the manifests tell them.
pub fn declared_names(dirs: &[PathBuf]) -> Result<BTreeMap<String, Option<Role>>, Error> {
    let role = |dir: &Path| Manifest::role_of(&std::fs::read_to_string(dir.join(MANIFEST_FILE)).ok()?);
    Ok(registry::find(dirs)?.into_iter().map(|(name, dir)| (name, role(&dir))).collect())
}

/// What stands in the directories, without a look inside their components; what is broken is left out.
pub fn installed(dirs: &[PathBuf]) -> Vec<(PluginId, Role)> {
    let read = |dir: PathBuf| {
        let (_, hash) = read_component_file(&dir.join(COMPONENT_FILE)).ok()?;
        let Manifest { name, version, role, .. } = manifest(&dir)?;
        Some((PluginId { name, version, sha256: hash.to_string() }, role))
    };
    registry::find(dirs).unwrap_or_default().into_values().filter_map(read).collect()
}

fn manifest(dir: &Path) -> Option<Manifest> {
    Manifest::parse(&std::fs::read_to_string(dir.join(MANIFEST_FILE)).ok()?).ok()
}
