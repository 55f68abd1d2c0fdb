//! The input is a `plugin.toml`.

use std::path::{Component, Path};

use crate::plugins::Manifest;
use crate::types::Role;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let role = Manifest::role_of(text);
    match Manifest::parse(text) {
        Err(said) => assert!(!said.trim().is_empty(), "an error that says nothing"),
        Ok(manifest) => {
            assert_eq!(role, Some(manifest.role));
            check(&manifest);
        }
    }
}

/// What the rest of the product relies on.
fn check(manifest: &Manifest) {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    assert!(!manifest.name.is_empty() && is_plain(&manifest.name), "{:?}", manifest.name);
    assert_eq!(manifest.file_types.is_empty(), manifest.role != Role::Parser);
    assert!(manifest.file_types.iter().all(|name| is_plain(name)), "{:?}", manifest.file_types);
    for model in &manifest.models {
        let mut parts = Path::new(&model.path).components();
        assert!(parts.next().is_some() && Path::new(&model.path).is_relative(), "{:?}", model.path);
        let inside = Path::new(&model.path).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "{:?}", model.path);
        assert_eq!(model.sha256.len(), 64);
    }
    assert!(manifest.asked.iter().all(|(capability, _)| capability.fits(manifest.role)));
    assert_ne!(manifest.limits.invocations_max, Some(0));
}
