//! Against libraries made from `tests/native/plugin.c`, which has a defect for each of its macros.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::plugins::models::sha256;
use crate::plugins::roles::*;

/// A library with these macros in a directory of its own.
struct Library {
    _dir: tempfile::TempDir,
    config: NativeConfig,
}

/// Each is a library of its own, so that tests in one process don't share state in it.
fn library(macros: &[&str]) -> Library {
    static SALT: AtomicUsize = AtomicUsize::new(0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().canonicalize().unwrap().join("lib.so");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unused-function"])
        .args(["-shared", "-fPIC", "-I"])
        .arg(root.join("sdk/native"))
        .args(macros.iter().map(|name| format!("-D{name}")))
        .arg(format!("-DSALT={}", SALT.fetch_add(1, Ordering::Relaxed)))
        .arg("-o")
        .arg(&path)
        .arg(root.join("tests/native/plugin.c"))
        .arg("-lm")
        .output()
        .expect("a C compiler: Rust links with it, too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let hash = sha256(std::fs::File::open(&path).unwrap()).unwrap().to_string();
    let role = if macros.contains(&"GENERATOR") { Role::Generator } else { Role::Embedder };
    Library { _dir: dir, config: NativeConfig { role, path, sha256: hash } }
}

fn natives(config: &NativeConfig) -> Natives {
    Natives::load(&BTreeMap::from([("mine".to_owned(), config.clone())]), |_| None)
}

fn reason(natives: &Natives) -> String {
    match natives.list().next().unwrap().state {
        PluginState::Ungranted(reason) | PluginState::Failed(reason) => reason,
        PluginState::Ready => panic!("it is ready"),
    }
}

fn embedder(macros: &[&str]) -> Result<Arc<dyn Embedder>, PluginError> {
    natives(&library(macros).config).embedder("mine", "{}").unwrap()
}

fn generator(macros: &[&str]) -> Arc<dyn Generator> {
    natives(&library(&[macros, &["GENERATOR"]].concat()).config).generator("mine", "{}").unwrap().unwrap()
}

fn question(passage: &str) -> GenerateRequest {
    let passage = GeneratorPassage {
        citation: 3,
        text: passage.into(),
        title: "Title".into(),
        heading_path: vec!["A".into()],
        language: None,
        score: 1.0,
        similarity: None,
        sentences: Vec::new(),
    };
    GenerateRequest { passages: vec![passage], ..GenerateRequest::default() }
}

#[test]
fn an_embedder_embeds_and_counts() {
    let library = library(&[]);
    let natives = natives(&library.config);
    let embedder = natives.embedder("mine", "{}").unwrap().unwrap();
    assert_eq!((embedder.info().dimension, embedder.info().fingerprint.as_str()), (2, "v1"));
    // More than its batch of three, with nothing and a NUL in it.
    let texts = ["a", "b", "", "a\0b", "xaa"];
    let half = 0.5f32.sqrt();
    let expected = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, half, half, 1.0, 0.0];
    let passages = embedder.embed(&texts, Purpose::Passage).unwrap();
    assert!(passages.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{passages:?}");
    assert_eq!(embedder.embed(&["a"], Purpose::Query).unwrap(), [-1.0, 0.0]);
    assert!(embedder.embed(&[], Purpose::Query).unwrap().is_empty());
    assert_eq!(embedder.count_tokens(&texts).unwrap(), [1, 1, 0, 3, 3]);
    let info = natives.list().next().unwrap();
    assert_eq!(
        (info.kind, info.state, info.id.version.as_str()),
        (PluginKind::Native, PluginState::Ready, "1.2.3")
    );
    assert_eq!(info.calls, 5, "info, two batches, a query, a count");
}

#[test]
fn an_instance_is_destroyed_with_its_embedder() {
    let natives = natives(&library(&[]).config);
    let make = || natives.embedder("mine", "{}").unwrap().unwrap();
    let alive = |embedder: &Arc<dyn Embedder>| embedder.count_tokens(&["alive"]).unwrap()[0];
    let first = make();
    let second = make();
    assert_eq!(alive(&first), 2);
    drop(second);
    assert_eq!(alive(&first), 1);
}

#[test]
fn calls_from_many_threads_come_one_at_a_time() {
    let embedder = embedder(&[]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(embedder.embed(&["b"], Purpose::Query).unwrap(), [0.0, 1.0]);
                }
            });
        }
    });
}

#[test]
fn errors_of_the_plugin_come_through() {
    let error = embedder(&[]).unwrap().embed(&["busy"], Purpose::Passage).unwrap_err();
    assert_eq!(error.to_string(), "mine: the device is busy: try again");
    assert_eq!(
        (error.kind, error.retryable, error.retry_after_ms),
        (FaultKind::Unavailable, true, Some(250))
    );
    let natives = natives(&library(&[]).config);
    let error = natives.embedder("mine", "{\"fail\":1}").unwrap().err().unwrap();
    assert_eq!(error.kind, FaultKind::InvalidConfig);
}

#[test]
fn what_comes_back_is_checked() {
    for (defect, expected) in [
        ("BAD_NAN", "row 0 has length NaN"),
        ("BAD_LENGTH", "row 0 has length 7"),
        ("BAD_COUNT", "3 values came back for 2 texts"),
        ("BAD_OVERFLOW", "5 numbers were written into room for 4"),
        ("BAD_STATUS", "status 99"),
    ] {
        let error = embedder(&[defect]).unwrap().embed(&["a", "b"], Purpose::Passage).unwrap_err();
        assert_eq!(error.kind, FaultKind::Internal, "{defect}");
        assert!(error.message.contains(expected), "{defect}: {error}");
    }
    for (defect, expected) in [("BAD_UTF8", "not UTF-8"), ("BAD_DIMENSION", "dimension 1073741824")] {
        let error = embedder(&[defect]).err().unwrap();
        assert!(error.message.contains(expected), "{defect}: {error}");
    }
}

#[test]
fn libraries_that_do_not_fit_are_refused_with_the_remedy() {
    for (defect, expected) in [
        ("BAD_VERSION", "has version 999 of the interface, this host 1: build it with"),
        ("BAD_SYMBOL", "has no symbol `smartrag_native_plugin`"),
        ("BAD_SIZE", "has struct_size 16"),
        ("BAD_NULL", "`embedder.embed` is NULL"),
    ] {
        let library = library(&[defect]);
        let natives = natives(&library.config);
        assert!(reason(&natives).contains(expected), "{defect}: {}", reason(&natives));
        let error = natives.embedder("mine", "{}").unwrap().err().unwrap();
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn the_config_must_be_exact() {
    let good = library(&[]).config;
    let wrong_hash = NativeConfig { sha256: "0".repeat(64), ..good.clone() };
    let missing = reason(&natives(&wrong_hash));
    assert!(missing.contains("can't be read"), "the directory is gone: {missing}");
    let library = library(&[]);
    let wrong_hash = NativeConfig { sha256: "0".repeat(64), ..library.config.clone() };
    assert!(reason(&natives(&wrong_hash)).contains("the config pins 000"));
    let wrong_role = NativeConfig { role: Role::Generator, ..library.config.clone() };
    assert!(reason(&natives(&wrong_role)).contains("write it to plugins.native.mine.role"));
    let natives = natives(&library.config);
    assert!(natives.embedder("other", "{}").is_none());
    let error = natives.generator("mine", "{}").unwrap().err().unwrap();
    assert!(error.message.contains("its role is embedder, not generator"), "{error}");
}

#[test]
fn a_text_file_is_no_library() {
    let library = library(&[]);
    std::fs::write(&library.config.path, "not a library").unwrap();
    let hash = sha256(&b"not a library"[..]).unwrap().to_string();
    let said = reason(&natives(&NativeConfig { sha256: hash, ..library.config.clone() }));
    assert!(said.contains("can't be loaded") && said.contains("build it for this system"), "{said}");
}

#[test]
fn a_file_changed_in_place_is_another_library() {
    let library = library(&[]);
    let first = natives(&library.config).embedder("mine", "{}").unwrap().unwrap();
    let other = self::library(&["BAD_NAN"]);
    std::fs::copy(&other.config.path, &library.config.path).unwrap();
    let config = NativeConfig { sha256: other.config.sha256.clone(), ..library.config.clone() };
    let second = natives(&config).embedder("mine", "{}").unwrap().unwrap();
    assert!(second.embed(&["a"], Purpose::Query).is_err(), "the new one");
    assert!(first.embed(&["a"], Purpose::Query).is_ok(), "the old one goes on");
}

#[test]
fn a_name_that_a_component_has_is_refused() {
    let library = library(&[]);
    let config = BTreeMap::from([("mine".to_owned(), library.config.clone())]);
    let natives = Natives::load(&config, |_| Some(Path::new("/plugins/mine")));
    let said = reason(&natives);
    assert!(said.contains("installed in /plugins/mine: give plugins.native.mine another name"), "{said}");
    assert!(natives.embedder("mine", "{}").unwrap().is_err());
}

#[test]
fn an_answer_streams_and_ends() {
    let generator = generator(&[]);
    assert_eq!((generator.info().model.as_str(), generator.info().context_window), ("quoter", Some(4096)));
    let batches: Vec<_> =
        generator.generate(&question("Über den Hafen")).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 3);
    let text: String = batches
        .concat()
        .into_iter()
        .filter_map(|event| match event {
            GenerateEvent::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(text, "Über den Hafen [3]");
    assert_eq!(batches[2].last(), Some(&GenerateEvent::Finish(crate::types::FinishReason::Stop)));
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind, FaultKind::InvalidInput);
}

#[test]
fn generations_are_dropped_once_and_hold_their_instance() {
    let generator = generator(&[]);
    let open = || generator.count_tokens(&["alive"]).unwrap()[0] / 100;
    let request = question("one two three four five");
    let mut first = generator.generate(&request).unwrap();
    let second = generator.generate(&request).unwrap();
    assert_eq!(open(), 2);
    first.next().unwrap().unwrap();
    drop(first);
    assert_eq!(open(), 1);
    assert!(second.count() > 1);
    assert_eq!(open(), 0);
    let left = generator.generate(&request).unwrap();
    drop(generator);
    assert!(left.count() > 1, "an answer outlives the generator that began it");
}

#[test]
fn bad_events_end_the_answer() {
    for (defect, expected) in [
        ("BAD_TEXT", "not UTF-8"),
        ("BAD_EVENTS", "16 events were asked for, 17 came back"),
        ("BAD_KIND", "event kind 77"),
    ] {
        let generator = generator(&[defect]);
        let mut generation = generator.generate(&question("one")).unwrap();
        let error = generation.next().unwrap().unwrap_err();
        assert!(error.message.contains(expected), "{defect}: {error}");
        assert!(generation.next().is_none());
        assert_eq!(generator.count_tokens(&["alive"]).unwrap()[0], 1, "{defect}: it was dropped");
    }
}
