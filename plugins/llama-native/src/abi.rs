//! The C interface around [`Engine`].
//!
//! No panic may leave a function: each body runs in `guarded`, which turns a panic into an error. What the host passes
//! is only valid during the call: texts are borrowed inside of it and never kept. An instance is a boxed [`Engine`];
//! the host calls it from changing threads, but never from two at once. A generation is the number of an answer.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smartrag_native::{
    ABI_VERSION, Error, Event as RawEvent, Generator, GeneratorInfo, Message, Plugin, Request as RawRequest,
    Status, Str, event_kind, message_role, role, status,
};

use crate::answer::Event;
use crate::config::Config;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::request::Request;

static GENERATOR: Generator = Generator {
    struct_size: size_of::<Generator>() as u32,
    info: Some(info),
    count_tokens: Some(count_tokens),
    generate: Some(generate),
    next: Some(next),
    drop: Some(end),
};

/// The pointers in it are to constants, so all threads may share it.
struct Table(Plugin);

// SAFETY: nobody writes to it or to what it points to.
unsafe impl Sync for Table {}

static PLUGIN: Table = Table(Plugin {
    struct_size: size_of::<Plugin>() as u32,
    role: role::GENERATOR,
    version: Str::new(env!("CARGO_PKG_VERSION")),
    description: Str::new("Answers by llama.cpp inside the daemon, with a GGUF model"),
    create: Some(create),
    destroy: Some(destroy),
    embedder: std::ptr::null(),
    generator: &GENERATOR,
});

/// The first symbol that the host asks for.
#[unsafe(no_mangle)]
pub extern "C" fn smartrag_native_abi_version() -> u32 {
    ABI_VERSION
}

/// The second one.
#[unsafe(no_mangle)]
pub extern "C" fn smartrag_native_plugin() -> *const Plugin {
    &PLUGIN.0
}

unsafe extern "C" fn create(config: Str, instance: *mut *mut c_void, error: *mut Error) -> Status {
    guarded(error, || {
        // SAFETY: the host passes a valid text and a place for the instance.
        let (config, instance) = unsafe { (text(&config), &mut *instance) };
        let engine = Engine::new(Config::parse(config)?)?;
        *instance = Box::into_raw(Box::new(engine)).cast();
        Ok(())
    })
}

unsafe extern "C" fn destroy(instance: *mut c_void) {
    // SAFETY: `create` made it, and the host destroys it once.
    let engine = unsafe { Box::from_raw(instance.cast::<Engine>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(engine)));
}

unsafe extern "C" fn info(instance: *mut c_void, info: *mut GeneratorInfo, error: *mut Error) -> Status {
    guarded(error, || {
        // SAFETY: the host passes a struct of at least the size of version 1.
        let (engine, info) = unsafe { (engine(instance), &mut *info) };
        info.context_window = engine.window() as u32;
        info.strong = u32::from(engine.config().strong);
        info.wants_sentences = 0;
        info.model = Str::new(engine.model().name());
        Ok(())
    })
}

unsafe extern "C" fn count_tokens(
    instance: *mut c_void,
    texts: *const Str,
    text_count: usize,
    counts: *mut u32,
    error: *mut Error,
) -> Status {
    guarded(error, || {
        // SAFETY: the host passes `text_count` texts and room for as many counts.
        let (engine, texts) = unsafe { (engine(instance), slice(texts, text_count)) };
        for (at, given) in texts.iter().enumerate() {
            // SAFETY: as above; each text is valid during this call.
            unsafe { *counts.add(at) = engine.model().count(text(given)) };
        }
        Ok(())
    })
}

unsafe extern "C" fn generate(
    instance: *mut c_void,
    request: *const RawRequest,
    generation: *mut *mut c_void,
    error: *mut Error,
) -> Status {
    guarded(error, || {
        // SAFETY: the host passes a request of version 1, valid during this call, and a place for the generation.
        let (engine, request, generation) =
            unsafe { (engine(instance), borrowed(&*request), &mut *generation) };
        *generation = engine.begin(&request)? as *mut c_void;
        Ok(())
    })
}

unsafe extern "C" fn next(
    instance: *mut c_void,
    generation: *mut c_void,
    events: *mut RawEvent,
    capacity: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    guarded(error, || {
        // SAFETY: the host passes room for `capacity` events, and a place for their number.
        let (engine, count) = unsafe { (engine(instance), &mut *count) };
        *count = 0;
        for event in engine.next(generation as usize, capacity)? {
            // SAFETY: there are at most `capacity`. The texts stay until the next call on this generation.
            unsafe { events.add(*count).write(raw(event)) };
            *count += 1;
        }
        Ok(())
    })
}

unsafe extern "C" fn end(instance: *mut c_void, generation: *mut c_void) {
    // SAFETY: as in `generate`.
    let engine = unsafe { engine(instance) };
    let _ = catch_unwind(AssertUnwindSafe(|| engine.end(generation as usize)));
}

fn raw(event: &Event) -> RawEvent {
    let none =
        RawEvent { kind: 0, finish_reason: 0, prompt_tokens: 0, completion_tokens: 0, text: Str::NONE };
    match event {
        Event::Text(text) => RawEvent { kind: event_kind::TEXT, text: Str::new(text), ..none },
        Event::Reasoning(text) => RawEvent { kind: event_kind::REASONING, text: Str::new(text), ..none },
        Event::Usage(prompt, completion) => RawEvent {
            kind: event_kind::USAGE,
            prompt_tokens: *prompt,
            completion_tokens: *completion,
            ..none
        },
        Event::Finish(reason) => RawEvent { kind: event_kind::FINISH, finish_reason: *reason, ..none },
    }
}

/// # Safety
/// `create` made the instance, and nobody else uses it during the call.
unsafe fn engine<'a>(instance: *mut c_void) -> &'a mut Engine {
    unsafe { &mut *instance.cast() }
}

/// # Safety
/// The request and all that it points to must be valid for as long as the result is used.
unsafe fn borrowed(raw: &RawRequest) -> Request<'_> {
    // SAFETY: the host says how many there are.
    let (messages, stop) =
        unsafe { (slice(raw.messages, raw.message_count), slice(raw.stop, raw.stop_count)) };
    Request {
        // SAFETY: of this and those below: the host promises texts.
        model: (!raw.model.data.is_null()).then(|| unsafe { text(&raw.model) }),
        messages: messages
            .iter()
            .map(|message| (role_name(message), unsafe { text(&message.content) }))
            .collect(),
        temperature: given(raw.temperature),
        top_p: given(raw.top_p),
        seed: (raw.has_seed != 0).then_some(raw.seed),
        max_tokens: Some(raw.max_tokens).filter(|tokens| *tokens > 0),
        stop: stop.iter().map(|stop| unsafe { text(stop) }).collect(),
        extra: unsafe { text(&raw.extra_json) },
    }
}

fn given(number: f32) -> Option<f32> {
    (!number.is_nan()).then_some(number)
}

fn role_name(message: &Message) -> &'static str {
    match message.role {
        message_role::SYSTEM => "system",
        message_role::ASSISTANT => "assistant",
        _ => "user",
    }
}

/// # Safety
/// So many must stand there for as long as the result is used.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// # Safety
/// The text must be valid UTF-8 for as long as the result is used: the host promises it for the call.
unsafe fn text(text: &Str) -> &str {
    // SAFETY: as above.
    unsafe { std::str::from_utf8_unchecked(slice(text.data.cast(), text.len)) }
}

/// Runs the body of a call; a panic becomes an error and goes no further.
fn guarded(error: *mut Error, body: impl FnOnce() -> Result<(), Failure>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    let failure = match outcome {
        Ok(Ok(())) => return status::OK,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::internal("the plugin panicked; its message is in the daemon's log"),
    };
    // SAFETY: the host passes a struct of at least the size of version 1.
    let error = unsafe { &mut *error };
    error.set_message(&failure.message);
    let detail = &failure.detail.as_bytes()[..failure.detail.floor_char_boundary(error.detail.len())];
    error.detail[..detail.len()].copy_from_slice(detail);
    error.detail_len = detail.len() as u32;
    failure.status
}
