//! The types of `smartrag_native.h`, which has the rules: read it first. Used by the host and by plugins in Rust; a
//! test holds both to the same layout.

#![allow(missing_docs)]

use std::ffi::{c_char, c_void};

/// What `smartrag_native_abi_version` must return.
pub const ABI_VERSION: u32 = 1;
/// The symbol that is looked at first.
pub const VERSION_SYMBOL: &str = "smartrag_native_abi_version";
/// The symbol that returns the [`Plugin`].
pub const PLUGIN_SYMBOL: &str = "smartrag_native_plugin";

/// Type of [`VERSION_SYMBOL`].
pub type VersionFn = unsafe extern "C" fn() -> u32;
/// Type of [`PLUGIN_SYMBOL`].
pub type PluginFn = unsafe extern "C" fn() -> *const Plugin;

/// What every call returns: [`status::OK`], or why it failed.
pub type Status = u32;

/// Values of [`Status`].
pub mod status {
    pub const OK: u32 = 0;
    pub const INVALID_INPUT: u32 = 1;
    pub const INVALID_CONFIG: u32 = 2;
    pub const UNSUPPORTED: u32 = 3;
    pub const LIMIT: u32 = 4;
    pub const MISSING_MODEL: u32 = 5;
    pub const UNAVAILABLE: u32 = 6;
    pub const UPSTREAM: u32 = 7;
    pub const TIMEOUT: u32 = 8;
    pub const INTERNAL: u32 = 9;
    pub const OTHER: u32 = 10;
}

/// Values of [`Plugin::role`].
pub mod role {
    pub const EMBEDDER: u32 = 1;
    pub const GENERATOR: u32 = 2;
}

/// Values of `purpose` of [`Embedder::embed`].
pub mod purpose {
    pub const QUERY: u32 = 0;
    pub const PASSAGE: u32 = 1;
}

/// Values of [`Message::role`].
pub mod message_role {
    pub const SYSTEM: u32 = 0;
    pub const USER: u32 = 1;
    pub const ASSISTANT: u32 = 2;
}

/// Values of [`Event::kind`].
pub mod event_kind {
    pub const TEXT: u32 = 0;
    pub const REASONING: u32 = 1;
    pub const USAGE: u32 = 2;
    pub const FINISH: u32 = 3;
}

/// Values of [`Event::finish_reason`].
pub mod finish_reason {
    pub const STOP: u32 = 0;
    pub const LENGTH: u32 = 1;
    pub const CANCELLED: u32 = 2;
    pub const FILTERED: u32 = 3;
    pub const ABSTAINED: u32 = 4;
}

/// A text: `len` bytes of UTF-8 at `data`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    pub data: *const c_char,
    pub len: usize,
}

impl Str {
    /// What "none" looks like.
    pub const NONE: Self = Self { data: std::ptr::null(), len: 0 };

    /// Borrows without saying so: the text must outlive its use.
    pub const fn new(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), len: text.len() }
    }
}

/// Filled in by the plugin when it returns anything but [`status::OK`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Error {
    pub struct_size: u32,
    pub retryable: u32,
    pub retry_after_ms: u32,
    pub detail_len: u32,
    pub message_len: u32,
    pub detail: [u8; 128],
    pub message: [u8; 1024],
}

impl Error {
    /// As the host passes it.
    pub const fn empty() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            retryable: 0,
            retry_after_ms: 0,
            detail_len: 0,
            message_len: 0,
            detail: [0; 128],
            message: [0; 1024],
        }
    }

    /// Puts in what people shall read, cut to what fits.
    pub fn set_message(&mut self, message: &str) {
        let text = &message.as_bytes()[..message.floor_char_boundary(self.message.len())];
        self.message[..text.len()].copy_from_slice(text);
        self.message_len = text.len() as u32;
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EmbedderInfo {
    pub struct_size: u32,
    pub dimension: u32,
    pub window_tokens: u32,
    pub batch_max: u32,
    pub fusion_weight: f32,
    pub model: Str,
    pub fingerprint: Str,
}

pub type EmbedderInfoFn = unsafe extern "C" fn(*mut c_void, *mut EmbedderInfo, *mut Error) -> Status;
pub type CountTokensFn = unsafe extern "C" fn(*mut c_void, *const Str, usize, *mut u32, *mut Error) -> Status;
pub type EmbedFn = unsafe extern "C" fn(
    *mut c_void,
    *const Str,
    usize,
    u32,
    *mut f32,
    usize,
    *mut usize,
    *mut Error,
) -> Status;

/// Text to vectors.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Embedder {
    pub struct_size: u32,
    pub info: Option<EmbedderInfoFn>,
    pub count_tokens: Option<CountTokensFn>,
    pub embed: Option<EmbedFn>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GeneratorInfo {
    pub struct_size: u32,
    pub context_window: u32,
    pub strong: u32,
    pub wants_sentences: u32,
    pub model: Str,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub role: u32,
    pub content: Str,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sentence {
    pub start: usize,
    pub end: usize,
    pub similarity: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    pub citation: u32,
    pub score: f32,
    pub similarity: f32,
    pub text: Str,
    pub title: Str,
    pub language: Str,
    pub heading_path: *const Str,
    pub heading_count: usize,
    pub sentences: *const Sentence,
    pub sentence_count: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub struct_size: u32,
    pub has_seed: u32,
    pub seed: u64,
    pub temperature: f32,
    pub top_p: f32,
    pub max_tokens: u32,
    pub model: Str,
    pub question: Str,
    pub language: Str,
    pub messages: *const Message,
    pub message_count: usize,
    pub passages: *const Passage,
    pub passage_count: usize,
    pub stop: *const Str,
    pub stop_count: usize,
    pub extra_json: Str,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub kind: u32,
    pub finish_reason: u32,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub text: Str,
}

pub type GeneratorInfoFn = unsafe extern "C" fn(*mut c_void, *mut GeneratorInfo, *mut Error) -> Status;
pub type GenerateFn =
    unsafe extern "C" fn(*mut c_void, *const Request, *mut *mut c_void, *mut Error) -> Status;
pub type NextFn =
    unsafe extern "C" fn(*mut c_void, *mut c_void, *mut Event, usize, *mut usize, *mut Error) -> Status;
pub type DropFn = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// Question and passages to an answer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    pub struct_size: u32,
    pub info: Option<GeneratorInfoFn>,
    pub count_tokens: Option<CountTokensFn>,
    pub generate: Option<GenerateFn>,
    pub next: Option<NextFn>,
    pub drop: Option<DropFn>,
}

pub type CreateFn = unsafe extern "C" fn(Str, *mut *mut c_void, *mut Error) -> Status;
pub type DestroyFn = unsafe extern "C" fn(*mut c_void);

/// What [`PLUGIN_SYMBOL`] returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    pub struct_size: u32,
    pub role: u32,
    pub version: Str,
    pub description: Str,
    pub create: Option<CreateFn>,
    pub destroy: Option<DestroyFn>,
    pub embedder: *const Embedder,
    pub generator: *const Generator,
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::mem::offset_of;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// `(expression in C, the same here)` for every struct: its size, and the place of each field.
    macro_rules! layout {
        ($($c:ident = $rust:ident { $($field:ident),* })*) => {
            vec![$(
                (format!("sizeof({})", stringify!($c)), size_of::<$rust>()),
                $((format!("offsetof({}, {})", stringify!($c), stringify!($field)), offset_of!($rust, $field)),)*
            )*]
        };
    }

    fn layout() -> Vec<(String, usize)> {
        layout! {
            smartrag_str = Str { data, len }
            smartrag_error = Error {
                struct_size, retryable, retry_after_ms, detail_len, message_len, detail, message
            }
            smartrag_embedder_info = EmbedderInfo {
                struct_size, dimension, window_tokens, batch_max, fusion_weight, model, fingerprint
            }
            smartrag_embedder = Embedder { struct_size, info, count_tokens, embed }
            smartrag_generator_info = GeneratorInfo {
                struct_size, context_window, strong, wants_sentences, model
            }
            smartrag_message = Message { role, content }
            smartrag_sentence = Sentence { start, end, similarity }
            smartrag_passage = Passage {
                citation, score, similarity, text, title, language, heading_path, heading_count, sentences,
                sentence_count
            }
            smartrag_request = Request {
                struct_size, has_seed, seed, temperature, top_p, max_tokens, model, question, language, messages,
                message_count, passages, passage_count, stop, stop_count, extra_json
            }
            smartrag_event = Event { kind, finish_reason, prompt_tokens, completion_tokens, text }
            smartrag_generator = Generator { struct_size, info, count_tokens, generate, next, drop }
            smartrag_plugin = Plugin {
                struct_size, role, version, description, create, destroy, embedder, generator
            }
        }
    }

    fn constants() -> Vec<(&'static str, u32)> {
        vec![
            ("SMARTRAG_NATIVE_ABI_VERSION", ABI_VERSION),
            ("SMARTRAG_OK", status::OK),
            ("SMARTRAG_INVALID_INPUT", status::INVALID_INPUT),
            ("SMARTRAG_INVALID_CONFIG", status::INVALID_CONFIG),
            ("SMARTRAG_UNSUPPORTED", status::UNSUPPORTED),
            ("SMARTRAG_LIMIT", status::LIMIT),
            ("SMARTRAG_MISSING_MODEL", status::MISSING_MODEL),
            ("SMARTRAG_UNAVAILABLE", status::UNAVAILABLE),
            ("SMARTRAG_UPSTREAM", status::UPSTREAM),
            ("SMARTRAG_TIMEOUT", status::TIMEOUT),
            ("SMARTRAG_INTERNAL", status::INTERNAL),
            ("SMARTRAG_OTHER", status::OTHER),
            ("SMARTRAG_EMBEDDER", role::EMBEDDER),
            ("SMARTRAG_GENERATOR", role::GENERATOR),
            ("SMARTRAG_QUERY", purpose::QUERY),
            ("SMARTRAG_PASSAGE", purpose::PASSAGE),
            ("SMARTRAG_SYSTEM", message_role::SYSTEM),
            ("SMARTRAG_USER", message_role::USER),
            ("SMARTRAG_ASSISTANT", message_role::ASSISTANT),
            ("SMARTRAG_TEXT", event_kind::TEXT),
            ("SMARTRAG_REASONING", event_kind::REASONING),
            ("SMARTRAG_USAGE", event_kind::USAGE),
            ("SMARTRAG_FINISH", event_kind::FINISH),
            ("SMARTRAG_STOP", finish_reason::STOP),
            ("SMARTRAG_LENGTH", finish_reason::LENGTH),
            ("SMARTRAG_CANCELLED", finish_reason::CANCELLED),
            ("SMARTRAG_FILTERED", finish_reason::FILTERED),
            ("SMARTRAG_ABSTAINED", finish_reason::ABSTAINED),
        ]
    }

    /// The C compiler judges: each line is an assertion of C11.
    #[test]
    fn header_and_crate_are_of_one_layout() {
        let sizes = layout().into_iter();
        let constants = constants().into_iter().map(|(c, here)| (c.to_owned(), here as usize));
        let lines =
            sizes.chain(constants).map(|(c, here)| format!("_Static_assert({c} == {here}, \"{c}\");\n"));
        let program = format!("#include \"smartrag_native.h\"\n{}", lines.collect::<String>());
        let mut compiler = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")))
            .args(["-x", "c", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a C compiler: Rust links with it, too");
        compiler.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        let output = compiler.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let mut error = Error::empty();
        error.set_message(&"ä".repeat(1000));
        assert_eq!(error.message_len, 1024);
        error.set_message(&format!("x{}", "ä".repeat(1000)));
        assert_eq!(error.message_len, 1023);
    }
}
