//! The plugin as the host sees it: through its table.

#![allow(unsafe_code, dead_code)]

use std::ffi::c_void;
use std::path::PathBuf;

use smartrag_native::*;

/// The model that the tests use; `None` where it is not there, which is said.
pub fn weights() -> Option<PathBuf> {
    let path = std::env::var_os("LLAMA_NATIVE_GGUF").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: LLAMA_NATIVE_GGUF names no model; scripts/test-llama-native.sh brings one");
    }
    path
}

/// What an event says, copied.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Text(String),
    Reasoning(String),
    Usage(u32, u32),
    Finish(u32),
}

/// Status, detail and message of a failure.
pub type Refusal = (u32, String, String);

/// What a question may have.
#[derive(Clone, Default)]
pub struct Ask<'a> {
    pub model: Option<&'a str>,
    pub messages: Vec<(u32, &'a str)>,
    pub temperature: Option<f32>,
    pub seed: Option<u64>,
    pub max_tokens: u32,
    pub stop: Vec<&'a str>,
    pub extra: &'a str,
}

impl<'a> Ask<'a> {
    /// One question, the likeliest answer.
    pub fn user(text: &'a str, max_tokens: u32) -> Self {
        Self {
            messages: vec![(message_role::USER, text)],
            temperature: Some(0.0),
            max_tokens,
            ..Self::default()
        }
    }
}

pub struct Instance {
    table: Generator,
    destroy: DestroyFn,
    handle: *mut c_void,
}

impl Instance {
    pub fn new(config: &str) -> Result<Self, Refusal> {
        assert_eq!(llama_native::smartrag_native_abi_version(), ABI_VERSION);
        // SAFETY: the tables stay as they are.
        let (plugin, table) = unsafe {
            let plugin = *llama_native::smartrag_native_plugin();
            (plugin, *plugin.generator)
        };
        let (mut handle, mut error) = (std::ptr::null_mut(), Error::empty());
        // SAFETY: everything outlives the call.
        let status = unsafe { plugin.create.unwrap()(Str::new(config), &mut handle, &mut error) };
        check(status, &error)?;
        Ok(Self { table, destroy: plugin.destroy.unwrap(), handle })
    }

    /// The model that the tests use, with more settings.
    pub fn with_weights(more: &str) -> Option<Self> {
        let path = weights()?;
        Some(Self::new(&format!(r#"{{"model_path": {path:?}{more}}}"#)).unwrap())
    }

    pub fn info(&self) -> (String, u32, u32) {
        let mut info = GeneratorInfo {
            struct_size: size_of::<GeneratorInfo>() as u32,
            context_window: 0,
            strong: 9,
            wants_sentences: 9,
            model: Str::NONE,
        };
        let mut error = Error::empty();
        // SAFETY: everything outlives the call.
        let status = unsafe { self.table.info.unwrap()(self.handle, &mut info, &mut error) };
        check(status, &error).unwrap();
        (text(&info.model), info.context_window, info.strong)
    }

    pub fn count(&self, texts: &[&str]) -> Vec<u32> {
        let texts: Vec<Str> = texts.iter().map(|text| Str::new(text)).collect();
        let (mut counts, mut error) = (vec![0; texts.len()], Error::empty());
        let call = self.table.count_tokens.unwrap();
        // SAFETY: everything outlives the call and is as long as told.
        let status =
            unsafe { call(self.handle, texts.as_ptr(), texts.len(), counts.as_mut_ptr(), &mut error) };
        check(status, &error).unwrap();
        counts
    }

    pub fn generate(&self, ask: &Ask) -> Result<Generation<'_>, Refusal> {
        let message = |(role, text): &(u32, &str)| Message { role: *role, content: Str::new(text) };
        let messages: Vec<_> = ask.messages.iter().map(message).collect();
        let stop: Vec<_> = ask.stop.iter().map(|text| Str::new(text)).collect();
        let request = Request {
            struct_size: size_of::<Request>() as u32,
            has_seed: u32::from(ask.seed.is_some()),
            seed: ask.seed.unwrap_or(0),
            temperature: ask.temperature.unwrap_or(f32::NAN),
            top_p: f32::NAN,
            max_tokens: ask.max_tokens,
            model: ask.model.map_or(Str::NONE, Str::new),
            question: Str::new("unused"),
            language: Str::new("en"),
            messages: messages.as_ptr(),
            message_count: messages.len(),
            passages: std::ptr::null(),
            passage_count: 0,
            stop: stop.as_ptr(),
            stop_count: stop.len(),
            extra_json: Str::new(if ask.extra.is_empty() { "{}" } else { ask.extra }),
        };
        let (mut handle, mut error) = (std::ptr::null_mut(), Error::empty());
        // SAFETY: everything outlives the call.
        let status = unsafe { self.table.generate.unwrap()(self.handle, &request, &mut handle, &mut error) };
        check(status, &error)?;
        Ok(Generation { instance: self, handle })
    }

    /// The whole answer, its usage, and why it ended.
    pub fn answer(&self, ask: &Ask) -> (String, (u32, u32), u32) {
        self.generate(ask).unwrap().rest()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: once; generations borrow the instance.
        unsafe { (self.destroy)(self.handle) }
    }
}

pub struct Generation<'a> {
    instance: &'a Instance,
    handle: *mut c_void,
}

impl Generation<'_> {
    pub fn next(&mut self) -> Result<Vec<Said>, Refusal> {
        let none =
            Event { kind: 99, finish_reason: 0, prompt_tokens: 0, completion_tokens: 0, text: Str::NONE };
        let (mut events, mut count, mut error) = ([none; 16], 0, Error::empty());
        let call = self.instance.table.next.unwrap();
        // SAFETY: everything outlives the call and is as long as told.
        let status = unsafe {
            call(self.instance.handle, self.handle, events.as_mut_ptr(), events.len(), &mut count, &mut error)
        };
        check(status, &error)?;
        Ok(events[..count].iter().map(said).collect())
    }

    pub fn rest(mut self) -> (String, (u32, u32), u32) {
        let (mut answer, mut usage, mut reason) = (String::new(), (0, 0), None);
        loop {
            let events = self.next().unwrap();
            if events.is_empty() {
                return (answer, usage, reason.expect("a reason"));
            }
            for event in events {
                match event {
                    Said::Text(text) => answer.push_str(&text),
                    Said::Usage(prompt, completion) => usage = (prompt, completion),
                    Said::Finish(why) => reason = Some(why),
                    Said::Reasoning(_) => {}
                }
            }
        }
    }
}

impl Drop for Generation<'_> {
    fn drop(&mut self) {
        // SAFETY: once.
        unsafe { self.instance.table.drop.unwrap()(self.instance.handle, self.handle) }
    }
}

fn said(event: &Event) -> Said {
    match event.kind {
        event_kind::TEXT => Said::Text(text(&event.text)),
        event_kind::REASONING => Said::Reasoning(text(&event.text)),
        event_kind::USAGE => Said::Usage(event.prompt_tokens, event.completion_tokens),
        event_kind::FINISH => Said::Finish(event.finish_reason),
        other => panic!("event kind {other}"),
    }
}

fn text(raw: &Str) -> String {
    // SAFETY: the plugin says so.
    let bytes = unsafe { std::slice::from_raw_parts(raw.data.cast::<u8>(), raw.len) };
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn check(status: u32, error: &Error) -> Result<(), Refusal> {
    let text = |bytes: &[u8], len: u32| String::from_utf8(bytes[..len as usize].to_vec()).unwrap();
    match status {
        status::OK => Ok(()),
        _ => Err((status, text(&error.detail, error.detail_len), text(&error.message, error.message_len))),
    }
}
