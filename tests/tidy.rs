//! The shape of the house as tests: who may import whom, where foreign crates live, what code must not contain.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules in layers: a module may import those of the layers before it, and none of its own layer.
const LAYERS: &[&[&str]] = &[
    &["types"],
    &["text"],
    &["wire", "config", "telemetry"],
    &["store", "search", "plugins"],
    &["ingest", "answer", "backup"],
    &["app"],
    &["client"],
    &["mcp"],
    &["api"],
    &["cli"],
];

/// Imports that the layers would allow but that must not be.
const FORBIDDEN: &[(&str, &str)] = &[
    ("api", "client"),
    ("client", "app"),
    ("client", "answer"),
    ("client", "ingest"),
    ("client", "store"),
    ("client", "search"),
    ("client", "plugins"),
    ("mcp", "app"),
    ("mcp", "answer"),
    ("mcp", "store"),
    ("mcp", "search"),
    ("mcp", "plugins"),
];

/// The one home of each package.
const HOMES: &[(&str, &str)] = &[
    ("redb", "store"),
    ("tantivy", "search"),
    ("instant_distance", "search"),
    ("wasmtime", "plugins"),
    ("wasmtime_wasi", "plugins"),
    ("wasmtime_wasi_http", "plugins"),
    ("libloading", "plugins"),
    ("tokio_rustls", "plugins"),
    ("opentelemetry", "telemetry"),
    ("axum", "api"),
    ("rmcp", "mcp"),
    ("clap", "cli"),
];

/// The files that may hold unsafe code, and why no safe way exists.
const UNSAFE_HOMES: &[(&str, &str)] = &[
    ("host/src/cli/memory.rs", "sets the C library's allocator up, which no crate does"),
    ("host/src/plugins/wasm/load.rs", "maps machine code that this host compiled and authenticated"),
    ("host/src/plugins/native/ffi.rs", "loads libraries that the operator pinned, and calls C"),
    ("plugins/llama-native/src/abi.rs", "is the C interface of a native plugin"),
    (
        "plugins/llama-native/src/llama.rs",
        "keeps a context beside the model it borrows, and hears llama.cpp's log",
    ),
    ("host/src/search/vector/mapped.rs", "maps segments, which nobody changes once they have their name"),
    ("host/src/search/vector/prefetch.rs", "hints to the processor, which read nothing, have no safe form"),
];

struct Source {
    /// Relative to the repository.
    path: String,
    /// Without the lines of inline tests.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn module(&self) -> &str {
        let rest = self.path.strip_prefix("host/src/").unwrap_or("");
        rest.split(['/', '.']).next().unwrap_or("")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(below: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(below), &mut found);
    assert!(!found.is_empty(), "no Rust files below {below}: the test looks in the wrong place");
    found
}

fn walk(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "tests" | "bindings") {
            walk(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(source(&path));
        }
    }
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let code = text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned()));
    // House style: inline tests come last in a file.
    let code = code.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    Source { path, lines: code.collect() }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Modules of this crate that a line names.
fn imports(line: &str) -> Vec<&str> {
    let named = line.split("crate::").skip(1);
    named.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Collects `path:line: what` for every line that `judge` objects to.
fn objections(files: &[Source], judge: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.lines.iter().filter(|(_, line)| !is_comment(line)) {
            found.extend(judge(file, line).map(|what| format!("{}:{number}: {what}", file.path)));
        }
    }
    found
}

fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn imports_run_one_way() {
    let files = rust_files("host/src");
    assert_none(objections(&files, |file, line| {
        let from = file.module();
        let level = layer(from)?;
        imports(line).into_iter().find_map(|to| {
            let forbidden = FORBIDDEN.contains(&(from, to));
            let upward = layer(to).is_some_and(|other| other >= level && to != from);
            (forbidden || upward).then(|| format!("{from} must not import {to}"))
        })
    }));
}

#[test]
fn every_module_has_its_layer() {
    for file in rust_files("host/src") {
        let module = file.module();
        assert!(matches!(module, "lib" | "main") || layer(module).is_some(), "{}: in no layer", file.path);
    }
}

#[test]
fn packages_have_one_home() {
    let files = rust_files("host/src");
    assert_none(objections(&files, |file, line| {
        HOMES.iter().find_map(|(package, home)| {
            let used = line.contains(&format!("{package}::")) || line.contains(&format!("use {package};"));
            (used && file.module() != *home).then(|| format!("{package} belongs in {home}"))
        })
    }));
}

#[test]
fn types_are_plain_data() {
    let files = rust_files("host/src/types");
    assert_none(objections(&files, |_, line| {
        let bad = ["serde::", "Serialize", "Deserialize", "std::fs", "std::net", "std::io", "tokio::"];
        bad.iter().find(|bad| line.contains(**bad)).map(|bad| format!("{bad} in types"))
    }));
}

#[test]
fn no_panics_outside_tests() {
    let mut files = rust_files("host/src");
    files.extend(rust_files("plugins"));
    files.extend(rust_files("sdk/src"));
    files.extend(rust_files("sdk/native/src"));
    files.extend(rust_files("examples/native-embedder/src"));
    assert_none(objections(&files, |_, line| {
        let bad = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!(", "dbg!("];
        bad.iter().find(|bad| line.contains(**bad)).map(|bad| format!("{bad} outside of tests"))
    }));
}

#[test]
fn unsafe_stands_in_named_files() {
    let mut files = rust_files("host/src");
    files.extend(rust_files("plugins"));
    files.extend(rust_files("sdk/native/src"));
    for (home, _) in UNSAFE_HOMES {
        assert!(files.iter().any(|file| file.path == *home), "{home} is gone: take it off the list");
    }
    assert_none(objections(&files, |file, line| {
        let is_unsafe =
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
        let is_home = UNSAFE_HOMES.iter().any(|(home, _)| file.path == *home);
        (is_unsafe && !is_home).then(|| format!("unsafe belongs in one of {UNSAFE_HOMES:?}"))
    }));
}

#[test]
fn files_stay_readable() {
    for below in ["host/src", "plugins", "sdk/src"] {
        for file in rust_files(below) {
            assert!(file.lines.len() <= 600, "{}: {} lines; split it", file.path, file.lines.len());
        }
    }
}
