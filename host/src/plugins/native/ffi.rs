//! Everything that needs `unsafe`: opening a library, and calls through its tables.
//!
//! What makes it sound is a contract, `sdk/native/smartrag_native.h`, and that the operator trusts the library: it was
//! named in the config with its hash. This file keeps the host's half: no null function is called, no struct is read
//! beyond the size that it declares, what is passed outlives the call, what comes back is copied at once, and calls on
//! an instance come one at a time. What the plugin's half would have to keep can be checked only in part.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use parking_lot::Mutex;
use smartrag_native as abi;

use super::failure::Failure;
use crate::plugins::stats::Stats;
use crate::telemetry::{PluginCalls, metrics};

const EVENTS_A_CALL: usize = 16;
/// Of one event.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Of names and descriptions.
const NAME_BYTES_MAX: usize = 1024;

/// The tables of a loaded library, copied out of it after they were checked.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    create: abi::CreateFn,
    destroy: abi::DestroyFn,
    pub role: RoleTable,
}

/// The functions of a role.
#[derive(Clone, Copy, Debug)]
pub enum RoleTable {
    Embedder(EmbedderTable),
    Generator(GeneratorTable),
}

#[derive(Clone, Copy, Debug)]
pub struct EmbedderTable {
    info: abi::EmbedderInfoFn,
    count_tokens: abi::CountTokensFn,
    embed: abi::EmbedFn,
}

#[derive(Clone, Copy, Debug)]
pub struct GeneratorTable {
    info: abi::GeneratorInfoFn,
    count_tokens: abi::CountTokensFn,
    generate: abi::GenerateFn,
    next: abi::NextFn,
    drop: abi::DropFn,
}

/// What a library says of itself.
#[derive(Clone, Debug)]
pub struct Opened {
    pub tables: Tables,
    pub version: String,
    pub description: String,
}

/// A library in this process. Never unloaded: its code may have started threads.
pub struct Loaded(ManuallyDrop<Library>);

impl Loaded {
    /// Runs the library's initialisers. The file stays open, too: the loader takes two files of one name for the same
    /// one, so the number in the name must not be used again.
    pub fn new(file: File) -> Result<Self, String> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: the operator trusts the library's initialisers; there is no end that would run others.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| {
            let remedy = "build it for this system, and install what it needs or link it in";
            format!("the library can't be loaded: {error}; {remedy}")
        })?;
        std::mem::forget(file);
        Ok(Self(ManuallyDrop::new(library)))
    }

    /// What the library says of itself; the version comes first.
    pub fn read(&self) -> Result<Opened, String> {
        read_tables(&self.0)
    }
}

fn read_tables(library: &Library) -> Result<Opened, String> {
    let missing = |name: &str| {
        format!("the library has no symbol `{name}`: it is no plugin of SmartRAG; see smartrag_native.h")
    };
    // SAFETY: the header gives these symbols these types.
    let version = unsafe { library.get::<abi::VersionFn>(abi::VERSION_SYMBOL) };
    let version = version.map_err(|_| missing(abi::VERSION_SYMBOL))?;
    // SAFETY: as above; the function takes nothing.
    let found = unsafe { version() };
    if found != abi::ABI_VERSION {
        let ours = abi::ABI_VERSION;
        return Err(format!(
            "the library has version {found} of the interface, this host {ours}: build it with the \
             smartrag_native.h of this host"
        ));
    }
    // SAFETY: as above, and the version is ours.
    let plugin = unsafe { library.get::<abi::PluginFn>(abi::PLUGIN_SYMBOL) };
    let plugin = plugin.map_err(|_| missing(abi::PLUGIN_SYMBOL))?;
    // SAFETY: as above.
    let table = table(unsafe { plugin() }, "smartrag_plugin")?;
    Ok(Opened {
        tables: Tables {
            create: present(table.create, "create")?,
            destroy: present(table.destroy, "destroy")?,
            role: role_table(&table)?,
        },
        version: name(&table.version).map_err(|what| format!("the library's version: {what}"))?,
        description: name(&table.description).map_err(|what| format!("the library's description: {what}"))?,
    })
}

fn role_table(plugin: &abi::Plugin) -> Result<RoleTable, String> {
    match plugin.role {
        abi::role::EMBEDDER => {
            let table = table(plugin.embedder, "smartrag_embedder")?;
            Ok(RoleTable::Embedder(EmbedderTable {
                info: present(table.info, "embedder.info")?,
                count_tokens: present(table.count_tokens, "embedder.count_tokens")?,
                embed: present(table.embed, "embedder.embed")?,
            }))
        }
        abi::role::GENERATOR => {
            let table = table(plugin.generator, "smartrag_generator")?;
            Ok(RoleTable::Generator(GeneratorTable {
                info: present(table.info, "generator.info")?,
                count_tokens: present(table.count_tokens, "generator.count_tokens")?,
                generate: present(table.generate, "generator.generate")?,
                next: present(table.next, "generator.next")?,
                drop: present(table.drop, "generator.drop")?,
            }))
        }
        other => Err(format!("the library has role {other}, which is none of smartrag_native.h")),
    }
}

fn present<F>(function: Option<F>, name: &str) -> Result<F, String> {
    function.ok_or_else(|| format!("the library's function `{name}` is NULL: fill in the whole table"))
}

/// A table by value, if it is as large as ours; all of them begin with their size.
fn table<T: Copy>(table: *const T, name: &str) -> Result<T, String> {
    if table.is_null() || !table.is_aligned() {
        return Err(format!(
            "the library's `{name}` is NULL or misaligned: return the address of a static one"
        ));
    }
    // SAFETY: not null, aligned, and at least the size stands there.
    let size = unsafe { table.cast::<u32>().read() } as usize;
    if size < size_of::<T>() {
        return Err(format!(
            "the library's `{name}` has struct_size {size}, version 1 has {}: set it to sizeof({name})",
            size_of::<T>()
        ));
    }
    // SAFETY: as large as it has to be.
    Ok(unsafe { table.read() })
}

/// A short text of the plugin's own.
fn name(text: &abi::Str) -> Result<String, String> {
    copied(text, NAME_BYTES_MAX)
}

fn copied(text: &abi::Str, max: usize) -> Result<String, String> {
    if text.len == 0 {
        return Ok(String::new());
    }
    if text.data.is_null() || text.len > max {
        return Err(format!("a text of {} bytes at {:?}, the limit is {max}", text.len, text.data));
    }
    // SAFETY: not null; the plugin says that so many bytes stand there.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.len) };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(format!("text that is not UTF-8 ({error})")),
    }
}

/// A pointer that only the plugin follows.
struct Handle(*mut c_void);

// SAFETY: the host only passes it back, and the header warns that threads change between calls.
unsafe impl Send for Handle {}

/// A configured plugin. Calls wait for each other.
pub struct Instance {
    handle: Mutex<Handle>,
    destroy: abi::DestroyFn,
    calls: PluginCalls,
    stats: Arc<Stats>,
}

impl Instance {
    /// With a configuration, a JSON object; calls are counted under the plugin's name.
    pub fn create(
        tables: &Tables,
        config: &str,
        name: &str,
        stats: Arc<Stats>,
    ) -> Result<Arc<Self>, Failure> {
        let mut handle = std::ptr::null_mut();
        let mut error = abi::Error::empty();
        // SAFETY: text, place and error outlive the call.
        let status = unsafe { (tables.create)(abi::Str::new(config), &mut handle, &mut error) };
        Failure::check(status, &error)?;
        let handle = Mutex::new(Handle(handle));
        Ok(Arc::new(Self { handle, destroy: tables.destroy, calls: metrics().calls_of(name), stats }))
    }

    fn call(&self, work: impl FnOnce(*mut c_void, &mut abi::Error) -> abi::Status) -> Result<(), Failure> {
        let handle = self.handle.lock();
        let mut error = abi::Error::empty();
        let began = Instant::now();
        let status = work(handle.0, &mut error);
        let took = began.elapsed();
        drop(handle);
        let outcome = Failure::check(status, &error);
        self.stats.called(took);
        self.calls.count(took, outcome.as_ref().err().map(Failure::code));
        outcome
    }

    /// One count a text.
    fn count_tokens(&self, function: abi::CountTokensFn, texts: &[&str]) -> Result<Vec<u32>, Failure> {
        let texts = strs(texts);
        let mut counts = vec![0; texts.len()];
        // SAFETY: texts and counts outlive the call and are as long as told.
        self.call(|handle, error| unsafe {
            function(handle, texts.as_ptr(), texts.len(), counts.as_mut_ptr(), error)
        })?;
        Ok(counts)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the last owner is here, and generations own their instance.
        unsafe { (self.destroy)(self.handle.get_mut().0) }
    }
}

fn strs<T: AsRef<str>>(texts: &[T]) -> Vec<abi::Str> {
    texts.iter().map(|text| abi::Str::new(text.as_ref())).collect()
}

/// What an embedder says of its model, copied and unchecked.
#[derive(Debug)]
pub struct RawEmbedderInfo {
    pub dimension: u32,
    pub window_tokens: u32,
    pub batch_max: u32,
    pub fusion_weight: f32,
    pub model: String,
    pub fingerprint: String,
}

impl EmbedderTable {
    pub fn info(&self, instance: &Instance) -> Result<RawEmbedderInfo, Failure> {
        let mut info = abi::EmbedderInfo {
            struct_size: size_of::<abi::EmbedderInfo>() as u32,
            dimension: 0,
            window_tokens: 0,
            batch_max: 0,
            fusion_weight: 0.0,
            model: abi::Str::NONE,
            fingerprint: abi::Str::NONE,
        };
        // SAFETY: info and error outlive the call.
        instance.call(|handle, error| unsafe { (self.info)(handle, &mut info, error) })?;
        Ok(RawEmbedderInfo {
            dimension: info.dimension,
            window_tokens: info.window_tokens,
            batch_max: info.batch_max,
            fusion_weight: info.fusion_weight,
            model: name(&info.model).map_err(Failure::Broken)?,
            fingerprint: name(&info.fingerprint).map_err(Failure::Broken)?,
        })
    }

    pub fn count_tokens(&self, instance: &Instance, texts: &[&str]) -> Result<Vec<u32>, Failure> {
        instance.count_tokens(self.count_tokens, texts)
    }

    /// As many numbers as the plugin says that it wrote.
    pub fn embed(
        &self,
        instance: &Instance,
        texts: &[&str],
        purpose: u32,
        dimension: usize,
    ) -> Result<Vec<f32>, Failure> {
        let texts = strs(texts);
        // What the plugin forgets to write is noticed by the check of numbers.
        let mut vectors = vec![f32::NAN; texts.len() * dimension];
        let mut written = 0;
        // SAFETY: texts, vectors, count and error outlive the call; vectors are as long as told.
        instance.call(|handle, error| unsafe {
            let (capacity, vectors) = (vectors.len(), vectors.as_mut_ptr());
            (self.embed)(handle, texts.as_ptr(), texts.len(), purpose, vectors, capacity, &mut written, error)
        })?;
        let capacity = vectors.len();
        if written > capacity {
            return Err(Failure::Broken(format!("{written} numbers were written into room for {capacity}")));
        }
        vectors.truncate(written);
        Ok(vectors)
    }
}

/// What a generator says of its model.
#[derive(Debug)]
pub struct RawGeneratorInfo {
    pub context_window: u32,
    pub strong: bool,
    pub wants_sentences: bool,
    pub model: String,
}

/// An event, its text copied.
#[derive(Debug)]
pub struct RawEvent {
    pub kind: u32,
    pub finish_reason: u32,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub text: String,
}

/// An answer in the making; dropping it cancels.
pub struct Generation {
    instance: Arc<Instance>,
    table: GeneratorTable,
    handle: Handle,
}

impl GeneratorTable {
    pub fn info(&self, instance: &Instance) -> Result<RawGeneratorInfo, Failure> {
        let mut info = abi::GeneratorInfo {
            struct_size: size_of::<abi::GeneratorInfo>() as u32,
            context_window: 0,
            strong: 0,
            wants_sentences: 0,
            model: abi::Str::NONE,
        };
        // SAFETY: info and error outlive the call.
        instance.call(|handle, error| unsafe { (self.info)(handle, &mut info, error) })?;
        Ok(RawGeneratorInfo {
            context_window: info.context_window,
            strong: info.strong != 0,
            wants_sentences: info.wants_sentences != 0,
            model: name(&info.model).map_err(Failure::Broken)?,
        })
    }

    pub fn count_tokens(&self, instance: &Instance, texts: &[&str]) -> Result<Vec<u32>, Failure> {
        instance.count_tokens(self.count_tokens, texts)
    }

    /// The request and all that it points to must be valid during the call.
    pub fn generate(
        &self,
        instance: &Arc<Instance>,
        request: &super::request::Request<'_>,
    ) -> Result<Generation, Failure> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the request borrows all that it points to, and outlives the call.
        instance.call(|instance, error| unsafe {
            (self.generate)(instance, request.raw(), &mut handle, error)
        })?;
        Ok(Generation { instance: instance.clone(), table: *self, handle: Handle(handle) })
    }
}

impl Generation {
    /// The next events; none at the end.
    pub fn next(&mut self) -> Result<Vec<RawEvent>, Failure> {
        let none = abi::Event {
            kind: 0,
            finish_reason: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            text: abi::Str::NONE,
        };
        let mut events = [none; EVENTS_A_CALL];
        let mut count = 0;
        // SAFETY: events, count and error outlive the call; there are as many events as told.
        self.instance.call(|instance, error| unsafe {
            (self.table.next)(instance, self.handle.0, events.as_mut_ptr(), EVENTS_A_CALL, &mut count, error)
        })?;
        // The texts stay valid until the next call on this generation, which only `self` can make.
        let events = events.get(..count).ok_or_else(|| {
            Failure::Broken(format!("{EVENTS_A_CALL} events were asked for, {count} came back"))
        })?;
        events.iter().map(event).collect::<Result<_, _>>().map_err(Failure::Broken)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let instance = self.instance.handle.lock();
        // SAFETY: once, and nobody uses it afterwards.
        unsafe { (self.table.drop)(instance.0, self.handle.0) }
    }
}

fn event(event: &abi::Event) -> Result<RawEvent, String> {
    let has_text = matches!(event.kind, abi::event_kind::TEXT | abi::event_kind::REASONING);
    Ok(RawEvent {
        kind: event.kind,
        finish_reason: event.finish_reason,
        prompt_tokens: event.prompt_tokens,
        completion_tokens: event.completion_tokens,
        text: if has_text { copied(&event.text, TEXT_BYTES_MAX)? } else { String::new() },
    })
}
