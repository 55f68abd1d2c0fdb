//! The indexes: readable, of one state with the store, and nothing left over.

use std::collections::BTreeSet;

use super::check::Check;
use super::daemon::{Daemon, component};
use crate::cli::failure::remedy_of_search;
use crate::cli::output;
use crate::config::{self, Config};
use crate::search::{self, Examined, Side, Space};
use crate::store::{self, Collection, Store};
use crate::types::UserId;

/// Changes that a start waits for; an index that missed more is built in the background.
const BEHIND_MAX: usize = 4096;
const REBUILD: &str = "the daemon builds it anew at its next start; `smartrag reindex` does it now";

/// By the daemon's own word; without one by reading them.
pub(super) fn checks(config: &Config, daemon: &Daemon, store: Option<&Store>) -> Vec<Check> {
    match (daemon, store) {
        (Daemon::Running { health, .. }, _) => vec![
            component("keyword", &health.components.keyword_index),
            component("vector", &health.components.vector_index),
        ],
        (_, Some(store)) => read(config, store).unwrap_or_else(|error| vec![failed(&error)]),
        // A daemon that tells nothing, or a store that can't be read: both were told.
        (_, None) => Vec::new(),
    }
}

/// What can't be read can't be built anew either.
fn failed(error: &anyhow::Error) -> Check {
    match error.downcast_ref().and_then(remedy_of_search) {
        Some(hint) => Check::fatal("indexes", error.to_string(), hint),
        None => Check::warn("indexes", error.to_string(), REBUILD),
    }
}

fn read(config: &Config, store: &Store) -> anyhow::Result<Vec<Check>> {
    let dir = config::places(config).indexes_dir;
    let collections = store.collections(None)?;
    let last_seq = store.last_seq()?;
    let mut checks = Vec::new();
    for collection in &collections {
        let space = collection.embedder.clone().zip(collection.dimension);
        let space = space.map(|(fingerprint, dimension)| Space { fingerprint, dimension });
        let examined = search::examine(&dir, collection.id, space.as_ref())?;
        checks.extend(judge(store, collection, &examined, last_seq)?);
    }
    let known: BTreeSet<_> = collections.iter().map(|collection| collection.id).collect();
    let left: Vec<_> = search::leftovers(&dir, &known)?;
    if let Some(first) = left.first() {
        let said = format!("directories left over: {}, such as {}", left.len(), first.display());
        let hint = "remove what is still there after the daemon's next start";
        checks.push(Check::warn("indexes", said, hint));
    }
    if store.has_old_generations()? {
        let said =
            "vectors of a former embedder are still there: the daemon removes them after its next start";
        checks.push(Check::ok("indexes", said));
    }
    if checks.is_empty() {
        let chunks: u64 = collections.iter().map(|collection| collection.chunks).sum();
        let count = output::count(collections.len(), "collection");
        checks.push(Check::ok("indexes", format!("{chunks} chunks in {count}, as in the store")));
    }
    Ok(checks)
}

/// What there is to say of a collection; nothing if all is well.
fn judge(
    store: &Store,
    collection: &Collection,
    examined: &Examined,
    last_seq: u64,
) -> store::Result<Vec<Check>> {
    let sides = [("keyword", Some(&examined.keyword)), ("vector", examined.vector.as_ref())];
    let mut checks = Vec::new();
    for (which, side) in sides.into_iter().filter_map(|(which, side)| Some((which, side?))) {
        let behind = store.journal_part(collection.id, side.cursor(), BEHIND_MAX)?.len();
        checks.extend(judge_side(collection, which, side, (behind, last_seq)));
    }
    if let Some(next) = &collection.next {
        let done = format!("{} of {} documents", next.done, collection.documents);
        let said = format!("{}: being embedded anew, {done}", collection.key.name_for(&UserId::anonymous()));
        checks.push(Check::ok("indexes", said));
    }
    Ok(checks)
}

/// `behind` counts the changes that the index has not seen, up to a limit.
fn judge_side(
    collection: &Collection,
    which: &str,
    side: &Side,
    (behind, last_seq): (usize, u64),
) -> Option<Check> {
    let told =
        |said: String| format!("{}: the {which} index {said}", collection.key.name_for(&UserId::anonymous()));
    let rows = match side {
        Side::Damaged(error) => {
            return Some(Check::warn("indexes", told(format!("is damaged: {error}")), REBUILD));
        }
        Side::Missing => 0,
        Side::Whole { rows, .. } => *rows,
    };
    let cursor = side.cursor();
    if cursor > last_seq {
        let hint = "it may be of another database: `smartrag reindex`";
        return Some(Check::warn("indexes", told("is of a later state than the store".into()), hint));
    }
    if behind >= BEHIND_MAX || (cursor > 0 && cursor < collection.purged_seq) {
        return Some(Check::warn("indexes", told("missed too much".into()), REBUILD));
    }
    if behind > 0 {
        let said = format!("follows {behind} changes at the next start");
        return Some(Check::ok("indexes", told(said)));
    }
    // While another embedder takes over, new documents may have no vectors of the former one.
    let is_partial = which == "vector" && collection.next.is_some();
    (rows != collection.chunks && !is_partial).then(|| {
        let said = format!("has {rows} of {} chunks", collection.chunks);
        Check::warn("indexes", told(said), "`smartrag reindex` builds it anew")
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;
    use crate::types::{CollectionId, CollectionKey, CollectionName};

    fn collection() -> Collection {
        Collection {
            id: CollectionId(1),
            key: CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() },
            embedder: None,
            dimension: None,
            documents: 2,
            chunks: 10,
            last_seq: 7,
            purged_seq: 0,
            next: None,
        }
    }

    fn level(side: &Side, behind: usize) -> Option<Level> {
        judge_side(&collection(), "keyword", side, (behind, 9)).map(|check| check.level)
    }

    #[test]
    fn collections_of_users_are_told_apart() {
        let said = |owner| {
            let mut collection = collection();
            collection.key.owner = owner;
            judge_side(&collection, "vector", &Side::Missing, (0, 9)).unwrap().detail
        };
        let expected = "default: the vector index has 0 of 10 chunks";
        assert_eq!(said(UserId::anonymous()), expected);
        assert_eq!(said(UserId::new("ann").unwrap()), format!("ann/{expected}"));
    }

    #[test]
    fn what_agrees_with_the_store_needs_no_word() {
        assert_eq!(level(&Side::Whole { cursor: 7, rows: 10 }, 0), None);
        assert_eq!(level(&Side::Whole { cursor: 7, rows: 9 }, 0), Some(Level::Warn));
        assert_eq!(level(&Side::Missing, 0), Some(Level::Warn));
    }

    #[test]
    fn an_index_that_follows_is_fine_and_one_that_can_not_is_not() {
        assert_eq!(level(&Side::Whole { cursor: 5, rows: 8 }, 2), Some(Level::Ok));
        assert_eq!(level(&Side::Whole { cursor: 5, rows: 8 }, BEHIND_MAX), Some(Level::Warn));
        assert_eq!(level(&Side::Damaged("cut".into()), 2), Some(Level::Warn));
        let purged = Collection { purged_seq: 6, ..collection() };
        let told = judge_side(&purged, "vector", &Side::Whole { cursor: 5, rows: 8 }, (1, 9)).unwrap();
        assert_eq!(told.level, Level::Warn);
    }

    #[test]
    fn an_index_of_another_database_is_noticed() {
        let told =
            judge_side(&collection(), "vector", &Side::Whole { cursor: 10, rows: 10 }, (0, 9)).unwrap();
        assert!(told.detail.contains("later state"), "{}", told.detail);
    }
}
