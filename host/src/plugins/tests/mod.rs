mod fences;
pub mod guests;
mod swap;
mod wasi;
mod wasi_guests;
mod web;

use std::fs;

use bytes::Bytes;
use guests::*;

use super::*;
use crate::config::GrantConfig;
use crate::types::{Chunk, Parsed, Role};

fn parse(host: &TestHost) -> Result<Parsed, PluginError> {
    parse_with(&host.load())
}

fn parse_with(plugins: &Plugins) -> Result<Parsed, PluginError> {
    let parser = plugins.parser_for("txt").unwrap();
    parser.parse(&Source::Bytes(Bytes::from_static(b"bytes")), &ParseOptions::default())
}

fn code_of(module: &str) -> String {
    parse(&TestHost::with(Role::Parser, module)).unwrap_err().kind.code().to_owned()
}

fn state(plugins: &Plugins, name: &str) -> PluginState {
    plugins.list().into_iter().find(|info| info.id.name == name).unwrap().state
}

fn reason(plugins: &Plugins, name: &str) -> String {
    state(plugins, name).problem().unwrap_or_else(|| panic!("{name} is ready")).to_owned()
}

#[test]
fn a_document_is_read_in_order() {
    let digits = format!(
        "(i32.store8 (i32.const 1024) (i32.add (i32.const 48) (i32.div_u (local.get $start) (i32.const 16))))
         {}",
        fragment(1024, 1)
    );
    let parsed = parse(&TestHost::with(Role::Parser, &parser(40, false, &digits))).unwrap();
    assert_eq!(parsed.text, "0\n\n1\n\n2");
}

#[test]
fn fences_have_their_own_codes() {
    assert_eq!(code_of(&parser(1, false, RECURSION)), "limit_stack");
    assert_eq!(code_of(&parser(1, false, BOMB)), "limit_memory");
    assert_eq!(code_of(&parser(1, false, TRAP)), "trap");
    assert_eq!(code_of(&parser(1, false, CORRUPT)), "corrupt");
    assert_eq!(code_of(&parser(0, false, TRAP)), "empty");
    assert_eq!(code_of(&parser(30_000, false, TRAP)), "limit");
}

#[test]
fn an_endless_loop_ends() {
    let host = TestHost::new();
    let short = manifest("guest", Role::Parser).replace("20s", "100ms");
    host.install("guest", &short, &component(Role::Parser, &parser(1, false, LOOP)));
    let error = parse(&host).unwrap_err();
    assert_eq!(error.kind.code(), "limit_time");
    assert!(error.message.contains("plugins.grants.guest.deadline"), "{error}");
}

#[test]
fn output_is_bounded_by_call_and_by_document() {
    let grow = |pages: u32| format!("(drop (memory.grow (i32.const {pages})))");
    let too_long_a_call = format!("{} {}", grow(80), fragment(65_536, 5_000_000));
    assert_eq!(code_of(&parser(1, false, &too_long_a_call)), "limit_output");
    let too_long_in_all = format!("{} {}", grow(16), fragment(65_536, 700_000));
    assert_eq!(code_of(&parser(40, false, &too_long_in_all)), "limit_output");
}

#[test]
fn a_bad_span_or_bad_utf8_is_an_error_of_that_call() {
    let outside_of_memory = fragment(60_000, 100_000);
    assert_eq!(code_of(&parser(1, false, &outside_of_memory)), "trap");
    let not_utf8 = format!("(i32.store8 (i32.const 1024) (i32.const 255)) {}", fragment(1024, 4));
    assert_eq!(code_of(&parser(1, false, &not_utf8)), "trap");
}

#[test]
fn a_bad_page_costs_one_page() {
    // Any range with page 20 in it traps, so only page 20 itself is lost.
    let pages = format!(
        "(if (i32.and (i32.le_u (local.get $start) (i32.const 20)) (i32.gt_u (local.get $end) (i32.const 20)))
             (then unreachable))
         {}",
        fragment(1024, 2)
    );
    let parsed = parse(&TestHost::with(Role::Parser, &parser(40, false, &pages))).unwrap();
    // One fragment for 0..16, fifteen single pages of 16..32, one for 32..40.
    assert_eq!(parsed.text.matches("01").count(), 1 + 15 + 1);
    let lost: Vec<_> = parsed.warnings.iter().map(|w| (w.code.as_str(), w.page)).collect();
    assert_eq!(lost, [("page_failed", Some(20))]);
}

#[test]
fn pages_that_are_not_accounted_for_fail_with_status() {
    let parsed = parse(&TestHost::with(Role::Parser, &parser(1, true, &fragment(1024, 2))));
    assert_eq!(parsed.unwrap_err().kind, crate::types::FaultKind::Internal);
    let half = format!("(if (local.get $start) (then unreachable)) {}", fragment(1024, 2));
    let error = parse(&TestHost::with(Role::Parser, &parser(3, true, &half))).unwrap_err();
    assert!(error.message.contains("pages 0..1"), "{error}");
}

#[test]
fn trap_storms_end() {
    let odd_pages_trap = format!(
        "(if (i32.or (i32.and (local.get $start) (i32.const 1))
                     (i32.gt_u (local.get $end) (i32.add (local.get $start) (i32.const 1))))
             (then unreachable))
         {}",
        fragment(1024, 2)
    );
    let parsed = parse(&TestHost::with(Role::Parser, &parser(2000, false, &odd_pages_trap))).unwrap();
    assert!(parsed.text.starts_with("01"));
    assert!(parsed.warnings.iter().any(|warning| warning.code == "pages_failed"));
}

#[test]
fn the_next_call_after_a_trap_works() {
    // The first `rerank` of an instance works, the second one traps.
    let once = reranker("0.5").replace(
        "(local $index i32)",
        "(local $index i32)
         (if (i32.load (i32.const 512)) (then unreachable))
         (call $put (i32.const 512) (i32.const 1))",
    );
    let host = TestHost::with(Role::Reranker, &once);
    let plugins = host.load();
    let reranker = plugins.reranker("guest", &JsonMap::new()).unwrap();
    assert_eq!(reranker.rerank("q", &["a", "b"]).unwrap(), [0.5, 0.5]);
    assert_eq!(reranker.rerank("q", &["a"]).unwrap_err().kind.code(), "trap");
    assert_eq!(reranker.rerank("q", &["a"]).unwrap(), [0.5]);
    let info = &plugins.list()[0];
    assert_eq!((info.calls, info.traps), (3, 1));
}

#[test]
fn scores_out_of_range_are_refused() {
    let plugins = TestHost::with(Role::Reranker, &reranker("1.5")).load();
    let reranker = plugins.reranker("guest", &JsonMap::new()).unwrap();
    assert!(reranker.rerank("q", &["a"]).unwrap_err().message.contains("score 1.5"));
}

#[test]
fn embedders_are_asked_once_and_cut_batches() {
    let plugins = TestHost::with(Role::Embedder, &embedder("")).load();
    let embedder = plugins.embedder("guest", &JsonMap::new()).unwrap();
    assert_eq!(embedder.info().dimension, 2);
    assert_eq!(embedder.info().batch_max, 2);
    assert_eq!(embedder.info().fingerprint, "0123");
    let values = embedder.embed(&["a", "b", "c", "d", "e"], Purpose::Passage).unwrap();
    assert_eq!(values, [1.0, 0.0].repeat(5));
    assert_eq!(plugins.list()[0].calls, 1 + 3);
    assert!(embedder.embed(&[], Purpose::Query).unwrap().is_empty());
}

#[test]
fn calls_from_many_threads_share_the_pool() {
    let plugins = TestHost::with(Role::Embedder, &embedder("")).load();
    let embedder = plugins.embedder("guest", &JsonMap::new()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    embedder.embed(&["a"], Purpose::Query).unwrap();
                }
            });
        }
    });
    assert_eq!(plugins.list()[0].calls, 1 + 8 * 50);
}

#[test]
fn model_files_are_checked_by_hash() {
    let host = TestHost::new();
    let manifest = format!(
        "{}[[models]]\nname = \"0123\"\npath = \"w.bin\"\nsha256 = \"{}\"\nfetch = \"fetch it\"\n",
        manifest("guest", Role::Embedder),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    host.install("guest", &manifest, &component(Role::Embedder, &embedder(OPEN_MODEL)));
    let plugins = host.load();
    let error = |plugins: &Plugins| plugins.embedder("guest", &JsonMap::new()).err().unwrap();
    assert_eq!(error(&plugins).kind.code(), "missing_model");
    assert!(error(&plugins).message.contains("fetch it"));

    fs::create_dir_all(host.model_dir()).unwrap();
    fs::write(host.model_dir().join("w.bin"), "abX").unwrap();
    assert!(error(&plugins).message.contains("another SHA-256"));
    assert!(plugins.list()[0].models[0].found.is_none());

    fs::write(host.model_dir().join("w.bin"), "abc").unwrap();
    assert!(plugins.embedder("guest", &JsonMap::new()).is_ok());
    assert!(plugins.list()[0].models[0].problem.is_none());
}

#[test]
fn enrichers_answer_for_each_chunk() {
    let chunk = Chunk {
        index: 0,
        text: "text".into(),
        chars: 0..4,
        page: None,
        heading_path: vec!["h".into()],
        context: None,
        language: None,
        tokens: 1,
        metadata: JsonMap::new(),
    };
    let run = |count: &str| {
        let plugins = TestHost::with(Role::Enricher, &enricher(count)).load();
        assert_eq!(plugins.default_enrichers(), ["guest"]);
        let chunks = [chunk.clone(), chunk.clone()];
        plugins.enricher("guest").unwrap().enrich(&EnrichDocument::default(), &chunks)
    };
    assert_eq!(run("(local.get $count)").unwrap().chunks.len(), 2);
    assert!(run("(i32.const 1)").unwrap_err().message.contains("2 chunks were given, 1 came back"));
}

#[test]
fn generations_are_pulled_and_cancelled() {
    let plugins = TestHost::with(Role::Generator, &generator(5)).load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let request = GenerateRequest::default();
    let whole: Vec<_> = generator.generate(&request).unwrap().map(Result::unwrap).collect();
    let texts: Vec<_> = whole.concat();
    assert_eq!(texts, ["0", "1", "2", "3", "4"].map(|text| GenerateEvent::Text(text.into())));

    // More generations than instances, each dropped half-way: every one gives its place back.
    for _ in 0..40 {
        let mut generation = generator.generate(&request).unwrap();
        assert_eq!(generation.next().unwrap().unwrap(), [GenerateEvent::Text("0".into())]);
    }
}

#[test]
fn imports_beyond_the_world_are_refused_by_name() {
    let host = TestHost::new();
    let wasi = "(component (import \"wasi:cli/environment@0.2.0\" (instance (export \"f\" (func)))))";
    host.install("wasi", &manifest("wasi", Role::Parser), &wat::parse_str(wasi).unwrap());
    let http = "(component (import \"smartrag:plugin/http@0.1.0\" (instance (export \"f\" (func)))))";
    host.install("web", &manifest("web", Role::Generator), &wat::parse_str(http).unwrap());
    host.install("bare", &manifest("bare", Role::Parser), &wat::parse_str("(component)").unwrap());
    let plugins = host.load();
    assert!(reason(&plugins, "wasi").contains("`wasi:cli/environment@0.2.0`"));
    assert!(reason(&plugins, "web").contains("`smartrag:plugin/http@0.1.0`"));
    assert!(reason(&plugins, "bare").contains("parser-plugin"), "{}", reason(&plugins, "bare"));

    let inspection = inspect(&host.plugin_dir().join("wasi/plugin.wasm")).unwrap();
    assert_eq!(inspection.undeclared_imports, ["wasi:cli/environment@0.2.0"]);
    assert_eq!(inspection.role, None);
}

#[test]
fn an_interface_of_another_shape_is_refused() {
    let host = TestHost::new();
    let odd = "(component (import \"smartrag:plugin/log@0.1.0\" (instance (export \"write\" (func)))))";
    host.install("odd", &manifest("odd", Role::Parser), &wat::parse_str(odd).unwrap());
    assert!(reason(&host.load(), "odd").contains("smartrag:plugin/log"), "{}", reason(&host.load(), "odd"));
}

#[test]
fn a_bad_plugin_does_not_stop_the_others() {
    let host = TestHost::with(Role::Parser, &parser(1, false, &fragment(1024, 2)));
    let whole = component(Role::Parser, &parser(1, false, TRAP));
    host.install("cut", &manifest("cut", Role::Parser), &whole[..whole.len() / 2]);
    host.install("core", &manifest("core", Role::Parser), &wat::parse_str("(module)").unwrap());
    host.install("wrong-name", &manifest("other", Role::Reranker), &whole);
    host.install("no-manifest", "nonsense", &whole);
    fs::remove_file(host.plugin_dir().join("no-manifest/plugin.toml")).unwrap();
    host.install("typo", &manifest("typo", Role::Parser).replace("wit", "witt"), &whole);
    let plugins = host.load();
    assert!(reason(&plugins, "cut").contains("not a valid component"));
    assert!(reason(&plugins, "core").contains("not a valid component"));
    assert!(reason(&plugins, "wrong-name").contains("\"other\""));
    assert!(reason(&plugins, "no-manifest").contains("plugin.toml can't be read"));
    assert!(reason(&plugins, "typo").contains("`witt`; did you mean `wit`?"));
    assert_eq!(state(&plugins, "guest"), PluginState::Ready);
    assert_eq!(parse_with(&plugins).unwrap().text, "01");
    assert_eq!(plugins.list().iter().find(|i| i.id.name == "wrong-name").unwrap().role, Role::Reranker);
}

#[test]
fn a_parser_that_failed_says_so_to_its_documents() {
    let host = TestHost::new();
    host.install("broken", &manifest("broken", Role::Parser), b"nonsense");
    let error = parse(&host).unwrap_err();
    assert!(error.message.contains("did not load"), "{error}");
    assert!(host.load().parser_for("pdf").is_none());
}

#[test]
fn the_parser_with_the_highest_priority_reads() {
    let host = TestHost::with(Role::Parser, &parser(1, false, &fragment(1024, 2)));
    let higher = manifest("z", Role::Parser).replace("[limits]", "priority = 1\n[limits]");
    host.install("z", &higher, &component(Role::Parser, &parser(1, false, &fragment(1024, 4))));
    assert_eq!(parse(&host).unwrap().text, "0123");
}

#[test]
fn the_operator_raises_limits() {
    let long = format!("(drop (memory.grow (i32.const 80))) {}", fragment(65_536, 5_000_000));
    let mut host = TestHost::with(Role::Parser, &parser(1, false, &long));
    let grant = GrantConfig { output_max_bytes: Some(8 << 20), ..GrantConfig::default() };
    host.config.grants.insert("guest".into(), grant);
    assert_eq!(parse(&host).unwrap().text.len(), 5_000_000);
}

#[test]
fn cancelling_ends_the_work() {
    let plugins = TestHost::with(Role::Parser, &parser(1, false, LOOP)).load();
    let options = ParseOptions::default();
    options.cancel.cancel();
    let parser = plugins.parser_for("txt").unwrap();
    let error = parser.parse(&Source::Bytes(Bytes::new()), &options).unwrap_err();
    assert_eq!(error.kind.code(), "cancelled");
}

#[test]
fn a_tampered_cache_is_not_used() {
    let host = TestHost::with(Role::Parser, &parser(1, false, &fragment(1024, 2)));
    assert_eq!(parse(&host).unwrap().text, "01");
    for entry in fs::read_dir(host.cache_dir().join("plugins")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            let mut bytes = fs::read(&path).unwrap();
            bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xcc);
            fs::write(&path, bytes).unwrap();
        }
    }
    assert_eq!(parse(&host).unwrap().text, "01");
}

#[test]
fn no_directory_at_all_is_an_error() {
    let missing = tempfile::tempdir().unwrap().path().join("nowhere");
    let places = Places {
        plugin_dirs: vec![missing.clone()],
        model_dirs: Vec::new(),
        cache_dir: missing.join("cache"),
    };
    let error = Plugins::load(&places, &PluginsConfig::default()).err().unwrap();
    assert!(matches!(&error, Error::NoPluginDir(dirs) if dirs == &[missing]), "{error}");
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let plugins = TestHost::with(Role::Reranker, &reranker("0.5")).load();
    let error = plugins.reranker("gest", &JsonMap::new()).err().unwrap();
    assert!(error.message.contains("did you mean `guest`?"), "{error}");
    let error = plugins.generator("guest", &JsonMap::new()).err().unwrap();
    assert!(error.message.contains("not generator"), "{error}");
}

/// A component that describes itself: it has nothing to configure.
fn golden(settings: &str) -> TestHost {
    let mut host = TestHost::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/wit-0.1.0/golden-reranker");
    let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    host.install("golden-reranker", &manifest, &fs::read(dir.join("plugin.wasm")).unwrap());
    host.config.settings.insert("golden-reranker".into(), serde_json::from_str(settings).unwrap());
    host
}

#[test]
fn settings_are_checked_at_load() {
    let plugins = golden("{}").load();
    let descriptor = plugins.describe("golden-reranker").unwrap();
    assert_eq!((descriptor.name.as_str(), descriptor.version.as_str()), ("golden-reranker", "0.1.0"));
    assert_eq!(plugins.list()[0].calls, 0, "to be described is no work");
    let wrong = r#"{"letters": 3}"#;
    let reason = reason(&golden(wrong).load(), "golden-reranker");
    assert!(reason.contains("plugins.settings.golden-reranker: unknown key `letters`"), "{reason}");
    let error = plugins.reranker("golden-reranker", &serde_json::from_str(wrong).unwrap()).err().unwrap();
    assert_eq!(error.kind, crate::types::FaultKind::InvalidConfig);
    assert!(error.message.contains("`letters`"), "{error}");
}

#[test]
fn a_guest_that_does_not_say_what_it_is_does_not_load() {
    let says = |what: &str| {
        let module = reranker("0.5").replace("(i32.const 3200))", &format!("{what})"));
        TestHost::with(Role::Reranker, &module).load()
    };
    assert_eq!(state(&says("(i32.const 3200)"), "guest"), PluginState::Ready);
    let cases = [
        (TRAP, "`describe` failed (trap)"),
        (RECURSION, "`describe` failed (limit_stack)"),
        (BOMB, "`describe` failed (limit_memory)"),
        ("(i32.const 64)", "the config-schema of `describe` is not JSON"),
    ];
    for (what, expected) in cases {
        let reason = reason(&says(what), "guest");
        assert!(reason.contains(expected), "{what}: {reason}");
    }
}
