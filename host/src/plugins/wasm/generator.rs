use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use wasmtime::component::ResourceAny;

use super::host::HostState;
use super::pool::{Lease, Pool};
use crate::plugins::bindings::v0_1_0::generator::GeneratorPluginPre;
use crate::plugins::bindings::v0_1_0::generator::exports::smartrag::plugin::generator as guest;
use crate::plugins::bindings::v0_1_0::imports::types as wit;
use crate::plugins::fault::fault;
use crate::plugins::roles::{
    GenerateEvent, GenerateOptions, GenerateRequest, Generation, Generator, GeneratorInfo, GeneratorPassage,
    PromptRole, SentenceEvidence,
};
use crate::plugins::vectors::counts;
use crate::types::{FaultKind, FinishReason, Limit, PluginError, PluginId, Usage};

/// The pre-instantiated component of a generator.
pub type GeneratorWorld = GeneratorPluginPre<HostState>;

/// The property of a model that lists what a request may choose from, as JSON.
const MODELS: &str = "models";
const EVENTS_A_CALL: u32 = 16;
/// What an event takes beside its text: the smallest ones count, too.
const EVENT_BYTES: usize = 64;
/// An answer may take this many times the deadline of a call.
const DEADLINES_AN_ANSWER: u32 = 15;

/// A generator in WebAssembly.
pub struct WasmGenerator {
    pool: Arc<Pool<GeneratorWorld>>,
    info: ArcSwap<GeneratorInfo>,
}

impl WasmGenerator {
    /// Around a pool; asks the guest for its info.
    pub fn new(pool: Arc<Pool<GeneratorWorld>>) -> Result<Self, PluginError> {
        let info = ArcSwap::from_pointee(ask(&pool)?);
        Ok(Self { pool, info })
    }
}

fn ask(pool: &Arc<Pool<GeneratorWorld>>) -> Result<GeneratorInfo, PluginError> {
    let raw = pool.call(|store, exports| exports.smartrag_plugin_generator().call_info(store))?;
    let models = raw.properties.iter().find(|property| property.key == MODELS);
    let models = models.and_then(|property| serde_json::from_str(&property.value).ok());
    Ok(GeneratorInfo {
        model: raw.model,
        context_window: raw.context_window,
        strong: raw.strong,
        wants_sentences: raw.wants_sentences,
        models: models.unwrap_or_default(),
    })
}

impl Generator for WasmGenerator {
    fn id(&self) -> PluginId {
        self.pool.guest().id().clone()
    }

    fn info(&self) -> GeneratorInfo {
        self.info.load().as_ref().clone()
    }

    fn probe(&self) -> Result<GeneratorInfo, PluginError> {
        let info = ask(&self.pool)?;
        self.info.store(Arc::new(info.clone()));
        Ok(info)
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation, PluginError> {
        let mut lease = self.pool.lease()?;
        lease.set_cancel(request.cancel.clone());
        let request = convert(request);
        let generation = lease
            .call(|store, exports| exports.smartrag_plugin_generator().call_generate(store, &request))?;
        let until = Instant::now() + lease.guest().limits().deadline * DEADLINES_AN_ANSWER;
        Ok(Box::new(Events { lease, generation: Some(generation), bytes: 0, until }))
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        let ask = |batch: &[&str]| {
            let owned: Vec<String> = batch.iter().map(|text| (*text).to_owned()).collect();
            self.pool
                .call(|store, exports| exports.smartrag_plugin_generator().call_count_tokens(store, &owned))
        };
        counts(texts, ask, |what| self.pool.guest().broken(what))
    }
}

/// Pulls the answer; holds its instance until dropped.
struct Events {
    lease: Lease<GeneratorWorld>,
    /// `None` once it is over.
    generation: Option<ResourceAny>,
    /// Brought so far.
    bytes: usize,
    until: Instant,
}

impl Iterator for Events {
    type Item = Result<Vec<GenerateEvent>, PluginError>;

    fn next(&mut self) -> Option<Self::Item> {
        let generation = self.generation?;
        let outcome = self.lease.call(|store, exports| {
            let events = exports.smartrag_plugin_generator();
            events.generation().call_next(store, generation, EVENTS_A_CALL)
        });
        match outcome.and_then(|events| self.bounded(events)) {
            Ok(events) if events.is_empty() => self.end(),
            Ok(events) if events.len() > EVENTS_A_CALL as usize => {
                let what = format!("{EVENTS_A_CALL} events were asked for, {} came back", events.len());
                self.end();
                Some(Err(self.lease.guest().broken(what)))
            }
            Ok(events) => Some(Ok(events.into_iter().map(event).collect())),
            Err(error) => {
                self.end();
                Some(Err(error))
            }
        }
    }
}

impl Events {
    /// The answer as a whole has bounds as well: calls that each keep to theirs could go on for ever.
    fn bounded(&mut self, events: Vec<guest::Event>) -> Result<Vec<guest::Event>, PluginError> {
        let guest = self.lease.guest();
        let (name, limits) = (&guest.id().name, guest.limits());
        self.bytes += events.iter().map(|event| EVENT_BYTES + text_len(event)).sum::<usize>();
        let (limit, message) = if self.bytes > limits.output_max {
            let message = format!("the answer is longer than {} MiB", limits.output_max >> 20);
            (Limit::Output, format!("{message}: raise plugins.grants.{name}.output_max if it deserves it"))
        } else if Instant::now() > self.until {
            let message = format!("the answer took longer than {DEADLINES_AN_ANSWER} calls may");
            (Limit::Time, format!("{message}: raise plugins.grants.{name}.deadline if it deserves it"))
        } else {
            return Ok(events);
        };
        Err(guest.breached(fault(name, FaultKind::Limit(limit), message)))
    }

    fn end(&mut self) -> Option<Result<Vec<GenerateEvent>, PluginError>> {
        if let Some(generation) = self.generation.take()
            && let Err(error) = self.lease.release(generation)
        {
            tracing::debug!(%error, "generation was not dropped cleanly");
        }
        None
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // First, since the guest may take its time to let go.
        self.lease.hang_up();
        self.end();
    }
}

fn text_len(event: &guest::Event) -> usize {
    match event {
        guest::Event::Text(text) | guest::Event::Reasoning(text) => text.len(),
        guest::Event::Usage(_) | guest::Event::Finish(_) => 0,
    }
}

fn event(event: guest::Event) -> GenerateEvent {
    match event {
        guest::Event::Text(text) => GenerateEvent::Text(text),
        guest::Event::Reasoning(text) => GenerateEvent::Reasoning(text),
        guest::Event::Usage(usage) => GenerateEvent::Usage(Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        }),
        guest::Event::Finish(reason) => GenerateEvent::Finish(match reason {
            guest::FinishReason::Stop => FinishReason::Stop,
            guest::FinishReason::Length => FinishReason::Length,
            guest::FinishReason::Cancelled => FinishReason::Cancelled,
            guest::FinishReason::Filtered => FinishReason::Filtered,
            guest::FinishReason::Abstained => FinishReason::Abstained,
        }),
    }
}

fn convert(request: &GenerateRequest) -> guest::Request {
    guest::Request {
        model: request.model.clone(),
        question: request.question.clone(),
        language: request.language.clone(),
        messages: request.messages.iter().map(|(role, content)| message(*role, content)).collect(),
        passages: request.passages.iter().map(passage).collect(),
        options: options(&request.options),
    }
}

fn message(role: PromptRole, content: &str) -> guest::Message {
    let role = match role {
        PromptRole::System => guest::Role::System,
        PromptRole::User => guest::Role::User,
        PromptRole::Assistant => guest::Role::Assistant,
    };
    guest::Message { role, content: content.to_owned() }
}

fn passage(passage: &GeneratorPassage) -> guest::Passage {
    guest::Passage {
        citation: passage.citation,
        text: passage.text.clone(),
        title: passage.title.clone(),
        heading_path: passage.heading_path.clone(),
        language: passage.language.clone(),
        score: passage.score,
        similarity: passage.similarity,
        sentences: passage.sentences.iter().map(sentence).collect(),
    }
}

fn sentence(sentence: &SentenceEvidence) -> guest::Sentence {
    let span = wit::Span { start: sentence.span.start as u32, end: sentence.span.end as u32 };
    guest::Sentence { span, similarity: sentence.similarity }
}

fn options(options: &GenerateOptions) -> guest::Options {
    let extra = options.extra.iter();
    guest::Options {
        temperature: options.temperature,
        top_p: options.top_p,
        max_tokens: options.max_tokens,
        seed: options.seed,
        stop: options.stop.clone(),
        extra: extra
            .map(|(key, value)| wit::Annotation { key: key.clone(), value: value.to_string() })
            .collect(),
    }
}
