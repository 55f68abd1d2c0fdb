//! Small guests in WebAssembly text, made into components of a role's world.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wasmtime::component::{Component, Linker};
use wit_parser::{PackageId, Resolve};

use super::{Places, Plugins, WIT_VERSION};
use crate::config::PluginsConfig;
use crate::plugins::build::from_text;
use crate::plugins::models::{Models, Verifier};
use crate::plugins::wasm::engine::Engine;
use crate::plugins::wasm::guest::{Common, Guest};
use crate::plugins::wasm::host;
use crate::plugins::wasm::limits::Limits;
use crate::plugins::wasm::pool::Pool;
use crate::plugins::wasm::reranker::RerankerWorld;
use crate::types::{PluginId, Role};

/// Where `describe` finds what it says, before it was installed.
const DESCRIBED: &[u8] = b"<<<<<<<<described as>>>>>>>>";

/// Memory, allocator, and a message for every guest. Results are written at 64; 1024 holds text, 3200 what it says of
/// itself, see [`described`].
pub const COMMON: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 1024) "0123456789abcdef")
    (data (i32.const 3200) "<<<<<<<<described as>>>>>>>>................................................................................................................................................")
    (global $top (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
        (global.set $top (i32.add (local.get $at) (local.get 3)))
        (block $fits
            (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
            (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get 3) (i32.const 16))))))
        (local.get $at))
    (func $recurse (param i32) (result i32)
        (i32.add (local.get 0) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
    (func $put (param $at i32) (param $value i32) (i32.store (local.get $at) (local.get $value)))
"#;

/// Statements that return `(pointer, length)` text with no blocks, pages or warnings as a fragment.
pub fn fragment(pointer: u32, len: u32) -> String {
    format!(
        "(memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
         (call $put (i32.const 68) (i32.const {pointer})) (call $put (i32.const 72) (i32.const {len}))
         (i32.const 64)"
    )
}

/// Statements that trap.
pub const TRAP: &str = "unreachable";
/// Statements that never end.
pub const LOOP: &str = "(loop $forever (br $forever)) unreachable";
/// Statements that use up the stack.
pub const RECURSION: &str = "(call $recurse (i32.const 0))";
/// Statements that take all memory.
pub const BOMB: &str = "(loop $more (drop (memory.grow (i32.const 16))) (br $more)) unreachable";
/// Statements that return the error `corrupt`.
pub const CORRUPT: &str = "(memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
    (call $put (i32.const 64) (i32.const 1)) (call $put (i32.const 68) (i32.const 3)) (i32.const 64)";

/// A parser whose `pages(start, end)` runs the statements; `$start` and `$end` are its parameters.
pub fn parser(page_count: u32, paged: bool, pages: &str) -> String {
    format!(
        r#"(module
        (import "[export]smartrag:plugin/parser@0.1.0" "[resource-new]document"
            (func $new (param i32) (result i32)))
        {COMMON}
        (func (export "smartrag:plugin/parser@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/parser@0.1.0#open") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
            (call $put (i32.const 64) (i32.const 0))
            (call $put (i32.const 68) (call $new (i32.const 1)))
            (i32.const 64))
        (func (export "smartrag:plugin/parser@0.1.0#[method]document.summary") (param i32) (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (call $put (i32.const 64) (i32.const {page_count}))
            (call $put (i32.const 68) (i32.const {paged}))
            (i32.const 64))
        (func (export "smartrag:plugin/parser@0.1.0#[method]document.pages")
            (param i32) (param $start i32) (param $end i32) (result i32)
            {pages}))"#,
        paged = u32::from(paged),
    )
}

/// An embedder of dimension 2 whose `embed` returns `[1, 0]` for each text; `info` runs the statements first.
pub fn embedder(info: &str) -> String {
    format!(
        r#"(module
        (import "smartrag:plugin/model-files@0.1.0" "open" (func $open (param i32 i32 i32)))
        {COMMON}
        (func (export "smartrag:plugin/embedder@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/embedder@0.1.0#info") (result i32)
            {info}
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (call $put (i32.const 76) (i32.const 2))
            (call $put (i32.const 80) (i32.const 256))
            (call $put (i32.const 84) (i32.const 2))
            (f32.store (i32.const 88) (f32.const 0.25))
            (call $put (i32.const 92) (i32.const 1024)) (call $put (i32.const 96) (i32.const 4))
            (i32.const 64))
        (func (export "smartrag:plugin/embedder@0.1.0#embed")
            (param $texts i32) (param $count i32) (param i32) (result i32)
            (local $index i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (call $put (i32.const 72) (i32.const 2))
            (call $put (i32.const 76) (i32.const 2048))
            (call $put (i32.const 80) (i32.mul (local.get $count) (i32.const 2)))
            (loop $rows
                (f32.store
                    (i32.add (i32.const 2048) (i32.mul (local.get $index) (i32.const 8))) (f32.const 1))
                (br_if $rows (i32.lt_u
                    (local.tee $index (i32.add (local.get $index) (i32.const 1))) (local.get $count))))
            (i32.const 64))
        (func (export "smartrag:plugin/embedder@0.1.0#count-tokens") (param i32 i32) (result i32) unreachable))"#
    )
}

/// Opens the model file `0123` and returns its error where there is one.
pub const OPEN_MODEL: &str = "(call $open (i32.const 1024) (i32.const 4) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))";

/// A reranker that scores every passage `score`.
pub fn reranker(score: &str) -> String {
    format!(
        r#"(module
        {COMMON}
        (func (export "smartrag:plugin/reranker@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/reranker@0.1.0#rerank")
            (param i32 i32 i32) (param $count i32) (result i32)
            (local $index i32)
            (call $put (i32.const 64) (i32.const 0))
            (call $put (i32.const 68) (i32.const 2048))
            (call $put (i32.const 72) (local.get $count))
            (loop $scores
                (f32.store
                    (i32.add (i32.const 2048) (i32.mul (local.get $index) (i32.const 4))) (f32.const {score}))
                (br_if $scores (i32.lt_u
                    (local.tee $index (i32.add (local.get $index) (i32.const 1))) (local.get $count))))
            (i32.const 64)))"#
    )
}

/// An enricher that annotates nothing, and returns as many chunks as the statement says; `$count` were given.
pub fn enricher(count: &str) -> String {
    let document = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    format!(
        r#"(module
        (import "smartrag:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
        {COMMON}
        (func (export "smartrag:plugin/enricher@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/enricher@0.1.0#enrich-document") {document} (result i32)
            (local $lines i32)
            (loop $more
                (call $log (i32.const 2) (i32.const 1024) (i32.const 16))
                (br_if $more (i32.lt_u
                    (local.tee $lines (i32.add (local.get $lines) (i32.const 1))) (i32.const 1000))))
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (i32.const 64))
        (func (export "smartrag:plugin/enricher@0.1.0#enrich-chunks")
            {document} (param i32) (param $count i32) (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (memory.fill (i32.const 2048) (i32.const 0) (i32.const 1024))
            (call $put (i32.const 68) (i32.const 2048))
            (call $put (i32.const 72) {count})
            (i32.const 64)))"#
    )
}

/// A generator that counts from `0` on, a digit an event, for `events` events and then ends.
pub fn generator(events: u32) -> String {
    format!(
        r#"(module
        (import "[export]smartrag:plugin/generator@0.1.0" "[resource-new]generation"
            (func $new (param i32) (result i32)))
        {COMMON}
        (global $given (mut i32) (i32.const 0))
        (func (export "smartrag:plugin/generator@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/generator@0.1.0#info") (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#generate") (param i32) (result i32)
            (call $put (i32.const 64) (i32.const 0))
            (call $put (i32.const 68) (call $new (i32.const 1)))
            (global.set $given (i32.const 0))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#[method]generation.next")
            (param i32 i32) (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (if (i32.ge_u (global.get $given) (i32.const {events})) (then (return (i32.const 64))))
            (call $put (i32.const 68) (i32.const 2048))
            (call $put (i32.const 72) (i32.const 1))
            (call $put (i32.const 2048) (i32.const 0))
            (call $put (i32.const 2052) (i32.add (i32.const 1024) (global.get $given)))
            (call $put (i32.const 2056) (i32.const 1))
            (global.set $given (i32.add (global.get $given) (i32.const 1)))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#count-tokens") (param i32 i32) (result i32) unreachable))"#
    )
}

/// A generator that posts to the URL in its answer-to-be: each event is a piece of the body, as it comes. It sends
/// `authorization: Bearer {{secret:key}}`, and never drops an answer: not at its end, not when it is dropped itself.
pub fn web_generator(url: &str) -> String {
    let data = |at: u32, text: &str| format!("(data (i32.const {at}) \"{text}\")");
    let (name, value) = ("authorization", "Bearer {{secret:key}}");
    format!(
        r#"(module
        (import "[export]smartrag:plugin/generator@0.1.0" "[resource-new]generation"
            (func $new (param i32) (result i32)))
        (import "smartrag:plugin/http@0.1.0" "send"
            (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "smartrag:plugin/http@0.1.0" "[method]response.read" (func $read (param i32 i32 i32)))
        {COMMON}
        {} {} {} {}
        (func (export "smartrag:plugin/generator@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/generator@0.1.0#info") (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#generate") (param i32) (result i32)
            (call $put (i32.const 512) (i32.const 1700)) (call $put (i32.const 516) (i32.const {name_len}))
            (call $put (i32.const 520) (i32.const 1800)) (call $put (i32.const 524) (i32.const {value_len}))
            (call $send
                (i32.const 1600) (i32.const 4) (i32.const 1200) (i32.const {url_len})
                (i32.const 512) (i32.const 1) (i32.const 1024) (i32.const 3)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
            (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
            (call $put (i32.const 68) (call $new (i32.load (i32.const 68))))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#[method]generation.next")
            (param $response i32) (param i32) (result i32)
            (global.set $top (i32.const 4096))
            (call $read (local.get $response) (i32.const 64) (i32.const 128))
            (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (if (i32.eqz (i32.load8_u (i32.const 132))) (then (return (i32.const 64))))
            (call $put (i32.const 68) (i32.const 2048))
            (call $put (i32.const 72) (i32.const 1))
            (call $put (i32.const 2048) (i32.const 0))
            (call $put (i32.const 2052) (i32.load (i32.const 136)))
            (call $put (i32.const 2056) (i32.load (i32.const 140)))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#count-tokens") (param i32 i32) (result i32) unreachable))"#,
        data(1200, url),
        data(1600, "POST"),
        data(1700, name),
        data(1800, value),
        name_len = name.len(),
        value_len = value.len(),
        url_len = url.len(),
    )
}

/// Reads our own WIT.
pub fn resolve_own(resolve: &mut Resolve) -> PackageId {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit").join(WIT_VERSION);
    resolve.push_dir(wit).unwrap().0
}

/// The component of a core module in text.
pub fn component(role: Role, module: &str) -> Vec<u8> {
    from_text(role, module).unwrap()
}

/// Has a guest of this file say the name and version of its manifest.
fn described(component: &[u8], manifest: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let Some(at) = bytes.windows(DESCRIBED.len()).position(|piece| piece == DESCRIBED) else { return bytes };
    let manifest: toml::Table = toml::from_str(manifest).unwrap_or_default();
    let value = |key: &str| manifest.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let (name, version) = (value("name"), value("version"));
    // A record of five pairs of address and length, then the texts.
    let base = 3200 + 40;
    let texts = format!("{name}{version}{{}}");
    let lens = [name.len(), version.len(), 0, 2, 0];
    let starts = [0, name.len(), 0, name.len() + version.len(), 0];
    let record = starts.iter().zip(lens).flat_map(|(start, len)| [base + *start as u32, len as u32]);
    let record: Vec<u8> = record.flat_map(u32::to_le_bytes).chain(texts.bytes()).collect();
    bytes[at..at + record.len()].copy_from_slice(&record);
    bytes
}

/// A pool of a reranker, outside of any registry, with a short deadline and instances that last three calls.
pub fn reranker_pool(module: &str, max: usize) -> Arc<Pool<RerankerWorld>> {
    let engine = Engine::start().unwrap();
    let mut linker = Linker::new(engine.wasm());
    host::link(&mut linker).unwrap();
    let component = Component::from_binary(engine.wasm(), &component(Role::Reranker, module)).unwrap();
    let world = RerankerWorld::new(linker.instantiate_pre(&component).unwrap()).unwrap();
    let limits = Limits {
        memory_max: 8 << 20,
        deadline: Duration::from_millis(100),
        output_max: 1 << 20,
        invocations_max: 3,
    };
    let verifier = Arc::new(Verifier::new(None));
    let common = Common {
        id: PluginId { name: "guest".into(), version: "1".into(), sha256: String::new() },
        limits,
        models: Arc::new(Models::new(Vec::new(), Arc::from([]), verifier)),
        egress: None,
        wasi: false,
        stats: Arc::default(),
        engine,
    };
    Pool::new(Guest::new(Arc::new(world), common, "{}"), max)
}

/// A host with directories of its own.
pub struct TestHost {
    dir: TempDir,
    /// Grants and settings.
    pub config: PluginsConfig,
}

impl TestHost {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), config: PluginsConfig::default() }
    }

    /// With one plugin of a role, made from a core module in text.
    pub fn with(role: Role, module: &str) -> Self {
        let host = Self::new();
        host.install("guest", &manifest("guest", role), &component(role, module));
        host
    }

    pub fn install(&self, name: &str, manifest: &str, component: &[u8]) {
        let dir = self.plugin_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("plugin.toml"), manifest).unwrap();
        fs::write(dir.join("plugin.wasm"), described(component, manifest)).unwrap();
    }

    pub fn plugin_dir(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    pub fn model_dir(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    pub fn cache_dir(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub fn load(&self) -> Plugins {
        let places = Places {
            plugin_dirs: vec![self.plugin_dir()],
            model_dirs: vec![self.model_dir()],
            cache_dir: self.cache_dir(),
        };
        Plugins::load(&places, &self.config).unwrap()
    }
}

/// The least manifest, with limits fit for tests.
pub fn manifest(name: &str, role: Role) -> String {
    let handles = if role == Role::Parser { "[handles]\nfile_types = [\"txt\"]\n" } else { "" };
    format!(
        "name = \"{name}\"\nversion = \"1.2.3\"\nrole = \"{role}\"\nwit = \"0.1.0\"\n{handles}\
         [limits]\nmemory_max = \"8MiB\"\ndeadline = \"20s\"\noutput_max = \"1MiB\"\n"
    )
}
