//! Components that must not be loaded, and what must not come of them.

use std::path::{Path, PathBuf};

use super::House;

/// What a component may take to compile here, so that the test of it is short.
pub const COMPILE_SECONDS: u64 = 10;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/wit-0.1.0/golden-reranker").join(file)
}

fn golden_manifest(name: &str) -> String {
    std::fs::read_to_string(golden("plugin.toml")).unwrap().replace("golden-reranker", name)
}

fn install(house: &House, name: &str, manifest: &str, component: &[u8]) {
    let dir = house.plugins().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("plugin.toml"), manifest).unwrap();
    std::fs::write(dir.join("plugin.wasm"), component).unwrap();
}

fn uninstall(house: &House, names: &[String]) {
    names.iter().for_each(|name| std::fs::remove_dir_all(house.plugins().join(name)).unwrap());
}

/// Reloads; why each plugin was refused.
async fn refusals(house: &House, names: &[String]) -> Vec<String> {
    // The daemon watches the directory as well: which of the two reloads came first does not matter.
    house.reload().await;
    let mut reasons = Vec::new();
    for name in names {
        let shown = house.plugin(name).await;
        // All that this one lacks is a grant.
        let state = if name == "asks-more" { "ungranted" } else { "failed" };
        assert_eq!(shown["state"], state, "{shown:#}");
        reasons.push(shown["problem"].as_str().unwrap().to_owned());
    }
    reasons
}

/// Lies of the manifest, and imports that nobody granted.
pub async fn lies(house: &House) {
    let whole = std::fs::read(golden("plugin.wasm")).unwrap();
    let generator = house.plugins().join("hostile-generator");
    let (web, web_manifest) = (
        std::fs::read(generator.join("plugin.wasm")).unwrap(),
        std::fs::read_to_string(generator.join("plugin.toml")).unwrap(),
    );
    let asking = |name: &str| web_manifest.replace("\"hostile-generator\"", &format!("{name:?}"));
    let ask = "[capabilities]\nhttp = { why = \"tries where it can get to\" }\n";
    assert!(web_manifest.contains(ask));
    let wasi = "(component (import \"wasi:cli/environment@0.2.0\" (instance (export \"f\" (func)))))";
    let cases = [
        ("lies-name", golden_manifest("lies-name"), whole.clone(), "name \"golden-reranker\""),
        (
            "golden-reranker",
            golden_manifest("golden-reranker").replace("version = \"0.1.0\"", "version = \"9.9.9\""),
            whole.clone(),
            "version \"0.1.0\", its plugin.toml \"9.9.9\"",
        ),
        (
            "lies-role",
            golden_manifest("lies-role").replace("\"reranker\"", "\"enricher\""),
            whole.clone(),
            "`enricher-plugin`",
        ),
        (
            "lies-wit",
            golden_manifest("lies-wit").replace("wit = \"0.1.0\"", "wit = \"0.9.0\""),
            whole.clone(),
            "this host speaks",
        ),
        (
            "escapes",
            golden_manifest("escapes")
                + &format!("[[models]]\nname = \"m\"\npath = \"../key\"\nsha256 = \"{}\"\n", "0".repeat(64)),
            whole.clone(),
            "stay below the model directory",
        ),
        (
            "asks-nothing",
            asking("asks-nothing").replace(ask, ""),
            web.clone(),
            "plugin.toml does not ask for it",
        ),
        ("asks-more", asking("asks-more"), web.clone(), "plugins.grants.asks-more.http"),
        (
            "imports-wasi",
            golden_manifest("imports-wasi"),
            wat::parse_str(wasi).unwrap(),
            "`wasi:cli/environment@0.2.0`",
        ),
    ];
    let names: Vec<String> = cases.iter().map(|(name, ..)| (*name).to_owned()).collect();
    cases.iter().for_each(|(name, manifest, component, _)| install(house, name, manifest, component));
    let reasons = refusals(house, &names).await;
    for ((name, .., expected), reason) in cases.iter().zip(reasons) {
        assert!(reason.contains(expected), "{name}: {expected:?} is not in {reason:?}");
    }
    uninstall(house, &names);
}

/// Components that lost their end, or had a bit flipped.
pub async fn damage(house: &House) {
    let whole = std::fs::read(golden("plugin.wasm")).unwrap();
    let mut names = Vec::new();
    for len in [0, 4, 8, 9, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let name = format!("cut-{len}");
        install(house, &name, &golden_manifest(&name), &whole[..len]);
        names.push(name);
    }
    for (name, reason) in names.iter().zip(refusals(house, &names).await) {
        // Eight bytes are a whole component, only an empty one.
        let expected = if name == "cut-8" { "does not fit world" } else { "not a valid component" };
        assert!(reason.contains(expected), "{name}: {reason}");
    }
    uninstall(house, &names);
    names.clear();
    for at in (0..24).map(|step| (whole.len() - 1) * step / 23) {
        let (mut flipped, name) = (whole.clone(), format!("flipped-{at}"));
        flipped[at] ^= 1 << (at % 8);
        install(house, &name, &golden_manifest(&name), &flipped);
        names.push(name);
    }
    // A flipped bit can leave it valid: then it is one that says another name than its manifest.
    refusals(house, &names).await;
    uninstall(house, &names);
    house.reload().await;
}

fn compiled(house: &House, plugin: &str) -> PathBuf {
    let cache = house.daemon.data().join("cache/plugins");
    let mut files = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let is_its = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(plugin) && name.ends_with(".cwasm")
    };
    files.find(is_its).unwrap()
}

/// Machine code that somebody changed is made anew, never loaded.
pub async fn tampering(house: &House) {
    let file = compiled(house, "hostile-enricher");
    let authentic = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = authentic.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let foreign = std::fs::read(compiled(house, "hostile-parser")).unwrap();
    let cut = authentic[..authentic.len() - 40].to_vec();
    let len = authentic.len();
    let bad =
        [flipped(100), flipped(len / 2), flipped(len - 1), cut, foreign, b"nonsense".to_vec(), Vec::new()];
    for (round, bad) in bad.into_iter().enumerate() {
        // By another file, as somebody would who does not crash the daemon at once.
        let aside = file.with_extension("aside");
        std::fs::write(&aside, &bad).unwrap();
        std::fs::rename(&aside, &file).unwrap();
        let words = format!("changed {round} times");
        change(house, "hostile-enricher", "description", &words);
        house.reload().await;
        let shown = house.plugin("hostile-enricher").await;
        assert_eq!((&shown["description"], &shown["state"]), (&words.into(), &"ready".into()), "{shown:#}");
        assert_ne!(std::fs::read(&file).unwrap(), bad, "round {round}: it was compiled anew");
        house.enrich("harmless").await.ok();
    }
}

/// Changes a line of a plugin's manifest.
pub fn change(house: &House, plugin: &str, key: &str, value: &str) {
    let path = house.plugins().join(plugin).join("plugin.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    std::fs::write(&path, text.replace(line, &format!("{key} = {value:?}"))).unwrap();
}

/// Code that would take minutes to compile.
pub async fn bombs(house: &House) {
    // One huge function: every local is alive in every loop.
    let (loops, locals) = (20_000, 1000);
    let one = |at: usize| {
        let (to, from, when) = (at % locals, (at * 7 + 1) % locals, (at * 13) % locals);
        format!(
            "(loop (local.set {to} (i64.add (local.get {from}) (local.get {to}))) (br_if 0 (i64.eqz (local.get {when}))))"
        )
    };
    let body: String = (0..loops).map(one).collect();
    let used: String = (0..locals).map(|at| format!("(drop (local.get {at}))")).collect();
    let bomb = format!("(component (core module (func (local {}) {body} {used})))", "i64 ".repeat(locals));
    let names = ["bomb".to_owned()];
    install(house, "bomb", &golden_manifest("bomb"), &wat::parse_str(bomb).unwrap());
    let reason = refusals(house, &names).await.remove(0);
    assert!(reason.contains(&format!("more than {COMPILE_SECONDS} s to compile")), "{reason}");
    assert!(reason.contains("plugins.compile.cpu_max"), "{reason}");
    uninstall(house, &names);
    house.reload().await;
    house.daemon.get("/api/v1/plugins/bomb").await.problem(404, "not_found");
}
