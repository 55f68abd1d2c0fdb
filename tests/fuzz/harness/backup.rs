//! The input says how a good backup is damaged, a change a line (see [`Damaged::change`]); then it is verified and restored.
//! A line `m` ends the changes: what follows is the manifest, in which `{N.bytes}` and `{N.sha256}` are those of file N.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::store::{self, Error, Finished, NewDocument, Store, Surroundings, verify_backup};
use crate::types::*;

const MANIFEST: &str = "manifest.json";
const DATABASE: &str = "database/smartrag.redb";
const SECRET: &str = "not of the backup";
const CHANGES_MAX: usize = 12;

pub fn run(input: &[u8]) {
    foresee_panics();
    let root = tempfile::tempdir().expect("a directory");
    let mut damaged = Damaged::new(root.path());
    let (changes, manifest) = super::split(input, b"\nm\n");
    let changes = changes.split(|byte| *byte == b'\n').take(CHANGES_MAX);
    changes.for_each(|line| damaged.change(&String::from_utf8_lossy(line)));
    if !manifest.is_empty() {
        damaged.write_manifest(manifest);
    }
    let is_good = damaged.verify();
    damaged.restore(is_good);
    assert_eq!(fs::read_to_string(damaged.outside()).expect("the file beside"), SECRET);
    let mut names: Vec<_> = fs::read_dir(root.path()).expect("a directory").collect();
    names.retain(|entry| {
        !["backup", "data", "outside"]
            .iter()
            .any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name))
    });
    assert!(names.is_empty(), "files beside the data directory: {names:?}");
}

/// Reading a damaged database may panic within redb, which the store makes an error of: such a one is no finding.
fn foresee_panics() {
    static ONCE: LazyLock<()> = LazyLock::new(|| {
        if cfg!(test) {
            return;
        }
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|at| at.file().contains("/redb-")) {
                hook(info);
            }
        }));
    });
    LazyLock::force(&ONCE);
}

/// What all inputs begin with: a backup, and a data directory of another store.
struct Whole {
    _dir: TempDir,
    backup: PathBuf,
    /// Of the backup, the manifest first, then in order of their names.
    files: Vec<(String, Vec<u8>)>,
    documents: BTreeMap<DocumentId, Vec<u8>>,
    other: PathBuf,
    other_documents: BTreeMap<DocumentId, Vec<u8>>,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, other) = (dir.path().join("data"), dir.path().join("other"));
    let documents = filled(&first, &[large(1), b"small".to_vec(), large(2)]);
    let other_documents = filled(&other, &[large(3), b"other".to_vec()]);
    let store = Store::open(&first).expect("a store");
    let around = Surroundings { plugins: Vec::new(), config: Some(b"log: {level: info}\n".to_vec()) };
    let made = store.backup(&dir.path().join("shelf"), &around, &mut |_| true).expect("a backup");
    let mut files: Vec<_> = below(&made.path);
    files.sort_by_key(|(name, _)| (name != MANIFEST, name.clone()));
    Whole { backup: made.path, files, documents, other, other_documents, _dir: dir }
});

fn large(seed: u8) -> Vec<u8> {
    (0..70_000u32).map(|index| (index % 251) as u8 ^ seed).collect()
}

/// Makes a store with these documents; their bytes by id.
fn filled(dir: &Path, contents: &[Vec<u8>]) -> BTreeMap<DocumentId, Vec<u8>> {
    let store = Store::open(dir).expect("a store");
    for content in contents {
        let mut blob = store.blob_writer().expect("a writer");
        blob.write(content).expect("bytes");
        let document = NewDocument {
            path: None,
            collection: CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() },
            filename: "a.txt".into(),
            file_type: "txt".into(),
            blob: blob.finish().expect("a blob"),
            tags: vec!["t".into()],
            metadata: JsonMap::new(),
            upload_time: 7,
            since: Instant::now(),
        };
        store.submit(vec![document], 100).expect("a job");
        let job = store.claim().expect("a job").expect("a job");
        store.advance(job.document.id, Stage::Parsing, None).expect("a stage");
        let chunk = Chunk {
            index: 0,
            text: "a chunk".into(),
            chars: 0..7,
            page: None,
            heading_path: Vec::new(),
            context: None,
            language: Some("en".into()),
            tokens: 2,
            metadata: JsonMap::new(),
        };
        let id = job.document.id;
        let finished = Finished {
            document: job.document,
            text: "a chunk".into(),
            chunks: vec![chunk],
            vectors: vec![1.0, 0.0],
            also: None,
        };
        store.commit(&[finished], Some(("e1", 2))).expect("a commit");
        store.mark_ready(&[id]).expect("a document");
    }
    documents(&store)
}

fn documents(store: &Store) -> BTreeMap<DocumentId, Vec<u8>> {
    let (user, query) = (UserId::anonymous(), store::DocumentQuery { limit: 100, ..Default::default() });
    let all = store.documents(&user, &query).expect("documents").items.into_iter();
    all.map(|document| (document.id, content(store, &user, document.id))).collect()
}

fn content(store: &Store, user: &UserId, id: DocumentId) -> Vec<u8> {
    use std::io::Read;
    match store.content(user, id).expect("bytes").expect("bytes") {
        store::BlobHandle::Bytes(bytes) => bytes.to_vec(),
        store::BlobHandle::File(mut file, _) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("bytes");
            bytes
        }
    }
}

/// Regular files below a directory, by path.
fn below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(dir).expect("a path below").to_string_lossy().into_owned();
    files.map(|entry| (name(entry.path()), fs::read(entry.path()).expect("bytes"))).collect()
}

fn copy_dir(from: &Path, to: &Path) {
    for (name, bytes) in below(from) {
        let path = to.join(&name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
}

fn hex(bytes: &[u8]) -> String {
    ContentHash(Sha256::digest(bytes).into()).to_string()
}

/// What is at the place of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Another,
    /// `--replace`.
    Replaced,
}

/// A backup after some changes.
struct Damaged {
    root: PathBuf,
    before: Before,
    /// Whether the manifest was made to fit the damage.
    is_refitted: bool,
}

impl Damaged {
    fn new(root: &Path) -> Self {
        let this = Self { root: root.to_owned(), before: Before::Nothing, is_refitted: false };
        for (name, _) in &WHOLE.files {
            let path = this.backup().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::hard_link(WHOLE.backup.join(name), path).expect("a link");
        }
        fs::write(this.outside(), SECRET).expect("a file");
        this
    }

    fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn outside(&self) -> PathBuf {
        self.root.join("outside")
    }

    /// `x FILE AT BITS` flips bits, `t FILE LEN` cuts, `a FILE BYTE` appends, `d FILE` removes, `l FILE` puts a link to the
    /// same bytes there, `o FILE` one to a file outside, `v` such ones where a verification makes notes, `h` fits the manifest
    /// to the damage, `n`, `r` choose what is there before.
    fn change(&mut self, line: &str) {
        let mut words = line.split(' ');
        let Some(what) = words.next() else { return };
        let mut number = || words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
        match what {
            "h" => return self.refit(),
            "n" => return self.before = Before::Another,
            "r" => return self.before = Before::Replaced,
            "v" => return self.link_notes(),
            _ => {}
        }
        let (name, _) = &WHOLE.files[number() % WHOLE.files.len()];
        let path = self.backup().join(name);
        let Ok(mut bytes) = fs::read(&path) else { return };
        // A new file: the one that is there is that of all inputs.
        match what {
            "x" if !bytes.is_empty() => {
                let at = number() % bytes.len();
                bytes[at] ^= number() as u8;
            }
            "t" => bytes.truncate(number() % (bytes.len() + 1)),
            "a" => bytes.push(number() as u8),
            "d" | "l" | "o" => {}
            _ => return,
        }
        fs::remove_file(&path).expect("a file");
        let link = |to: &Path| std::os::unix::fs::symlink(to, &path).expect("a link");
        match what {
            "d" => {}
            "l" => link(&WHOLE.backup.join(name)),
            "o" => link(&self.outside()),
            _ => fs::write(&path, bytes).expect("a file"),
        }
    }

    fn link_notes(&self) {
        for note in ["verified", "damaged"] {
            let _ = std::os::unix::fs::symlink(self.outside(), self.backup().join(note));
        }
    }

    /// As somebody would do it who wants the damage to pass.
    fn refit(&mut self) {
        self.is_refitted = true;
        let Ok(text) = fs::read(self.backup().join(MANIFEST)) else { return };
        let Ok(mut manifest) = serde_json::from_slice::<serde_json::Value>(&text) else { return };
        for file in manifest["files"].as_array_mut().into_iter().flatten() {
            let path = file["path"].as_str().unwrap_or_default().to_owned();
            let is_ours = WHOLE.files.iter().any(|(name, _)| *name == path);
            if let (true, Ok(bytes)) = (is_ours, fs::read(self.backup().join(path))) {
                file["bytes"] = bytes.len().into();
                file["sha256"] = hex(&bytes).into();
            }
        }
        self.replace_manifest(manifest.to_string().into_bytes());
    }

    fn write_manifest(&mut self, template: &[u8]) {
        let mut text = String::from_utf8_lossy(template).into_owned();
        for (nth, (_, bytes)) in WHOLE.files.iter().enumerate() {
            text = text.replace(&format!("{{{nth}.bytes}}"), &bytes.len().to_string());
            text = text.replace(&format!("{{{nth}.sha256}}"), &hex(bytes));
        }
        self.replace_manifest(text.into_bytes());
    }

    fn replace_manifest(&self, bytes: Vec<u8>) {
        let path = self.backup().join(MANIFEST);
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).expect("a manifest");
    }

    /// Whether it has a file of its own of this name.
    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.backup().join(name)).is_ok_and(|found| found.is_file())
    }

    /// Whether it is said to be in order, which it must not be if anything differs.
    fn verify(&self) -> bool {
        let verified = verify_backup(&self.backup(), &mut |_| true).expect("a verdict");
        if verified.manifest.is_some() {
            assert_eq!(self.has("verified"), verified.problems.is_empty());
            assert_eq!(self.has("damaged"), !verified.problems.is_empty());
        }
        if !verified.problems.is_empty() {
            assert!(verified.problems.iter().all(|problem| !problem.trim().is_empty()));
            return false;
        }
        assert!(WHOLE.files.iter().all(|(name, _)| !self.backup().join(name).is_symlink()), "a link passed");
        for (name, bytes) in WHOLE.files.iter().filter(|(name, _)| name != MANIFEST) {
            let is_free = self.is_refitted && !name.starts_with("file_storage");
            let now = fs::read(self.backup().join(name));
            // Without a config file there is none to be wrong.
            let is_missing = name == "config.yaml" && now.is_err();
            assert!(is_free || is_missing || now.is_ok_and(|now| now == *bytes), "{name} differs");
        }
        true
    }

    /// Restores it: all of it, or nothing of it.
    fn restore(&self, is_good: bool) {
        if self.before != Before::Nothing {
            copy_dir(&WHOLE.other, &self.data());
        }
        let replace = self.before == Before::Replaced;
        let done = store::restore(&self.backup(), &self.data(), replace, &|| Ok(()), &mut |_| true);
        match (done, self.before) {
            (Ok(_), Before::Another) => panic!("what was there was replaced unasked"),
            (Err(error), Before::Another) => assert!(matches!(error, Error::Conflict(_)), "{error}"),
            (Ok(_), _) => {
                assert!(is_good, "a backup that is not in order was restored");
                let store = Store::open(&self.data()).expect("a store");
                if !self.is_refitted {
                    assert!(documents(&store) == WHOLE.documents, "other documents than were in the backup");
                }
                return;
            }
            (Err(error), _) => {
                assert!(!is_good || self.is_refitted, "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
        if self.before == Before::Nothing {
            let left: Vec<_> =
                below(&self.data()).into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
            assert!(left.is_empty(), "{:?}", left.iter().map(|(name, _)| name).collect::<Vec<_>>());
            assert!(!self.data().join(DATABASE).exists());
        } else {
            let store = Store::open(&self.data()).expect("the store that was there");
            assert!(documents(&store) == WHOLE.other_documents, "the store that was there changed");
        }
    }
}
