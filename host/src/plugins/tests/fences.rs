//! Fences that a call runs into, and what the host keeps of it.

use std::time::Duration;

use super::*;

fn info(plugins: &Plugins) -> PluginInfo {
    plugins.list().remove(0)
}

fn count(plugins: &Plugins, code: &str) -> u64 {
    info(plugins).breaches.get(code).copied().unwrap_or(0)
}

/// Ends with the first error; its code.
fn end_of(generation: Generation) -> String {
    let last = generation.last().unwrap();
    last.err().unwrap().kind.code().to_owned()
}

#[test]
fn breaches_are_counted_by_code() {
    for (misdeed, code) in [(RECURSION, "limit_stack"), (BOMB, "limit_memory"), (TRAP, "trap")] {
        let plugins = TestHost::with(Role::Parser, &parser(1, false, misdeed)).load();
        assert_eq!(parse_with(&plugins).unwrap_err().kind.code(), code);
        assert_eq!(count(&plugins, code), 1);
        assert_eq!(info(&plugins).traps, 1);
    }
    let overlong = parser(20_001, false, &fragment(1024, 2));
    let plugins = TestHost::with(Role::Parser, &overlong).load();
    assert_eq!(parse_with(&plugins).unwrap_err().kind.code(), "limit");
    assert_eq!((count(&plugins, "limit"), info(&plugins).traps), (1, 0));
    // An error of the guest's own is no breach.
    let plugins = TestHost::with(Role::Parser, &parser(1, false, CORRUPT)).load();
    parse_with(&plugins).unwrap_err();
    assert!(info(&plugins).breaches.is_empty());
}

#[test]
fn broken_contracts_are_counted() {
    let plugins = TestHost::with(Role::Reranker, &reranker("1.5")).load();
    let reranker = plugins.reranker("guest", &JsonMap::new()).unwrap();
    assert_eq!(reranker.rerank("q", &["a"]).unwrap_err().kind.code(), "internal");
    assert_eq!((count(&plugins, "internal"), info(&plugins).traps), (1, 0));
}

#[test]
fn lines_beyond_the_limit_are_counted() {
    let plugins = TestHost::with(Role::Enricher, &enricher("(local.get $count)")).load();
    let enricher = plugins.enricher("guest").unwrap();
    enricher.enrich(&EnrichDocument::default(), &[]).unwrap();
    assert_eq!((count(&plugins, "limit_log"), info(&plugins).log_lines_dropped), (1, 800));
    enricher.enrich(&EnrichDocument::default(), &[]).unwrap();
    assert_eq!((count(&plugins, "limit_log"), info(&plugins).log_lines_dropped), (2, 1600));
}

#[test]
fn handles_are_bounded() {
    // Its own: each is an entry of a table of the host.
    let own = generator(1).replace(
        "(call $put (i32.const 68) (call $new (i32.const 1)))",
        "(loop $more (drop (call $new (i32.const 1))) (br $more))",
    );
    let plugins = TestHost::with(Role::Generator, &own).load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "limit_handles", "{error}");
    assert_eq!(count(&plugins, "limit_handles"), 1);

    // The host's: an open model file is a file descriptor.
    let host = TestHost::new();
    let manifest = format!(
        "{}[[models]]\nname = \"0123\"\npath = \"w.bin\"\nsha256 = \"{}\"\n",
        manifest("guest", Role::Embedder),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    fs::create_dir_all(host.model_dir()).unwrap();
    fs::write(host.model_dir().join("w.bin"), "abc").unwrap();
    let open = "(loop $more (call $open (i32.const 1024) (i32.const 4) (i32.const 64))
        (br_if $more (i32.eqz (i32.load8_u (i32.const 64)))) (return (i32.const 64)))";
    host.install("guest", &manifest, &component(Role::Embedder, &embedder(open)));
    let error = host.load().embedder("guest", &JsonMap::new()).err().unwrap();
    assert_eq!(error.kind.code(), "limit_handles", "{error}");
}

#[test]
fn answers_without_end_are_ended() {
    let zeros =
        generator(u32::MAX).replace("(i32.add (i32.const 1024) (global.get $given))", "(i32.const 1024)");
    let nothing = zeros
        .replace("(call $put (i32.const 2056) (i32.const 1))", "(call $put (i32.const 2056) (i32.const 0))");
    for module in [zeros, nothing] {
        let plugins = TestHost::with(Role::Generator, &module).load();
        let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
        assert_eq!(end_of(generator.generate(&GenerateRequest::default()).unwrap()), "limit_output");
        assert_eq!(count(&plugins, "limit_output"), 1);
    }
}

#[test]
fn a_guest_whose_caller_has_left_is_ended() {
    let busy = generator(1).replace("(param i32 i32) (result i32)\n            (memory.fill", {
        "(param i32 i32) (result i32) (loop $forever (br $forever))\n            (memory.fill"
    });
    assert!(busy.contains("$forever"));
    // It has 20 s; another code would tell that it had them.
    let plugins = TestHost::with(Role::Generator, &busy).load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let request = GenerateRequest::default();
    let mut generation = generator.generate(&request).unwrap();
    let cancel = request.cancel.clone();
    let waiting = std::thread::spawn(move || generation.next().unwrap().unwrap_err());
    std::thread::sleep(Duration::from_millis(50));
    cancel.cancel();
    assert_eq!(waiting.join().unwrap().kind.code(), "cancelled");
    assert_eq!(count(&plugins, "cancelled"), 1);
}
