//! Exchanging plugins while they are in use.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

fn scores(reranker: &dyn Reranker) -> Result<Vec<f32>, PluginError> {
    reranker.rerank("q", &["a", "b"])
}

fn install(host: &TestHost, version: &str, module: &str) {
    let manifest = manifest("guest", Role::Reranker).replace("1.2.3", version);
    host.install("guest", &manifest, &component(Role::Reranker, module));
}

fn notice(plugins: &Plugins) -> Option<String> {
    plugins.list().into_iter().find(|info| info.id.name == "guest").unwrap().notice
}

/// Loads and starts, but traps when it is asked for scores.
fn crashing() -> String {
    reranker("0.5").replace("(local $index i32)", "(local $index i32) (unreachable)")
}

#[test]
fn a_new_build_takes_over_and_no_call_fails() {
    let host = TestHost::new();
    install(&host, "1.0.0", &reranker("0.25"));
    let plugins = host.load();
    let reranker_in_use = plugins.reranker("guest", &JsonMap::new()).unwrap();
    let (stop, calls) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let scores = scores(&*reranker_in_use).unwrap();
                    assert!(scores == [0.25, 0.25] || scores == [0.75, 0.75], "{scores:?}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for score in ["0.75", "0.25", "0.75"] {
            let before = calls.load(Ordering::Relaxed);
            while calls.load(Ordering::Relaxed) < before + 20 {
                std::thread::yield_now();
            }
            install(&host, &format!("2.{score}"), &reranker(score));
            assert_eq!(plugins.reload().unwrap().loaded, ["guest"]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(scores(&*reranker_in_use).unwrap(), [0.75, 0.75]);
    assert_eq!(reranker_in_use.id().version, "2.0.75");
    assert_eq!(plugins.reload().unwrap().unchanged, ["guest"]);
}

#[test]
fn a_build_that_does_not_load_is_refused() {
    let host = TestHost::new();
    install(&host, "1.0.0", &reranker("0.25"));
    let plugins = host.load();
    let in_use = plugins.reranker("guest", &JsonMap::new()).unwrap();
    let whole = component(Role::Reranker, &reranker("0.5"));
    let other_role = component(Role::Parser, &parser(1, false, TRAP));
    for bad in [&whole[..whole.len() / 2], b"", &other_role] {
        host.install("guest", &manifest("guest", Role::Reranker), bad);
        let report = plugins.reload().unwrap();
        assert!(report.refused.contains_key("guest") && report.loaded.is_empty(), "{report:?}");
        assert_eq!(scores(&*in_use).unwrap(), [0.25, 0.25]);
        assert!(notice(&plugins).unwrap().contains("refused"));
        assert_eq!(state(&plugins, "guest"), PluginState::Ready);
    }
    // More than it may have from the start: the probe fails.
    let hungry =
        reranker("0.5").replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 9999)");
    install(&host, "2.0.0", &hungry);
    assert!(plugins.reload().unwrap().refused.contains_key("guest"));
    install(&host, "2.0.0", &reranker("0.5"));
    assert_eq!(plugins.reload().unwrap().loaded, ["guest"]);
    assert_eq!(scores(&*in_use).unwrap(), [0.5, 0.5]);
    assert_eq!(notice(&plugins), None);
}

#[test]
fn a_build_that_crashes_is_rolled_back() {
    let host = TestHost::new();
    install(&host, "1.0.0", &reranker("0.25"));
    let plugins = host.load();
    let in_use = plugins.reranker("guest", &JsonMap::new()).unwrap();
    install(&host, "2.0.0", &crashing());
    assert_eq!(plugins.reload().unwrap().loaded, ["guest"]);
    let codes: Vec<_> =
        (0..3).map(|_| scores(&*in_use).map_err(|error| error.kind.code().to_owned())).collect();
    assert_eq!(
        codes,
        [Err("trap".into()), Err("trap".into()), Ok(vec![0.25, 0.25])],
        "the third call is repeated"
    );
    assert_eq!(in_use.id().version, "1.0.0");
    assert!(notice(&plugins).unwrap().contains("rolled back"));
    // A look at the directories does not bring it back, a hand does.
    plugins.0.reload(false).unwrap();
    assert_eq!(in_use.id().version, "1.0.0");
    plugins.reload().unwrap();
    assert_eq!(in_use.id().version, "2.0.0");
}

#[test]
fn a_plugin_that_keeps_crashing_is_left_alone() {
    let host = TestHost::new();
    install(&host, "1.0.0", &crashing());
    let plugins = host.load();
    let in_use = plugins.reranker("guest", &JsonMap::new()).unwrap();
    let codes: Vec<_> = (0..6).map(|_| scores(&*in_use).unwrap_err().kind.code().to_owned()).collect();
    assert_eq!(codes, ["trap", "trap", "trap", "trap", "trap", "backend_unavailable"]);
    assert!(notice(&plugins).unwrap().contains("quarantined"));
    plugins.reload().unwrap();
    assert_eq!(scores(&*in_use).unwrap_err().kind.code(), "trap");
}

#[test]
fn who_asks_for_the_same_shares_its_instances_and_crashes() {
    let host = TestHost::new();
    install(&host, "1.0.0", &crashing());
    let plugins = host.load();
    let ask = |config: &JsonMap| scores(&*plugins.reranker("guest", config).unwrap());
    let codes: Vec<_> = (0..6).map(|_| ask(&JsonMap::new()).unwrap_err().kind.code().to_owned()).collect();
    assert_eq!(codes[4..], ["trap", "backend_unavailable"]);
    let other = JsonMap::from_iter([("other".to_owned(), true.into())]);
    assert_eq!(ask(&other).unwrap_err().kind.code(), "trap", "another configuration is another plugin");
}

#[test]
fn what_was_used_and_is_not_held_can_go() {
    let host = TestHost::new();
    install(&host, "1.0.0", &reranker("0.25"));
    let plugins = host.load();
    let ask = || plugins.reranker("guest", &JsonMap::new());
    assert_eq!(scores(&*ask().unwrap()).unwrap(), [0.25, 0.25]);
    install(&host, "2.0.0", &reranker("0.5"));
    assert_eq!(plugins.reload().unwrap().loaded, ["guest"]);
    assert_eq!(scores(&*ask().unwrap()).unwrap(), [0.5, 0.5], "idle ones are exchanged, too");
    let held = ask().unwrap();
    std::fs::remove_dir_all(host.plugin_dir().join("guest")).unwrap();
    assert!(plugins.reload().unwrap().refused["guest"].contains("in use"));
    drop(held);
    assert_eq!(plugins.reload().unwrap().removed, ["guest"]);
    assert!(ask().is_err());
}

#[test]
fn parsers_come_and_go() {
    let host = TestHost::with(Role::Parser, &parser(1, false, CORRUPT));
    let plugins = host.load();
    let code = || parse_with(&plugins).unwrap_err().kind.code().to_owned();
    assert_eq!(code(), "corrupt");
    host.install(
        "guest",
        &manifest("guest", Role::Parser),
        &component(Role::Parser, &parser(1, false, TRAP)),
    );
    plugins.reload().unwrap();
    assert_eq!(code(), "trap");
    std::fs::remove_dir_all(host.plugin_dir().join("guest")).unwrap();
    assert_eq!(plugins.reload().unwrap().removed, ["guest"]);
    assert!(plugins.parser_for("txt").is_none());
    host.install(
        "guest",
        &manifest("guest", Role::Parser),
        &component(Role::Parser, &parser(1, false, CORRUPT)),
    );
    assert_eq!(plugins.reload().unwrap().loaded, ["guest"]);
    assert_eq!(code(), "corrupt");
}

#[test]
fn another_embedder_does_not_slip_in() {
    let host = TestHost::with(Role::Embedder, &embedder(""));
    let plugins = host.load();
    let in_use = plugins.embedder("guest", &JsonMap::new()).unwrap();
    let other = embedder("").replace("(i32.const 96) (i32.const 4)", "(i32.const 96) (i32.const 3)");
    host.install("guest", &manifest("guest", Role::Embedder), &component(Role::Embedder, &other));
    let report = plugins.reload().unwrap();
    assert!(report.refused["guest"].contains("vectors"), "{report:?}");
    assert_eq!(in_use.info().fingerprint, "0123");
}
