//! Every dependency that ends up in the product has a permissive licence.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseItem};

/// Accepted licences; each asks for no more than its text beside the binary.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn is_allowed(licence: &str) -> bool {
    // Older crates write "MIT/Apache-2.0".
    let Ok(expression) = Expression::parse(&licence.replace('/', " OR ")) else { return false };
    expression.evaluate(|requirement| match &requirement.license {
        LicenseItem::Spdx { id, .. } => ALLOWED.contains(&id.name),
        LicenseItem::Other { .. } => false,
    })
}

#[test]
fn dependencies_are_permissive() {
    let packages = packages();
    assert!(packages.len() > 40, "only {} packages: the test looks at the wrong thing", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences to look at:\n{}", refused.join("\n"));
}

#[test]
fn copyleft_is_noticed() {
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception"));
    assert!(!is_allowed("GPL-3.0-only"));
    assert!(!is_allowed("MIT AND AGPL-3.0-only"));
}
