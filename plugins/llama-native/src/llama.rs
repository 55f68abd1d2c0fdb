//! llama.cpp itself: its one backend, its log, and a context that owns its model.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use crate::config::Config;
use crate::failure::Failure;

/// Tokens that a step takes at most.
pub const BATCH_MAX: usize = 512;

/// llama.cpp is started once a process, and models and contexts are made one at a time.
static BACKEND: Mutex<Option<LlamaBackend>> = Mutex::new(None);
/// What llama.cpp last complained of.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` alone; says what llama.cpp complained of meanwhile.
fn alone<T>(work: impl FnOnce(&LlamaBackend) -> Option<T>) -> Result<T, String> {
    let mut backend = lock(&BACKEND);
    let backend = match &mut *backend {
        Some(backend) => backend,
        none => {
            // SAFETY: the function stays, and takes calls from any thread.
            unsafe { sys::llama_log_set(Some(listen), std::ptr::null_mut()) };
            none.insert(LlamaBackend::init().map_err(|error| error.to_string())?)
        }
    };
    lock(&COMPLAINT).clear();
    work(backend).ok_or_else(|| match lock(&COMPLAINT).trim() {
        "" => "llama.cpp gives no reason".to_owned(),
        complaint => format!("llama.cpp says: {complaint}"),
    })
}

/// Keeps the last complaint; the rest of the log tells an operator nothing.
unsafe extern "C" fn listen(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level == sys::GGML_LOG_LEVEL_ERROR && !text.is_null() {
        // SAFETY: llama.cpp passes a text that ends with NUL.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let line: String = text.trim().chars().take(300).collect();
        *lock(&COMPLAINT) = line;
    }
}

/// Reads a GGUF file; the weights are mapped, not copied, as far as the processor can use them as they are.
///
/// # Errors
/// What llama.cpp says.
pub fn load(path: &Path, gpu_layers: Option<u32>) -> Result<LlamaModel, String> {
    let params = LlamaModelParams::default();
    let params = match gpu_layers {
        Some(layers) => params.with_n_gpu_layers(layers),
        None => params,
    };
    alone(|backend| LlamaModel::load_from_file(backend, path, &params).ok())
}

/// A context: what the model remembers of each sequence, and the place where it computes.
#[derive(Debug)]
pub struct Session {
    /// Before the model, so that it goes first.
    context: LlamaContext<'static>,
    batch: LlamaBatch<'static>,
    _model: Arc<LlamaModel>,
}

impl Session {
    /// With room for `context` tokens that `parallel` sequences share.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn new(model: Arc<LlamaModel>, config: &Config) -> Result<Self, Failure> {
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(config.context))
            .with_n_batch(BATCH_MAX as u32)
            .with_n_ubatch(BATCH_MAX as u32)
            .with_n_seq_max(config.parallel)
            .with_kv_unified(true)
            .with_n_threads(config.threads())
            .with_n_threads_batch(config.threads());
        // SAFETY: the model is owned by the same struct, never exchanged, and dropped after the context.
        let forever: &'static LlamaModel = unsafe { &*Arc::as_ptr(&model) };
        let context = alone(|backend| forever.new_context(backend, params).ok()).map_err(|said| {
            let tokens = config.context;
            Failure::memory(format!("no room for a context of {tokens} tokens: lower `context`; {said}"))
        })?;
        Ok(Self { context, batch: LlamaBatch::new(BATCH_MAX, 1), _model: model })
    }

    /// Empties the batch.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// Puts a token into the batch; its row in it.
    ///
    /// # Errors
    /// If the batch is full.
    pub fn add(
        &mut self,
        token: LlamaToken,
        position: usize,
        sequence: usize,
        asks: bool,
    ) -> Result<i32, Failure> {
        let row = self.batch.n_tokens();
        self.batch
            .add(token, position as i32, &[sequence as i32], asks)
            .map_err(|error| Failure::internal(error.to_string()))?;
        Ok(row)
    }

    /// Computes the batch.
    ///
    /// # Errors
    /// If llama.cpp can't; what it then remembers of the sequences is not to be relied on.
    pub fn decode(&mut self) -> Result<(), Failure> {
        self.context.decode(&mut self.batch).map_err(|error| Failure::internal(format!("llama.cpp: {error}")))
    }

    /// Chooses the token that follows a row which asked for it.
    pub fn sample(&self, sampler: &mut LlamaSampler, row: i32) -> LlamaToken {
        sampler.sample(&self.context, row)
    }

    /// Forgets all but the first `length` tokens of a sequence. False if this kind of model can only forget all, which
    /// then happened.
    pub fn keep(&mut self, sequence: usize, length: usize) -> bool {
        let from = if length == 0 { None } else { Some(length as u32) };
        if self.context.kv_cache_seq_rm(sequence as i32, from, None).is_ok() {
            return true;
        }
        // Removing a whole sequence never fails.
        let _ = self.context.kv_cache_seq_rm(sequence as i32, None, None);
        false
    }

    /// Lets an empty sequence share the first `length` tokens of another.
    pub fn share(&mut self, from: usize, to: usize, length: usize) {
        // Fails for positions above i32 only, which no context has.
        let _ = self.context.kv_cache_seq_cp(from as i32, to as i32, None, Some(length as u32));
    }
}
