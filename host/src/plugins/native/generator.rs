use std::sync::Arc;

use smartrag_native::{event_kind, finish_reason};

use super::ffi::{self, GeneratorTable, Instance, RawEvent};
use super::request::Request;
use crate::plugins::fault::broken;
use crate::plugins::roles::{GenerateEvent, GenerateRequest, Generation, Generator, GeneratorInfo};
use crate::plugins::vectors::counts;
use crate::types::{FinishReason, PluginError, PluginId, Usage};

/// A generator in a shared library.
pub struct NativeGenerator {
    id: PluginId,
    instance: Arc<Instance>,
    table: GeneratorTable,
    info: GeneratorInfo,
}

impl NativeGenerator {
    /// Asks the instance for its info.
    pub fn new(id: PluginId, instance: Arc<Instance>, table: GeneratorTable) -> Result<Self, PluginError> {
        let raw = table.info(&instance).map_err(|failure| failure.of(&id.name))?;
        let info = GeneratorInfo {
            model: raw.model,
            context_window: Some(raw.context_window).filter(|tokens| *tokens > 0),
            strong: raw.strong,
            wants_sentences: raw.wants_sentences,
            models: Vec::new(),
        };
        Ok(Self { id, instance, table, info })
    }
}

impl Generator for NativeGenerator {
    fn id(&self) -> PluginId {
        self.id.clone()
    }

    fn info(&self) -> GeneratorInfo {
        self.info.clone()
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation, PluginError> {
        let generation = self.table.generate(&self.instance, &Request::new(request));
        let generation = generation.map_err(|failure| failure.of(&self.id.name))?;
        Ok(Box::new(Events { name: self.id.name.clone(), generation: Some(generation) }))
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        let name = &self.id.name;
        let ask = |batch: &[&str]| {
            self.table.count_tokens(&self.instance, batch).map_err(|failure| failure.of(name))
        };
        counts(texts, ask, |what| broken(name, what))
    }
}

/// Pulls the answer; its generation is dropped at the end, at an error, or with it.
struct Events {
    name: String,
    /// `None` once it is over.
    generation: Option<ffi::Generation>,
}

impl Iterator for Events {
    type Item = Result<Vec<GenerateEvent>, PluginError>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = self.generation.as_mut()?.next().map_err(|failure| failure.of(&self.name));
        let events = outcome.and_then(|events| self.converted(events));
        if events.as_ref().map_or(true, Vec::is_empty) {
            self.generation = None;
        }
        Some(events).filter(|events| events.as_ref().map_or(true, |events| !events.is_empty()))
    }
}

impl Events {
    fn converted(&self, events: Vec<RawEvent>) -> Result<Vec<GenerateEvent>, PluginError> {
        let events = events.into_iter().map(event).collect::<Result<_, _>>();
        events.map_err(|what| broken(&self.name, what))
    }
}

fn event(raw: RawEvent) -> Result<GenerateEvent, String> {
    Ok(match raw.kind {
        event_kind::TEXT => GenerateEvent::Text(raw.text),
        event_kind::REASONING => GenerateEvent::Reasoning(raw.text),
        event_kind::USAGE => GenerateEvent::Usage(Usage {
            prompt_tokens: raw.prompt_tokens,
            completion_tokens: raw.completion_tokens,
        }),
        event_kind::FINISH => GenerateEvent::Finish(match raw.finish_reason {
            finish_reason::STOP => FinishReason::Stop,
            finish_reason::LENGTH => FinishReason::Length,
            finish_reason::CANCELLED => FinishReason::Cancelled,
            finish_reason::FILTERED => FinishReason::Filtered,
            finish_reason::ABSTAINED => FinishReason::Abstained,
            other => return Err(format!("finish_reason {other} is none of smartrag_native.h")),
        }),
        other => return Err(format!("event kind {other} is none of smartrag_native.h")),
    })
}
