//! Every input that is kept, also on a stable compiler: small ones that reach all that was reached, and those that once
//! showed a fault.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bodies::ROUTES;
use super::{TARGETS, run};

/// Of one target.
const INPUTS_MAX: usize = 120;
const BYTES_MAX: u64 = 20_000;

fn kept(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn replay(target: &str) {
    let paths = kept(target);
    assert!(!paths.is_empty() && paths.len() <= INPUTS_MAX, "{} inputs of {target}", paths.len());
    for path in paths {
        let input = std::fs::read(&path).unwrap();
        assert!(input.len() as u64 <= BYTES_MAX, "{} is large", path.display());
        // Where it panics this tells which it was.
        println!("{}", path.display());
        run(target, &input);
    }
}

#[test]
fn backups_that_are_kept_pass() {
    replay("backup");
}

#[test]
fn configs_that_are_kept_pass() {
    replay("config");
}

#[test]
fn filters_that_are_kept_pass() {
    replay("filters");
}

#[test]
fn manifests_that_are_kept_pass() {
    replay("manifest");
}

/// One test: they share a daemon, and where each test is a process it would be started three times.
#[test]
fn requests_that_are_kept_pass() {
    ["bodies", "headers", "multipart"].into_iter().for_each(replay);
}

#[test]
fn each_target_has_inputs_and_a_test() {
    let here = include_str!("replay.rs");
    for (target, _) in TARGETS {
        assert!(!kept(target).is_empty());
        assert!(here.contains(&format!("\"{target}\"")), "{target} is not replayed");
    }
}

/// A route that takes JSON is asked, or there is a reason why not.
#[test]
fn every_body_is_tried() {
    let left_out = ["/api/v1/documents/upload", "/api/v1/admin/optimize", "/api/v1/admin/reindex"];
    let document = serde_json::to_value(crate::api::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let with_body = |(_, operation): &(&String, &Value)| operation.get("requestBody").is_some();
        for (method, _) in item.as_object().unwrap().iter().filter(with_body) {
            let asked =
                ROUTES.iter().any(|route| route.path == path && route.method.eq_ignore_ascii_case(method));
            assert!(asked || left_out.contains(&path.as_str()), "{method} {path} is not asked");
        }
    }
    let mut bytes: Vec<u8> = ROUTES.iter().map(|route| route.byte).collect();
    bytes.sort_unstable();
    bytes.dedup();
    assert_eq!(bytes.len(), ROUTES.len(), "two routes have the same byte");
}
