//! The indexes as they lie on disk, looked at without changing anything: for whoever asks while no daemon runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::keyword::KeywordIndex;
use super::rebuild::{directories, newest, path_of};
use super::vector::VectorWriter;
use super::{Result, Space};
use crate::types::*;

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// There is none yet.
    Missing,
    /// It can be read, and every checksum is right.
    Whole {
        /// The journal entry up to which it is complete.
        cursor: u64,
        /// Chunks that it holds.
        rows: u64,
    },
    /// It can't be read back, and why.
    Damaged(String),
}

impl Side {
    fn of(read: Result<Option<(u64, u64)>>) -> Self {
        match read {
            Ok(None) => Self::Missing,
            Ok(Some((cursor, rows))) => Self::Whole { cursor, rows },
            Err(error) => Self::Damaged(error.to_string()),
        }
    }

    /// The journal entry up to which it is complete.
    pub fn cursor(&self) -> u64 {
        match self {
            Self::Whole { cursor, .. } => *cursor,
            Self::Missing | Self::Damaged(_) => 0,
        }
    }
}

/// Both indexes of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Examined {
    pub keyword: Side,
    /// `None` where the collection has no vectors.
    pub vector: Option<Side>,
}

/// Reads the indexes of a collection, and compares every checksum. Blocks.
///
/// # Errors
/// The directory can't be read.
pub fn examine(directory: &Path, id: CollectionId, space: Option<&Space>) -> Result<Examined> {
    if !directory.exists() {
        return Ok(Examined { keyword: Side::Missing, vector: space.map(|_| Side::Missing) });
    }
    let build = newest(directory, &directories(directory)?).get(&id).copied().unwrap_or(0);
    let path = path_of(directory, id, build);
    let vector = |space: &Space| VectorWriter::examine(&path.join(space.directory()), space.dimension);
    Ok(Examined {
        keyword: Side::of(KeywordIndex::examine(&path.join("keyword"))),
        vector: space.map(|space| Side::of(vector(space))),
    })
}

/// Directories below that of the indexes which belong to none of these collections, or to a build that was never finished
/// or is no longer in use. Blocks.
///
/// # Errors
/// The directory can't be read.
pub fn leftovers(directory: &Path, known: &BTreeSet<CollectionId>) -> Result<Vec<PathBuf>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let found = directories(directory)?;
    let newest = newest(directory, &found);
    let is_left = |(id, build): &&(CollectionId, u32)| !known.contains(id) || newest.get(id) != Some(build);
    Ok(found.iter().filter(is_left).map(|(id, build)| path_of(directory, *id, *build)).collect())
}
