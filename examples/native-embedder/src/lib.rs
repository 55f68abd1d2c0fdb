//! A native plugin in Rust: the C interface around [`hashing`].
//!
//! Two rules of `smartrag_native.h` shape this file. No panic may leave a function: each body runs in
//! `guarded`, which turns a panic into an error. And what the host passes is only valid during the call: texts are
//! borrowed inside of it and never kept.

pub mod hashing;

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smartrag_native::{ABI_VERSION, Embedder, EmbedderInfo, Error, Plugin, Status, Str, role, status};

/// Why a call failed.
type Failure = (Status, &'static str);

static EMBEDDER: Embedder = Embedder {
    struct_size: size_of::<Embedder>() as u32,
    info: Some(info),
    count_tokens: Some(count_tokens),
    embed: Some(embed),
};

/// The pointers in it are to constants, so all threads may share it.
struct Table(Plugin);

// SAFETY: nobody writes to it or to what it points to.
unsafe impl Sync for Table {}

static PLUGIN: Table = Table(Plugin {
    struct_size: size_of::<Plugin>() as u32,
    role: role::EMBEDDER,
    version: Str::new(env!("CARGO_PKG_VERSION")),
    description: Str::new("Hashes words and their parts: no model, no weights"),
    create: Some(create),
    destroy: Some(destroy),
    embedder: &EMBEDDER,
    generator: std::ptr::null(),
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

/// There is no state, so any value does for an instance.
unsafe extern "C" fn create(config: Str, instance: *mut *mut c_void, error: *mut Error) -> Status {
    guarded(error, || {
        // SAFETY: the host passes a valid text and a place for the instance.
        let (config, instance) = unsafe { (text(&config), &mut *instance) };
        *instance = std::ptr::null_mut();
        let is_empty = config.bytes().all(|byte| b"{} \n".contains(&byte));
        if is_empty { Ok(()) } else { Err((status::INVALID_CONFIG, "takes no settings: remove them")) }
    })
}

unsafe extern "C" fn destroy(_: *mut c_void) {}

unsafe extern "C" fn info(_: *mut c_void, info: *mut EmbedderInfo, error: *mut Error) -> Status {
    guarded(error, || {
        // SAFETY: the host passes a struct of at least the size of version 1.
        let info = unsafe { &mut *info };
        info.dimension = hashing::DIMENSION as u32;
        info.window_tokens = 8192;
        info.batch_max = 256;
        info.fusion_weight = 0.2;
        info.model = Str::new("character-hashing");
        info.fingerprint = Str::new(hashing::FINGERPRINT);
        Ok(())
    })
}

unsafe extern "C" fn count_tokens(
    _: *mut c_void,
    texts: *const Str,
    text_count: usize,
    counts: *mut u32,
    error: *mut Error,
) -> Status {
    guarded(error, || {
        // SAFETY: the host passes `text_count` texts, not none, and room for as many counts.
        let (texts, counts) = unsafe {
            (
                std::slice::from_raw_parts(texts, text_count),
                std::slice::from_raw_parts_mut(counts, text_count),
            )
        };
        for (given, count) in texts.iter().zip(counts) {
            // SAFETY: each is valid during this call.
            *count = hashing::count(unsafe { text(given) });
        }
        Ok(())
    })
}

unsafe extern "C" fn embed(
    _: *mut c_void,
    texts: *const Str,
    text_count: usize,
    _purpose: u32,
    vectors: *mut f32,
    capacity: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    guarded(error, || {
        let needed = text_count * hashing::DIMENSION;
        if capacity < needed {
            return Err((status::INVALID_INPUT, "the buffer is too small"));
        }
        // SAFETY: the host passes `text_count` texts, not none, and room for `capacity` numbers.
        let (texts, vectors) = unsafe {
            (std::slice::from_raw_parts(texts, text_count), std::slice::from_raw_parts_mut(vectors, needed))
        };
        for (given, vector) in texts.iter().zip(vectors.chunks_exact_mut(hashing::DIMENSION)) {
            // SAFETY: each is valid during this call.
            hashing::embed(unsafe { text(given) }, vector);
        }
        // SAFETY: the host passes a place for the number.
        unsafe { *written = needed };
        Ok(())
    })
}

/// # Safety
/// The text must be valid UTF-8 for as long as the result is used: the host promises it for the call.
unsafe fn text(text: &Str) -> &str {
    if text.len == 0 {
        return "";
    }
    unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(text.data.cast(), text.len)) }
}

/// Runs the body of a call; a panic becomes an error and goes no further.
fn guarded(error: *mut Error, body: impl FnOnce() -> Result<(), Failure>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    let (status, message) = match outcome {
        Ok(Ok(())) => return status::OK,
        Ok(Err(failure)) => failure,
        Err(_) => (status::INTERNAL, "the plugin panicked; its message is in the daemon's log"),
    };
    // SAFETY: the host passes a struct of at least the size of version 1.
    unsafe { (*error).set_message(message) };
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the host does it.
    fn vectors(texts: &[&str]) -> Vec<f32> {
        let (texts, mut error) =
            (texts.iter().map(|text| Str::new(text)).collect::<Vec<_>>(), Error::empty());
        let (mut vectors, mut written) = (vec![f32::NAN; texts.len() * hashing::DIMENSION], 0);
        let call = EMBEDDER.embed.unwrap();
        let (room, out) = (vectors.len(), vectors.as_mut_ptr());
        // SAFETY: everything outlives the call and is as long as told.
        let status = unsafe {
            call(std::ptr::null_mut(), texts.as_ptr(), texts.len(), 0, out, room, &mut written, &mut error)
        };
        assert_eq!((status, written), (status::OK, room));
        vectors
    }

    #[test]
    fn a_batch_is_its_texts_one_by_one() {
        let whole = vectors(&["Pegel", "", "Straße"]);
        assert_eq!(whole, [vectors(&["Pegel"]), vectors(&[""]), vectors(&["Straße"])].concat());
    }

    #[test]
    fn settings_are_refused() {
        let (mut instance, mut error) = (std::ptr::null_mut(), Error::empty());
        // SAFETY: everything outlives the call.
        let mut create = |config: &str| unsafe { super::create(Str::new(config), &mut instance, &mut error) };
        assert_eq!(create("{}"), status::OK);
        assert_eq!(create("{\"dimension\":3}"), status::INVALID_CONFIG);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut error = Error::empty();
        assert_eq!(guarded(&mut error, || panic!("on purpose")), status::INTERNAL);
        assert!(error.message_len > 0);
    }
}
