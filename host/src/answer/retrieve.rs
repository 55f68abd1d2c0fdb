//! From a query to passages.

use std::sync::Arc;
use std::time::Instant;

use super::{Core, Error, Result, SearchRequest, SearchResult, SimilarDocument, Timings};
use crate::plugins::Purpose;
use crate::search::{self, Outcome};
use crate::store::Collection;
use crate::telemetry::metrics;
use crate::text::nfc;
use crate::types::*;

/// Passages that a reranker looks at, at most.
const RERANK_MAX: usize = 50;
/// The reranker of a request that asks for one when the config names none.
const DEFAULT_RERANKER: &str = "lexical";

/// Notes how long the stages of a request take.
pub(super) struct Clock {
    begun: Instant,
    last: Instant,
    pub(super) timings: Timings,
}

impl Clock {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, timings: Timings::new() }
    }

    /// The time since the last lap belongs to `stage`.
    pub(super) fn lap(&mut self, stage: &'static str) {
        let now = Instant::now();
        self.add(stage, (now - self.last).as_secs_f64());
        self.last = now;
    }

    fn add(&mut self, stage: &'static str, seconds: f64) {
        *self.timings.entry(stage).or_default() += seconds * 1e3;
        metrics().query_stage(stage, seconds);
    }

    pub(super) fn finish(mut self) -> Timings {
        let total = self.begun.elapsed().as_secs_f64();
        self.add("total", total);
        self.timings
    }
}

impl Core {
    pub(super) fn search(&self, caller: &Caller, request: &SearchRequest) -> Result<SearchResult> {
        let mut clock = Clock::start();
        let passages = self.passages(caller, request, &mut clock)?;
        Ok(SearchResult { passages, timings: clock.finish() })
    }

    /// Finds, reads and reranks.
    pub(super) fn passages(
        &self,
        caller: &Caller,
        request: &SearchRequest,
        clock: &mut Clock,
    ) -> Result<Vec<Passage>> {
        let collections = self.collections(caller, &request.scope)?;
        let reranks = request.rerank.unwrap_or(self.config.reranker.is_some());
        let limit = if reranks { request.top_k.max(RERANK_MAX) } else { request.top_k };
        let query = self.query(request, limit, &collections)?;
        clock.lap("embed");
        let mut hits = Vec::new();
        for collection in &collections {
            let outcome = self.search_one(&query, collection)?;
            for (stage, us) in [
                ("keyword", outcome.keyword_us),
                ("vector", outcome.vector_us),
                ("filter", outcome.filter_us),
            ] {
                clock.add(stage, us as f64 / 1e6);
            }
            hits.extend(outcome.hits);
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
        hits.truncate(limit);
        clock.lap("search");
        let mut passages = self.read(caller, &hits)?;
        clock.lap("fetch");
        if reranks {
            self.rerank(&request.query, &mut passages)?;
            clock.lap("rerank");
        }
        passages.truncate(request.top_k);
        Ok(passages)
    }

    fn collections(&self, caller: &Caller, scope: &Scope) -> Result<Vec<Collection>> {
        let Scope::One(key) = scope else { return Ok(self.store.collections(Some(&caller.user))?) };
        let known = if key.owner == caller.user { self.store.collection(key)? } else { None };
        match known {
            Some(collection) => Ok(vec![collection]),
            // It exists from the first upload on; until then it is empty, not unknown.
            None if key.name == CollectionName::default() => Ok(Vec::new()),
            None => Err(Error::UnknownCollection(key.name.to_string())),
        }
    }

    fn query(
        &self,
        request: &SearchRequest,
        limit: usize,
        collections: &[Collection],
    ) -> Result<SearchQuery> {
        let text = nfc(&request.query).into_owned();
        let alpha = self.embedder.info().fusion_weight;
        let wants_vector = request.mode != SearchMode::Keyword && !collections.is_empty();
        let vector = match wants_vector.then(|| self.embedder.embed(&[&text], Purpose::Query)) {
            Some(Ok(vector)) => Some(vector).filter(|vector| vector.iter().any(|value| *value != 0.0)),
            Some(Err(error)) if request.mode == SearchMode::Vector => return Err(error.into()),
            Some(Err(error)) => {
                tracing::warn!(%error, "the query could not be embedded: searching by keyword alone");
                None
            }
            None => None,
        };
        Ok(SearchQuery {
            text,
            vector,
            mode: request.mode,
            filter: request.filter.clone(),
            limit,
            candidates: self.config.candidates.max(limit),
            fusion: self.config.fusion.unwrap_or(Fusion::Convex { alpha }),
        })
    }

    /// At the moment when a collection changes to another embedder, store and index are not of one mind.
    fn search_one(&self, query: &SearchQuery, collection: &Collection) -> Result<Outcome> {
        let fitting = self.fit(query, collection);
        match self.search.search(collection.id, &fitting) {
            Err(search::Error::Dimension { .. }) => {
                let keywords = SearchQuery { vector: None, mode: SearchMode::Keyword, ..fitting };
                Ok(self.search.search(collection.id, &keywords)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Vectors of another embedder are compared with its own of the query; where it is gone, keywords have to do.
    fn fit(&self, query: &SearchQuery, collection: &Collection) -> SearchQuery {
        let others = collection.embedder.as_ref().filter(|print| **print != self.embedder.info().fingerprint);
        let (Some(fingerprint), Some(_)) = (others, &query.vector) else { return query.clone() };
        let former = self.embedders.by_fingerprint(fingerprint);
        let embedded = former.and_then(|former| {
            let vector = former.embed(&[&query.text], Purpose::Query).ok()?;
            Some((vector, former.info().fusion_weight))
        });
        match embedded {
            Some((vector, alpha)) => {
                let fusion = self.config.fusion.unwrap_or(Fusion::Convex { alpha });
                SearchQuery { vector: Some(vector), fusion, ..query.clone() }
            }
            None => SearchQuery { vector: None, mode: SearchMode::Keyword, ..query.clone() },
        }
    }

    /// Texts and documents of the hits. One that was deleted in between is left out.
    fn read(&self, caller: &Caller, hits: &[Hit]) -> Result<Vec<Passage>> {
        let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        let found = self.store.chunks_by_id(&caller.user, &ids)?;
        let mut hits = hits.iter();
        let passages = found.into_iter().filter_map(|(document, chunk)| {
            let id = ChunkId { document: document.id, index: chunk.index };
            let hit = hits.find(|hit| hit.chunk == id)?;
            Some(Passage {
                chunk: id,
                document,
                text: chunk.text,
                chars: chunk.chars,
                page: chunk.page,
                heading_path: chunk.heading_path,
                language: chunk.language,
                metadata: chunk.metadata,
                score: hit.score,
                scores: hit.scores,
            })
        });
        Ok(passages.collect())
    }

    fn rerank(&self, query: &str, passages: &mut [Passage]) -> Result<()> {
        let (name, settings) = match &self.config.reranker {
            Some(reranker) => (reranker.plugin.as_str(), reranker.settings.clone()),
            None => (DEFAULT_RERANKER, JsonMap::new()),
        };
        let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
        let scores = self.plugins.reranker(name, &settings)?.rerank(query, &texts)?;
        for (passage, score) in passages.iter_mut().zip(scores) {
            passage.scores.rerank = Some(score);
            passage.score = score;
        }
        passages.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(())
    }

    pub(super) fn similar(
        &self,
        caller: &Caller,
        id: DocumentId,
        top_k: usize,
    ) -> Result<Vec<SimilarDocument>> {
        let document = self.store.document(&caller.user, id)?.ok_or(Error::NotFound)?;
        let Some(collection) = self.store.collection(&document.collection)? else { return Ok(Vec::new()) };
        let mut similar = Vec::new();
        for (id, score) in self.search.similar(collection.id, id, top_k)? {
            if let Some(document) = self.store.document(&caller.user, id)? {
                similar.push(SimilarDocument { document: Arc::new(document), score });
            }
        }
        Ok(similar)
    }
}
