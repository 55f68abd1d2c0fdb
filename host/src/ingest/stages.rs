//! The stages of a batch of documents. A document that fails leaves the batch; the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::chunk::{CHUNKER, chunk};
use super::{Core, Error};
use crate::plugins::{Cancel, EmbedderInfo, EnrichDocument, ParseOptions, Purpose, Source};
use crate::store::{self, Artefact, BlobHandle, Embedded, Finished, Job};
use crate::telemetry::metrics;
use crate::types::*;

/// How often a document may be begun before it is taken for one that kills the process.
const ATTEMPTS_MAX: u32 = 5;
/// How often a call is repeated when its plugin says that it can succeed later.
const RETRIES_MAX: u32 = 3;
/// What an enricher sees of a document, in bytes.
const ENRICH_TEXT_MAX: usize = 64 * 1024;

/// A document between two stages.
pub(super) struct Work {
    document: Document,
    /// The next stage to do.
    stage: Stage,
    parsed: Parsed,
    chunks: Vec<Chunk>,
    vectors: Vec<f32>,
    also: Option<Embedded>,
}

type StageResult = Result<(), DocumentError>;

impl Core {
    /// Takes jobs up where they were left; the second list is of those that only need indexing.
    pub(super) fn resume(&self, jobs: Vec<Job>) -> Result<(Vec<Work>, Vec<DocumentId>), Error> {
        let (mut works, mut indexed) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            if job.stage >= Stage::Indexing {
                indexed.push(job.document.id);
            } else if job.attempts >= ATTEMPTS_MAX {
                self.fail(&job.document, poisoned(&job))?;
            } else {
                works.push(self.resumed(job)?);
            }
        }
        Ok((works, indexed))
    }

    fn resumed(&self, job: Job) -> Result<Work, Error> {
        let mut work = Work {
            stage: job.stage.max(Stage::Parsing),
            document: job.document,
            parsed: Parsed::default(),
            chunks: Vec::new(),
            vectors: Vec::new(),
            also: None,
        };
        if work.stage > Stage::Parsing {
            for artefact in self.store.artefacts(work.document.id)? {
                work.take(artefact);
            }
        }
        Ok(work)
    }

    /// Notes that `stage` begins for those whose turn it is and does it.
    pub(super) fn run(&self, stage: Stage, works: Vec<Work>) -> Result<Vec<Work>, Error> {
        let (due, later): (Vec<_>, Vec<_>) = works.into_iter().partition(|work| work.stage == stage);
        let mut now = Vec::with_capacity(due.len());
        for work in due {
            match self.store.advance(work.document.id, stage, work.artefact()) {
                Ok(()) => now.push(work),
                // Deleted while we worked on it.
                Err(store::Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        now.iter().for_each(|work| self.announce(&work.document, stage, None));
        let begun = Instant::now();
        let results = self.results(stage, &mut now);
        metrics().ingest_stage(stage, begun.elapsed());
        let mut left = later;
        for (mut work, result) in now.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    if stage == Stage::Embedding {
                        self.wait_for_embedder(None);
                    }
                    work.stage = following(stage);
                    left.push(work);
                }
                Err(error) if self.comes_back(&error) => {
                    self.wait_for_embedder(Some(&error));
                    self.store.release(work.document.id);
                }
                // It was ended, or deleted, meanwhile.
                Err(_) if !self.store.is_claimed(work.document.id) => {}
                Err(error) => self.fail(&work.document, error)?,
            }
        }
        Ok(left)
    }

    /// Whether the embedder's server is away: no document can go on, and this one is not to blame.
    fn comes_back(&self, error: &DocumentError) -> bool {
        let embedder = self.embedders.main().id().name;
        error.code == FaultKind::Unavailable.code() && error.plugin.as_ref() == Some(&embedder)
    }

    /// Says once that documents begin to wait, for this reason, and once that they go on.
    fn wait_for_embedder(&self, error: Option<&DocumentError>) {
        if self.waits.swap(error.is_some(), Ordering::Relaxed) == error.is_some() {
            return;
        }
        match error {
            Some(error) => tracing::warn!(detail = error.detail, "documents wait for the embedder"),
            None => tracing::info!("documents go on: the embedder is there again"),
        }
    }

    fn results(&self, stage: Stage, works: &mut [Work]) -> Vec<StageResult> {
        if stage == Stage::Embedding {
            return guarded(stage, || Ok(self.embed_all(works)))
                .unwrap_or_else(|error| works.iter().map(|_| Err(error.clone())).collect());
        }
        let one = |work: &mut Work| {
            guarded(stage, || match stage {
                Stage::Parsing => self.parse(work),
                Stage::Chunking => self.chunk(work),
                _ => self.enrich(work),
            })
        };
        works.iter_mut().map(one).collect()
    }

    fn parse(&self, work: &mut Work) -> StageResult {
        let document = &mut work.document;
        let unreadable = |detail: String| plain_error("internal", Stage::Parsing, detail);
        let parser = self.parser(&document.file_type).ok_or_else(|| {
            let detail =
                format!("no installed parser reads {}: install one, then reprocess", document.file_type);
            plain_error("unsupported_type", Stage::Parsing, detail)
        })?;
        let content = self.store.job_content(document.id).map_err(|error| unreadable(error.to_string()))?;
        let cancel = Cancel::default();
        self.calls.lock().insert(document.id, cancel.clone());
        let options = ParseOptions {
            file_type: document.file_type.clone(),
            filename: document.filename.clone(),
            passwords: Vec::new(),
            cancel,
        };
        let source = source(content);
        let parsed = retried(|| parser.parse(&source, &options));
        self.calls.lock().remove(&document.id);
        let parsed = parsed.map_err(|error| plugin_error(Stage::Parsing, error))?;
        document.provenance = Provenance { parser: Some(parser.id()), ..Provenance::default() };
        if parsed.text.trim().is_empty() {
            return Err(without_text(&parsed, &parser.id()));
        }
        document.title = parsed.title.clone();
        document.warnings = parsed.warnings.clone();
        work.parsed = parsed;
        Ok(())
    }

    fn chunk(&self, work: &mut Work) -> StageResult {
        let spans =
            chunk(&work.parsed, self.budget, |texts| retried(|| self.embedders.main().count_tokens(texts)))
                .map_err(|error| plugin_error(Stage::Chunking, error))?;
        let parsed = &work.parsed;
        let numbered = spans.into_iter().zip(0..);
        work.chunks = numbered.map(|(span, index)| chunk_of(parsed, span, index)).collect();
        work.document.provenance.chunker = Some(CHUNKER.to_owned());
        work.document.title = work.parsed.title.clone();
        work.document.warnings = work.parsed.warnings.clone();
        Ok(())
    }

    fn enrich(&self, work: &mut Work) -> StageResult {
        let input = EnrichDocument {
            filename: work.document.filename.clone(),
            file_type: work.document.file_type.clone(),
            title: work.parsed.title.clone(),
            language: work.parsed.language.as_deref().and_then(two_letters),
            text: work.parsed.text[..work.parsed.text.floor_char_boundary(ENRICH_TEXT_MAX)].to_owned(),
        };
        for enricher in &self.enrichers {
            let name = &enricher.id().name;
            match retried(|| enricher.enrich(&input, &work.chunks)) {
                Ok(found) => {
                    let replaced = annotate(&mut work.document.metadata, name, found.document);
                    work.document.warnings.extend(replaced);
                    for (chunk, found) in work.chunks.iter_mut().zip(found.chunks) {
                        insert(&mut chunk.metadata, name, found);
                    }
                    work.document.provenance.enrichers.push(enricher.id());
                }
                Err(error) => work.document.warnings.push(Warning {
                    code: "enricher_failed".into(),
                    detail: format!("{error}: the document is searchable without its annotations"),
                    page: None,
                }),
            }
        }
        for chunk in &mut work.chunks {
            let found =
                chunk.metadata.get("language").and_then(|found| found.get("code")).and_then(Value::as_str);
            chunk.language = found.and_then(two_letters).or_else(|| chunk.language.take());
        }
        Ok(())
    }

    /// Embeds all chunks of all documents in one call; each document alone where that fails.
    fn embed_all(&self, works: &mut [Work]) -> Vec<StageResult> {
        let texts: Vec<String> =
            works.iter().flat_map(|work| &work.chunks).map(Chunk::embedding_text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedder = self.embedders.main();
        let dimension = embedder.info().dimension;
        let together = retried(|| embedder.embed(&texts, Purpose::Passage));
        if let Some(error) = together.as_ref().err().filter(|error| error.kind == FaultKind::Unavailable) {
            return works.iter().map(|_| Err(plugin_error(Stage::Embedding, error.clone()))).collect();
        }
        let together = together.ok();
        let mut at = 0;
        let one = |work: &mut Work| {
            let range = at..at + work.chunks.len();
            at = range.end;
            work.vectors = match &together {
                Some(all) => all[range.start * dimension..range.end * dimension].to_vec(),
                None => retried(|| embedder.embed(&texts[range.clone()], Purpose::Passage))
                    .map_err(|error| plugin_error(Stage::Embedding, error))?,
            };
            work.also = self.embed_by_former(&work.document, &texts[range]);
            work.document.provenance.embedder = Some(embedder.id());
            Ok(())
        };
        works.iter_mut().map(one).collect()
    }

    /// While the collection's vectors are of another embedder: those, so that searches find the document by them.
    fn embed_by_former(&self, document: &Document, texts: &[&str]) -> Option<Embedded> {
        let collection = self.store.collection(&document.collection).ok()??;
        collection.next?;
        let embedder = self.embedders.by_fingerprint(&collection.embedder?)?;
        let EmbedderInfo { fingerprint, dimension, .. } = embedder.info();
        match retried(|| embedder.embed(texts, Purpose::Passage)) {
            Ok(vectors) => Some(Embedded { fingerprint, dimension, vectors }),
            Err(error) => {
                tracing::warn!(document = %document.id, %error, "keyword search only until the new vectors are used");
                None
            }
        }
    }

    /// Ends a document's way with a reason.
    pub(super) fn fail(&self, document: &Document, error: DocumentError) -> Result<(), Error> {
        tracing::warn!(document = %document.id, file = document.filename, code = error.code, stage = error.stage.as_str(),
            detail = error.detail, "document failed");
        let failed = Document { error: Some(error.clone()), ..document.clone() };
        let seq = self.store.fail(document.id, error)?;
        metrics().document_failed();
        self.announce(&failed, Stage::Failed, seq);
        Ok(())
    }
}

impl Work {
    fn take(&mut self, artefact: Artefact) {
        match artefact {
            Artefact::Parsed(parsed) => self.parsed = parsed,
            Artefact::Chunks(chunks) => self.chunks = chunks,
            Artefact::Enriched { chunks, document } => {
                self.chunks = chunks;
                self.document.metadata = document;
            }
            Artefact::Vectors(vectors) => self.vectors = vectors,
        }
    }

    /// The output of the stage before the next one.
    fn artefact(&self) -> Option<Artefact> {
        match self.stage {
            Stage::Chunking => Some(Artefact::Parsed(self.parsed.clone())),
            Stage::Enriching => Some(Artefact::Chunks(self.chunks.clone())),
            Stage::Embedding => {
                let document = self.document.metadata.clone();
                Some(Artefact::Enriched { chunks: self.chunks.clone(), document })
            }
            _ => None,
        }
    }

    pub(super) fn finish(mut self) -> Finished {
        self.document.chunk_count = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        Finished {
            document: self.document,
            text: self.parsed.text,
            chunks: self.chunks,
            vectors: self.vectors,
            also: self.also,
        }
    }
}

fn following(stage: Stage) -> Stage {
    let next = Stage::ALL.iter().skip_while(|other| **other != stage).nth(1);
    next.copied().unwrap_or(Stage::Failed)
}

fn source(content: BlobHandle) -> Source {
    match content {
        BlobHandle::Bytes(bytes) => Source::Bytes(bytes),
        BlobHandle::File(file, size) => Source::File(file, size),
    }
}

fn chunk_of(parsed: &Parsed, span: ChunkSpan, index: u32) -> Chunk {
    // Blocks are in order, and there can be millions of them.
    let at = parsed.blocks.partition_point(|block| block.span.end <= span.span.start);
    let declared =
        parsed.blocks.get(at).and_then(|block| block.language.as_deref()).or(parsed.language.as_deref());
    Chunk {
        index,
        text: parsed.text[span.span].to_owned(),
        chars: span.chars,
        page: span.page.filter(|_| parsed.paged),
        heading_path: span.heading_path,
        context: span.context,
        language: declared.and_then(two_letters),
        tokens: span.tokens,
        metadata: JsonMap::new(),
    }
}

/// ISO 639-1 from BCP 47.
fn two_letters(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next()?.to_ascii_lowercase();
    (primary.len() == 2).then_some(primary)
}

/// Puts what a plugin found under its name. What the uploader has there stays, unless it is an object, as annotations are:
/// then it is told.
fn annotate(metadata: &mut JsonMap, plugin: &str, found: JsonMap) -> Option<Warning> {
    let replaces = match metadata.get(plugin) {
        None => false,
        Some(Value::Object(own)) => own.keys().any(|key| !found.contains_key(key)),
        Some(_) => return None,
    };
    let replaces = replaces && !found.is_empty();
    insert(metadata, plugin, found);
    let detail = format!("metadata.{plugin} now has what the plugin {plugin} found: give yours another name");
    replaces.then(|| Warning { code: "metadata_replaced".into(), detail, page: None })
}

fn insert(metadata: &mut JsonMap, plugin: &str, found: JsonMap) {
    if !found.is_empty() {
        metadata.insert(plugin.to_owned(), Value::Object(found));
    }
}

/// A panic fails the document, not the daemon.
fn guarded<T>(stage: Stage, step: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
        let detail = "a defect of SmartRAG, not of the file: please report it with the log".to_owned();
        Err(plain_error("internal", stage, detail))
    })
}

/// Repeats a call that its plugin calls retryable, after the time it names.
pub(super) fn retried<T>(mut call: impl FnMut() -> Result<T, PluginError>) -> Result<T, PluginError> {
    let mut tries = 0;
    loop {
        match call() {
            Err(error) if error.retryable && tries < RETRIES_MAX => {
                let wait = error.retry_after_ms.unwrap_or(200 << tries).min(5_000);
                std::thread::sleep(Duration::from_millis(u64::from(wait)));
                tries += 1;
            }
            result => return result,
        }
    }
}

fn plain_error(code: &str, stage: Stage, detail: String) -> DocumentError {
    DocumentError { code: code.to_owned(), stage, plugin: None, detail }
}

fn plugin_error(stage: Stage, error: PluginError) -> DocumentError {
    let code = error.kind.code().to_owned();
    DocumentError { code, stage, plugin: Some(error.plugin), detail: error.message }
}

fn without_text(parsed: &Parsed, parser: &PluginId) -> DocumentError {
    let scanned = parsed.pages.iter().filter(|page| page.status == PageStatus::NeedsOcr).count();
    let detail = match scanned {
        0 => "the file holds no text".to_owned(),
        pages => format!("the file holds no text: {pages} pages look like scans and need OCR first"),
    };
    DocumentError { code: "empty".into(), stage: Stage::Parsing, plugin: Some(parser.name.clone()), detail }
}

fn poisoned(job: &Job) -> DocumentError {
    let detail = format!(
        "the daemon ended {} times while it worked on this document, so it is left alone; reprocess tries again",
        job.attempts
    );
    plain_error("quarantined", job.stage.max(Stage::Parsing), detail)
}
