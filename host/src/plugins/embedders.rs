use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Embedder;

/// The embedder in use, and those before it whose vectors are still searched. Cheap to clone.
#[derive(Clone)]
pub struct Embedders(Arc<Inner>);

struct Inner {
    main: Arc<dyn Embedder>,
    /// By fingerprint.
    former: RwLock<HashMap<String, Arc<dyn Embedder>>>,
}

impl Embedders {
    /// Only the one in use.
    pub fn new(main: Arc<dyn Embedder>) -> Self {
        Self(Arc::new(Inner { main, former: RwLock::default() }))
    }

    /// The one in use: it embeds new documents.
    pub fn main(&self) -> &Arc<dyn Embedder> {
        &self.0.main
    }

    /// The one whose vectors have this fingerprint, if it is at hand.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Option<Arc<dyn Embedder>> {
        if self.0.main.info().fingerprint == fingerprint {
            return Some(self.0.main.clone());
        }
        self.0.former.read().get(fingerprint).cloned()
    }

    /// Keeps a former one.
    pub fn keep(&self, embedder: Arc<dyn Embedder>) {
        self.0.former.write().insert(embedder.info().fingerprint, embedder);
    }

    /// Lets all former ones go.
    pub fn forget_former(&self) {
        self.0.former.write().clear();
    }
}
