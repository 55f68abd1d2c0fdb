//! From a query to passages.

use std::sync::Arc;
use std::time::Instant;

use super::diversity::diversify;
use super::fold::Folds;
use super::fusion::Join;
use super::slots::Slot;
use super::{
    Core, Error, Explanation, ModelStatus, Result, SearchRequest, SearchResult, Searched, SimilarDocument,
    Timings,
};
use crate::config::PluginRef;
use crate::plugins::Purpose;
use crate::search::{self, Outcome};
use crate::store::Collection;
use crate::telemetry::metrics;
use crate::text::{self, nfc};
use crate::types::*;

/// Passages that a reranker or diversity looks at, at most.
const RERANK_MAX: usize = 50;
/// How many times more results the indexes are asked for where too many were folded, and how many times what is wanted
/// that may become.
const DEEPER: usize = 4;
const DEEPER_MAX: usize = 64;
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

/// A request with everything decided that does not depend on a collection.
struct Plan<'a> {
    caller: &'a Caller,
    collections: Vec<Collection>,
    query: SearchQuery,
    join: Join,
    /// Of the question.
    language: Option<&'static str>,
    /// Passages to read, more than are shown where they are ordered anew.
    wanted: usize,
    folds: bool,
}

impl Core {
    pub(super) fn search(
        &self,
        caller: &Caller,
        request: &SearchRequest,
        slot: &mut Slot,
    ) -> Result<SearchResult> {
        let mut clock = Clock::start();
        let (passages, explanation) = self.find(caller, request, slot, &mut clock)?;
        Ok(SearchResult { passages, timings: clock.finish(), explanation })
    }

    pub(super) fn passages(
        &self,
        caller: &Caller,
        request: &SearchRequest,
        slot: &mut Slot,
        clock: &mut Clock,
    ) -> Result<Vec<Passage>> {
        Ok(self.find(caller, request, slot, clock)?.0)
    }

    /// Finds, reads, folds, reranks and diversifies.
    fn find(
        &self,
        caller: &Caller,
        request: &SearchRequest,
        slot: &mut Slot,
        clock: &mut Clock,
    ) -> Result<(Vec<Passage>, Explanation)> {
        let plan = || self.plan(caller, request);
        let mut plan = if self.embeds_elsewhere { slot.aside(plan) } else { plan() }?;
        clock.lap("embed");
        let (mut passages, collections) = self.gather(&mut plan, clock)?;
        let reranker = self.reranker(request);
        if let Some(reranker) = &reranker {
            self.rerank(reranker, &request.query, &mut passages)?;
            clock.lap("rerank");
        }
        passages = diversify(passages, request.diversity, request.top_k);
        if request.highlight {
            self.highlight(&plan, &mut passages)?;
            clock.lap("highlight");
        }
        let explanation = Explanation {
            fusion: Some(plan.join.fusion),
            language: plan.language,
            reranker: reranker.map(|reranker| reranker.plugin),
            folds: plan.folds,
            collections,
        };
        Ok((passages, explanation))
    }

    #[tracing::instrument(name = "embed", level = "debug", skip_all)]
    fn plan<'a>(&self, caller: &'a Caller, request: &SearchRequest) -> Result<Plan<'a>> {
        let collections = self.collections(caller, &request.scope)?;
        let ordered_anew = self.reranker(request).is_some() || request.diversity > 0.0;
        let wanted = if ordered_anew { request.top_k.max(RERANK_MAX) } else { request.top_k };
        let folds = request.fold.unwrap_or(self.config.fold);
        let join = Join::new(request, self.config.fusion, self.embedder.info().fusion_weight);
        let mut query = self.query(request, join.fusion, &collections)?;
        query.limit = if folds { wanted * 2 } else { wanted };
        let language = text::language(&query.text);
        Ok(Plan { caller, collections, query, join, language, wanted, folds })
    }

    /// The passages wanted, or all there are. Where many were folded, the indexes are asked again for more.
    fn gather(&self, plan: &mut Plan, clock: &mut Clock) -> Result<(Vec<Passage>, Vec<Searched>)> {
        loop {
            let (hits, searched) = self.ask_indexes(plan, clock)?;
            let passages = self.read_distinct(plan, &hits)?;
            clock.lap("fetch");
            let is_all = hits.len() < plan.query.limit || plan.query.limit >= plan.wanted * DEEPER_MAX;
            if passages.len() >= plan.wanted || is_all {
                return Ok((passages, searched));
            }
            plan.query.limit *= DEEPER;
        }
    }

    /// Results of all collections as one list.
    fn ask_indexes(&self, plan: &Plan, clock: &mut Clock) -> Result<(Vec<Hit>, Vec<Searched>)> {
        let (mut hits, mut searched) = (Vec::new(), Vec::new());
        for collection in &plan.collections {
            let query = self.fit(plan, collection);
            let mut outcome = self.search_one(&query, collection)?;
            for (stage, us) in outcome.stages() {
                clock.add(stage, us as f64 / 1e6);
            }
            hits.append(&mut outcome.hits);
            searched.push(self.searched(plan.caller, collection, &query, &outcome));
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
        hits.truncate(plan.query.limit);
        clock.lap("search");
        Ok((hits, searched))
    }

    fn searched(
        &self,
        caller: &Caller,
        collection: &Collection,
        query: &SearchQuery,
        outcome: &Outcome,
    ) -> Searched {
        let stages = outcome.stages().into_iter();
        Searched {
            collection: collection.key.name_for(&caller.user),
            fusion: query.fusion,
            candidates: query.candidates.max(query.limit),
            vector_path: outcome.vector_path,
            filter_matches: outcome.filter_matches,
            timings: stages.map(|(stage, us)| (stage, us as f64 / 1e3)).collect(),
        }
    }

    /// Passages of the hits, as many as are wanted; what says the same as one before is folded into it.
    #[tracing::instrument(name = "fetch", level = "debug", skip_all, fields(hits = hits.len()))]
    fn read_distinct(&self, plan: &Plan, hits: &[Hit]) -> Result<Vec<Passage>> {
        if !plan.folds {
            return self.read(plan.caller, hits);
        }
        let (mut folds, mut rest) = (Folds::default(), hits);
        while folds.len() < plan.wanted && !rest.is_empty() {
            let missing = plan.wanted - folds.len();
            let (next, later) = rest.split_at(missing.min(rest.len()));
            self.read(plan.caller, next)?.into_iter().for_each(|passage| folds.push(passage));
            rest = later;
        }
        Ok(folds.into_passages())
    }

    fn collections(&self, caller: &Caller, scope: &Scope) -> Result<Vec<Collection>> {
        let Scope::One(key) = scope else {
            let readable = self.store.readable(&caller.user)?;
            return Ok(readable.into_iter().map(|(collection, _)| collection).collect());
        };
        match self.store.access(&caller.user, key)? {
            Some((collection, _)) => Ok(vec![collection]),
            // It exists from the first upload on; until then it is empty, not unknown.
            None if key.owner == caller.user && key.name == CollectionName::default() => Ok(Vec::new()),
            None => Err(Error::UnknownCollection(key.name_for(&caller.user))),
        }
    }

    fn query(
        &self,
        request: &SearchRequest,
        fusion: Fusion,
        collections: &[Collection],
    ) -> Result<SearchQuery> {
        let text = nfc(&request.query).into_owned();
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
            typo_tolerance: request.typo_tolerance,
            vector,
            embedder: None,
            mode: request.mode,
            filter: request.filter.clone(),
            limit: request.top_k,
            candidates: self.config.candidates,
            fusion,
        })
    }

    /// At the moment when a collection changes to another embedder, store and index are not of one mind.
    #[tracing::instrument(name = "search", level = "debug", skip_all, fields(collection = %collection.key.name))]
    fn search_one(&self, query: &SearchQuery, collection: &Collection) -> Result<Outcome> {
        match self.search.search(collection.id, query) {
            Err(search::Error::Dimension { .. } | search::Error::OtherEmbedder) => {
                let keywords = SearchQuery { vector: None, mode: SearchMode::Keyword, ..query.clone() };
                Ok(self.search.search(collection.id, &keywords)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// The query for this collection. Vectors of another embedder are compared with its own of the query; where it is gone,
    /// keywords have to do. In texts of another language words count less.
    fn fit(&self, plan: &Plan, collection: &Collection) -> SearchQuery {
        let others = collection.embedder.as_ref().filter(|print| **print != self.embedder.info().fingerprint);
        let (join, query) = match (others, &plan.query.vector) {
            (Some(fingerprint), Some(_)) => self.with_former(plan, fingerprint),
            _ => (plan.join, plan.query.clone()),
        };
        let fusion = join.within(plan.language, &self.search.languages(collection.id));
        SearchQuery { fusion, embedder: collection.embedder.clone(), ..query }
    }

    fn with_former(&self, plan: &Plan, fingerprint: &str) -> (Join, SearchQuery) {
        let query = plan.query.clone();
        let embedded = self.embedders.by_fingerprint(fingerprint).and_then(|former| {
            let vector = former.embed(&[&query.text], Purpose::Query).ok()?;
            Some((vector, former.info().fusion_weight))
        });
        match embedded {
            Some((vector, alpha)) => {
                (plan.join.declared(alpha), SearchQuery { vector: Some(vector), ..query })
            }
            None => (plan.join, SearchQuery { vector: None, mode: SearchMode::Keyword, ..query }),
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
                origin: Origin { fused: hit.score, shares: hit.shares, ..Origin::default() },
                highlights: None,
            })
        });
        Ok(passages.collect())
    }

    /// Marks the words of the query as the collection of each passage knows them.
    fn highlight(&self, plan: &Plan<'_>, passages: &mut [Passage]) -> Result<()> {
        for collection in &plan.collections {
            let mut own =
                passages.iter_mut().filter(|found| found.document.collection == collection.key).peekable();
            if own.peek().is_none() {
                continue;
            }
            let marker = self.search.marker(collection.id, &plan.query)?;
            own.for_each(|found| {
                found.highlights = Some(marker.marks(&found.text, found.language.as_deref()));
            });
        }
        Ok(())
    }

    /// The one that the request gets.
    fn reranker(&self, request: &SearchRequest) -> Option<PluginRef> {
        let is_configured = self.config.reranker.is_some();
        request.rerank.unwrap_or(is_configured).then(|| self.configured_reranker())
    }

    /// That of the configuration, else the shipped one.
    pub(super) fn configured_reranker(&self) -> PluginRef {
        let default = || PluginRef { plugin: DEFAULT_RERANKER.into(), settings: JsonMap::new() };
        self.config.reranker.clone().unwrap_or_else(default)
    }

    /// How the configured one is; `None` where the config names none.
    pub(super) fn reranker_status(&self) -> Option<ModelStatus> {
        let reranker = self.config.reranker.as_ref()?;
        let problem = self.plugins.reranker(&reranker.plugin, &reranker.settings).err();
        Some(ModelStatus {
            role: Role::Reranker,
            name: "reranker".into(),
            plugin: reranker.plugin.clone(),
            model: None,
            models: Vec::new(),
            is_default: true,
            problem: problem.map(|error| error.to_string()),
        })
    }

    #[tracing::instrument(level = "debug", skip_all, fields(passages = passages.len()))]
    fn rerank(&self, reranker: &PluginRef, query: &str, passages: &mut [Passage]) -> Result<()> {
        let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
        let scores = self.plugins.reranker(&reranker.plugin, &reranker.settings)?.rerank(query, &texts)?;
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
