//! From bytes to a document that searches find: sniff, parse, chunk, enrich, embed, index.
//!
//! Invariants: every stage is committed before the next begins; `Ready` is said only once a search finds the
//! document; `text[span] == chunk` always.

mod chunk;
mod sniff;

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::config::IngestConfig;
use crate::plugins::{Embedder, Plugins};
use crate::search::Search;
use crate::store::{self, Purged, StagedBlob, Store, Submitted};
use crate::types::*;

/// Why a file was refused at the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// `empty`, `executable`, `unsupported_type`, `too_large`, `invalid_value`.
    pub code: &'static str,
    /// For people; says what to do.
    pub detail: String,
}

/// A file at the door.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Upload {
    pub collection: CollectionKey,
    /// As the client sent it; directories are cut off here.
    pub filename: String,
    pub blob: StagedBlob,
    pub tags: Vec<String>,
    pub metadata: JsonMap,
}

/// A step of a document on its way.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DocumentEvent {
    pub owner: UserId,
    pub document: DocumentId,
    pub stage: Stage,
    /// 0 to 1.
    pub progress: f32,
}

/// What can go wrong outside of a single document.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Search(#[from] crate::search::Error),
}

/// The ingestion service. Cheap to clone.
#[derive(Clone)]
pub struct Ingest;

impl Ingest {
    /// Brings the indexes up to the journal, takes up unfinished jobs, starts the workers. Blocks until searches
    /// see all that was ready before.
    pub fn start(
        _store: Store,
        _search: Search,
        _plugins: Plugins,
        _embedder: Arc<dyn Embedder>,
        _config: IngestConfig,
    ) -> Result<Self, Error> {
        todo!()
    }

    /// Looks at each file and takes in those that are fit, in order, in one durable commit. Blocks.
    pub fn submit(&self, _uploads: Vec<Upload>) -> Result<Vec<Result<Submitted, Refused>>, Error> {
        todo!()
    }

    /// Waits until the document is final or gone (`None`).
    pub async fn wait(&self, _id: DocumentId) -> Result<Option<Document>, Error> {
        todo!()
    }

    /// Deletes a document of this owner; on return no search finds it. Blocks.
    pub fn delete(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<Purged>, Error> {
        todo!()
    }

    /// Queues a document of this owner anew. Blocks.
    pub fn reprocess(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<Document>, Error> {
        todo!()
    }

    /// Every step of every document from now on.
    pub fn events(&self) -> broadcast::Receiver<DocumentEvent> {
        todo!()
    }

    /// Ends the workers after the stage they are in; jobs go on at the next start. Blocks.
    pub fn shutdown(&self) {
        todo!()
    }
}
