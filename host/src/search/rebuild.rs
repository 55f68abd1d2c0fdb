//! The indexes of a collection built anew beside those that searches go on using. Each build has a directory of its own,
//! `<collection>.<build>`; a mark in it, made at the end, says that it counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::collection::{Collection, remove};
use super::{Error, Result, Search, Shared, Space, at};
use crate::types::*;

/// The file that says that a build is whole.
const WHOLE: &str = "whole";

/// The number of the build in use, of collections that were built anew; others have 0.
pub(super) type Builds = HashMap<CollectionId, u32>;

/// Where a build is. The first one needs no mark.
pub(super) fn path_of(directory: &Path, id: CollectionId, build: u32) -> PathBuf {
    if build == 0 { directory.join(id.to_string()) } else { directory.join(format!("{id}.{build}")) }
}

fn parse(name: &str) -> Option<(CollectionId, u32)> {
    let (id, build) = name.split_once('.').unwrap_or((name, "0"));
    Some((CollectionId(id.parse().ok()?), build.parse().ok()?))
}

/// The newest whole build of each collection; the others are removed.
pub(super) fn find_builds(directory: &Path) -> Result<Builds> {
    let found = directories(directory)?;
    let mut builds = newest(directory, &found);
    for (id, build) in found {
        if builds.get(&id) != Some(&build) {
            remove(&path_of(directory, id, build))?;
        }
    }
    builds.retain(|_, build| *build > 0);
    Ok(builds)
}

/// Every collection and build that has a directory.
pub(super) fn directories(directory: &Path) -> Result<Vec<(CollectionId, u32)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at(directory))? {
        found.extend(entry.map_err(at(directory))?.file_name().to_str().and_then(parse));
    }
    Ok(found)
}

/// The newest whole build of each collection.
pub(super) fn newest(directory: &Path, found: &[(CollectionId, u32)]) -> Builds {
    let is_whole = |(id, build): &&(CollectionId, u32)| {
        *build == 0 || path_of(directory, *id, *build).join(WHOLE).exists()
    };
    let mut builds = Builds::new();
    for (id, build) in found.iter().filter(is_whole) {
        let newest = builds.entry(*id).or_default();
        *newest = (*newest).max(*build);
    }
    builds
}

/// Removes all indexes below a directory, which need not be there. Each is taken out of use before it is taken apart, so
/// that after a kill none counts by halves.
pub fn forget_all(directory: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some((id, _)) = path.file_name().and_then(|name| parse(name.to_str()?)) else { continue };
        if !path.exists() {
            // It was in the way of another.
            continue;
        }
        // A build without its mark is removed at the next start.
        let unmarked = path_of(directory, id, u32::MAX);
        match std::fs::remove_file(path.join(WHOLE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if path != unmarked {
            if unmarked.exists() {
                std::fs::remove_dir_all(&unmarked)?;
            }
            std::fs::rename(&path, &unmarked)?;
        }
        std::fs::remove_dir_all(&unmarked)?;
    }
    Ok(())
}

/// Indexes that are being built. Dropping it gives them up.
pub struct Rebuild {
    shared: Arc<Shared>,
    id: CollectionId,
    build: u32,
    /// `None` once it is in use.
    collection: Option<Collection>,
}

impl Rebuild {
    /// As [`Search::apply`], to the new indexes.
    pub fn apply(&self, changes: &[Change], seq: u64) -> Result<()> {
        let Some(collection) = &self.collection else { return Ok(()) };
        collection.apply(changes, seq)?;
        collection.seal()
    }

    /// Puts the new indexes in the place of the present ones, in one step. Searches under way end on the old ones.
    pub fn finish(mut self) -> Result<()> {
        let shared = self.shared.clone();
        let _opening = shared.opening.lock();
        let path = path_of(&shared.directory, self.id, self.build);
        std::fs::File::create(path.join(WHOLE))?;
        let Some(collection) = self.collection.take() else { return Ok(()) };
        shared.collections.write().insert(self.id, Arc::new(collection));
        let former = shared.builds.lock().insert(self.id, self.build).unwrap_or(0);
        remove(&path_of(&shared.directory, self.id, former))
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        if let Some(collection) = self.collection.take() {
            drop(collection);
            // What is left is removed at the next start.
            let _ = remove(&path_of(&self.shared.directory, self.id, self.build));
        }
    }
}

impl Search {
    /// Begins to build the indexes of a collection anew, from nothing. One at a time of a collection.
    pub fn begin_rebuild(&self, id: CollectionId, space: Option<&Space>) -> Result<Rebuild> {
        let build = self.shared.builds.lock().get(&id).copied().unwrap_or(0);
        let build = build.checked_add(1).ok_or_else(|| Error::Index("no numbers left for builds".into()))?;
        let path = path_of(&self.shared.directory, id, build);
        remove(&path)?;
        let collection = Some(Collection::open(&path, space, self.shared.limits)?);
        Ok(Rebuild { shared: self.shared.clone(), id, build, collection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_indexes_are_gone_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let max = format!("2.{}", u32::MAX);
        for index in ["1", "2", "2.3", &max, "notes"] {
            std::fs::create_dir_all(dir.path().join(index).join("keyword")).unwrap();
        }
        std::fs::write(dir.path().join("2.3").join(WHOLE), "").unwrap();
        forget_all(dir.path()).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes"]);
        forget_all(&dir.path().join("nowhere")).unwrap();
    }
}
