use std::fs;

use proptest::prelude::*;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Loads this text as a file, with this environment and these flags.
fn load_text(
    text: &str,
    vars: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, text).unwrap();
    let overrides = flags.iter().map(|(flag, key, value)| (*flag, *key, value.to_string())).collect();
    let options = Options { file: Some(file), overrides };
    let dir = format!("{}/", dir.path().display());
    load_with(&options, &env(vars)).map_err(|error| error.to_string().replace(&dir, ""))
}

fn wrong(text: &str) -> String {
    load_text(text, &[], &[]).expect_err(text)
}

#[test]
fn without_anything_the_defaults_run() {
    let loaded = load_text("", &[("HOME", "/home/ada")], &[]).unwrap();
    let config = loaded.config;
    assert_eq!(config, Config::with_data_dir(Path::new("/home/ada/.local/share/smartrag")));
    assert_eq!(config.api.bind.to_string(), "127.0.0.1:8765");
    assert_eq!(config.backends.default, "extractive");
    assert_eq!(config.backends.named["extractive"].plugin.plugin, "extractive");
    assert_eq!(config.embedder.plugin, "static-embed");
    assert_eq!(config.search.fusion, None);
    assert_eq!(config.backup.dir, Path::new("/home/ada/.local/share/smartrag/backups"));
}

#[test]
fn a_service_keeps_its_data_where_systemd_says() {
    let vars = [("HOME", "/root"), ("STATE_DIRECTORY", "/var/lib/smartrag:/var/lib/other")];
    let loaded = load_text("", &vars, &[]).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("/var/lib/smartrag"));
}

#[test]
fn the_documented_file_is_good() {
    let text = r#"
api:      {bind: 127.0.0.1:8765, ui_bind: 127.0.0.1:8501, upload_bytes_max: 256MiB}
auth:     {mode: local}
data_dir: /var/lib/smartrag
backends:
  default: extractive
  extractive: {plugin: extractive}
  llama:      {plugin: ollama, model: "llama3.1:8b", base_url: "http://127.0.0.1:11434"}
  server:     {plugin: openai, model: "qwen", base_url: "http://127.0.0.1:8080/v1", fallback: extractive}
embedder: {plugin: static-embed}
ingest:   {workers: 2, chunker: {plugin: structure, tokens: 256, overlap: 32}, enrichers: [language, keywords]}
search:   {fusion: convex, alpha: 0.5, reranker: null, candidates: 100}
plugins:
  dir: /usr/lib/smartrag/plugins
  grants:
    ollama: {http: ["127.0.0.1:11434"]}
    pdf:    {memory_max: 512MiB, deadline: 60s}
backup:   {dir: /var/backups/smartrag, keep_days: 30, schedule: "03:00"}
log:
"#;
    let config = load_text(text, &[], &[]).unwrap().config;
    let llama = &config.backends.named["llama"];
    assert_eq!(llama.plugin.settings["model"], "llama3.1:8b");
    assert_eq!(config.backends.named["server"].fallback.as_deref(), Some("extractive"));
    assert!(!config.backends.named["server"].plugin.settings.contains_key("fallback"));
    assert_eq!(config.search.fusion, Some(Fusion::Convex { alpha: 0.5 }));
    assert_eq!(config.ingest.enrichers.unwrap().len(), 2);
    assert_eq!(config.plugins.grants["pdf"].memory_max_bytes, Some(512 << 20));
    assert_eq!(config.plugins.grants["pdf"].deadline_ms, Some(60_000));
    assert_eq!(config.backup.schedule.as_deref(), Some("03:00"));
}

#[test]
fn bad_files_are_told_line_by_line() {
    let table = [
        ("api:\n  bnd: 127.0.0.1:1\n", "config.yaml:2: api.bnd: unknown key; did you mean `bind`?"),
        ("serch: {}\n", "config.yaml:1: serch: unknown key; did you mean `search`?"),
        ("auth: {mode: open}\n", "config.yaml:1: auth.mode: expected local or keys, found \"open\""),
        ("models: {xyz: 1}\n", "config.yaml:1: models.xyz: unknown key; known are dir"),
        (
            "ingest:\n  workers: many\n",
            "config.yaml:2: ingest.workers: expected a whole number, found \"many\"",
        ),
        ("ingest: {workers: 0}\n", "config.yaml:1: ingest.workers: must be from 1 to 256, found 0"),
        (
            "ingest: {enrichers: all}\n",
            "config.yaml:1: ingest.enrichers: expected auto, or a list of plugins such as [language, keywords], found \"all\"",
        ),
        (
            "ingest: {chunker: {tokens: 100, overlap: 60}}\n",
            "config.yaml:1: ingest.chunker.overlap: must be at most half of tokens, 50, found 60",
        ),
        (
            "search:\n\n  alpha: 1.5\n",
            "config.yaml:3: search.alpha: must be from 0 (keywords only) to 1 (vectors only), found 1.5",
        ),
        (
            "search: {fusion: rrf, alpha: 0.5}\n",
            "config.yaml:1: search.alpha: has no effect with `fusion: rrf`: remove one of the two",
        ),
        (
            "api: {bind: 0.0.0.0:8765}\n",
            "config.yaml:1: api.bind: 0.0.0.0:8765 can be reached from other machines, which auth.mode local must \
             not be: set `auth: {mode: keys}`, or bind to 127.0.0.1",
        ),
        (
            "api: {bind: somewhere}\n",
            "config.yaml:1: api.bind: expected an address and a port such as 127.0.0.1:8765, found \"somewhere\"",
        ),
        (
            "api: {upload_bytes_max: big}\n",
            "config.yaml:1: api.upload_bytes_max: expected a size such as 256MiB, found \"big\"",
        ),
        (
            "plugins: {grants: {pdf: {deadline: 60}}}\n",
            "config.yaml:1: plugins.grants.pdf.deadline: expected a duration with its unit such as 60s or 500ms, found integer 60",
        ),
        (
            "plugins:\n  grants:\n    ollama:\n      http:\n        - 127.0.0.1:11434\n        - '*:80'\n",
            "config.yaml:6: plugins.grants.ollama.http[1]: expected host:port or http(s)://host:port, without path or \
             wildcard, found \"*:80\"",
        ),
        (
            "plugins: {compile: {cpu_max: 10ms, memory_max: 1MiB}}\n",
            "config.yaml:1: plugins.compile.cpu_max: must be at least 1s\n\
             config.yaml:1: plugins.compile.memory_max: must be at least 64MiB",
        ),
        (
            "plugins:\n  native:\n    gpu: {role: parser, path: lib.so, sha256: ab}\n",
            "config.yaml:3: plugins.native.gpu.role: expected embedder or generator, found \"parser\"\n\
             config.yaml:3: plugins.native.gpu.path: must be absolute: write /…/lib.so, found lib.so\n\
             config.yaml:3: plugins.native.gpu.sha256: expected 64 hexadecimal digits: write what `sha256sum` prints \
             for the library, found \"ab\"",
        ),
        (
            "plugins:\n  native:\n    gpu: {role: embedder, path: /lib.so}\n",
            "config.yaml:3: plugins.native.gpu: `sha256` is missing: write {role: embedder, path: \
             /opt/example/lib.so, sha256: <64 hex digits>}",
        ),
        (
            "backup: {schedule: '3am'}\n",
            "config.yaml:1: backup.schedule: expected a time of day such as \"03:00\", found \"3am\"",
        ),
        (
            "backends:\n  default: lama\n  llama: {plugin: ollama}\n",
            "config.yaml:2: backends.default: there is no backend \"lama\"; did you mean `llama`?",
        ),
        (
            "backends:\n  default: {plugin: ollama}\n",
            "config.yaml:2: backends.default: must be the name of one of the backends",
        ),
        (
            "backends:\n  llama: {model: x}\n",
            "config.yaml:2: backends.llama: `plugin` is missing: name the plugin that serves here",
        ),
        (
            "backends:\n  a: {plugin: x, fallback: b}\n  b: {plugin: x, fallback: c}\n  c: {plugin: x, fallback: b}\n",
            "config.yaml:3: backends.b.fallback: goes in a circle: b -> c -> b",
        ),
        (
            "backends:\n  a: {plugin: x, fallback: nobody}\n",
            "config.yaml:2: backends.a.fallback: there is no backend \"nobody\"; known are a, extractive",
        ),
        (
            "log: {level: loud}\n",
            "config.yaml:1: log.level: expected off, error, warn, info, debug, trace or a filter such as \
             info,smartrag=debug, found \"loud\"",
        ),
        ("api: 5\n", "config.yaml:1: api: expected a map of settings, found integer 5"),
        ("- a\n", "config.yaml:1: expected a map of sections such as `api:`"),
        (
            "data_dir: /a\ndata_dir: /b\n",
            "config.yaml:2: data_dir: set twice, first at config.yaml:1: remove one of them",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(wrong(text), expected, "\n{text}");
    }
}

#[test]
fn broken_yaml_names_its_line() {
    let message = wrong("api:\n  bind: [1\nauth: {}\n");
    assert!(message.starts_with("config.yaml:") && message.contains("not YAML"), "{message}");
}

#[test]
fn all_problems_are_told_at_once_in_order_of_lines() {
    let text =
        "ingest:\n  workers: 0\n  chunkr: {}\nsearch:\n  alpha: no\n  candidates: 0\nlog: {colour: x}\n";
    assert_eq!(
        wrong(text),
        "config.yaml:2: ingest.workers: must be from 1 to 256, found 0\n\
         config.yaml:3: ingest.chunkr: unknown key; did you mean `chunker`?\n\
         config.yaml:5: search.alpha: expected a number, found \"no\"\n\
         config.yaml:6: search.candidates: must be from 1 to 10000, found 0\n\
         config.yaml:7: log.colour: unknown key; known are level, format, dir, traces"
    );
}

#[test]
fn a_missing_file_is_named() {
    let options = Options { file: Some("/nowhere/config.yaml".into()), ..Options::default() };
    let error = load_with(&options, &env(&[])).unwrap_err().to_string();
    assert!(error.starts_with("the config file /nowhere/config.yaml can't be read: "), "{error}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = "api: {bind: 127.0.0.1:1, ui_bind: '127.0.0.1:2'}\nsearch: {candidates: 7}\n";
    let vars = [
        ("SMARTRAG_API__BIND", "127.0.0.1:10"),
        ("SMARTRAG_SEARCH__CANDIDATES", "9"),
        ("SMARTRAG_UI_PORT", "20"),
        ("SMARTRAG_URL", "http://unrelated"),
    ];
    let loaded = load_text(text, &vars, &[("--bind", "api.bind", "127.0.0.1:100")]).unwrap();
    assert_eq!(loaded.config.api.bind.port(), 100);
    assert_eq!(loaded.config.api.ui_bind.port(), 20);
    assert_eq!(loaded.config.search.candidates, 9);
    assert_eq!(loaded.origins["api.bind"], Origin::Flag("--bind".into()));
    assert_eq!(loaded.origins["search.candidates"].to_string(), "SMARTRAG_SEARCH__CANDIDATES");
}

#[test]
fn environment_variables_find_names_with_case_and_dashes() {
    let text = "backends: {My-Llama: {plugin: ollama, model: a}}\n";
    let vars = [("SMARTRAG_BACKENDS__MY_LLAMA__MODEL", "b"), ("SMARTRAG_INGEST__ENRICHERS", "[language]")];
    let config = load_text(text, &vars, &[]).unwrap().config;
    assert_eq!(config.backends.named["My-Llama"].plugin.settings["model"], "b");
    assert_eq!(config.ingest.enrichers.unwrap()[0].plugin, "language");
}

#[test]
fn wrong_environment_variables_are_named() {
    let vars =
        [("SMARTRAG_SEARCH__ALPA", "1"), ("SMARTRAG_API_PORT", "x"), ("SMARTRAG_INGEST__WORKERS", "0")];
    assert_eq!(
        load_text("", &vars, &[]).unwrap_err(),
        "SMARTRAG_API_PORT: expected a port from 0 to 65535, found \"x\"\n\
         SMARTRAG_INGEST__WORKERS: ingest.workers: must be from 1 to 256, found 0\n\
         SMARTRAG_SEARCH__ALPA: search.alpa: unknown key; did you mean `alpha`?"
    );
}

#[test]
fn secrets_of_plugins_are_told_by_their_place() {
    let text = "plugins: {grants: {p: {secrets: {api_key: env:KEY, token: \"file:/run/key\"}}}}\n";
    let loaded = load_text(text, &[], &[]).unwrap();
    let secrets = &loaded.config.plugins.grants["p"].secrets;
    assert_eq!(secrets["api_key"], SecretSource::Env("KEY".into()));
    assert_eq!(secrets["token"], SecretSource::File("/run/key".into()));
    let shown = show(&loaded);
    assert!(shown.contains("api_key: env:KEY") && shown.contains("token: file:/run/key"), "{shown}");
    for wrong in ["hunter2", "env:", "env:A=B", "file:run/key", "file:", "ENV:KEY"] {
        let text = format!("plugins: {{grants: {{p: {{secrets: {{api_key: \"{wrong}\"}}}}}}}}\n");
        let error = load_text(&text, &[], &[]).unwrap_err();
        assert!(error.contains("plugins.grants.p.secrets.api_key: expected env:VARIABLE"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let text = "plugins: {grants: {p: {secrets: {\"a b\": env:KEY}}}}\n";
    assert!(load_text(text, &[], &[]).unwrap_err().contains("letters, digits, hyphens and underscores"));
}

#[test]
fn secrets_are_not_shown() {
    let text = "backends: {x: {plugin: openai, api_key: hunter2, max_tokens: 5}}\n";
    let shown = show(&load_text(text, &[], &[]).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("<redacted>") && shown.contains("max_tokens: 5"), "{shown}");
}

#[test]
fn servers_are_where_a_grant_could_be() {
    for server in ["http://127.0.0,1:11434", "http://a'b", "http://a:0", "ftp://a", "a:80"] {
        let said = wrong(&format!("backends: {{x: {{plugin: ollama, base_url: \"{server}\"}}}}\n"));
        assert!(said.contains("backends.x.base_url: expected a URL such as"), "{said}");
    }
    let text = "backends: {x: {plugin: ollama, base_url: \"https://user@[::1]/v1\"}}\n";
    let granted = load_text(text, &[], &[]).unwrap().config.plugins.grants["ollama"].http.clone();
    assert_eq!(granted, ["https://[::1]:443"]);
}

#[test]
fn a_wrong_section_of_the_environment_names_its_variable() {
    let said = load_text("", &[("SMARTRAG_SERCH__ALPHA", "0.5")], &[]).unwrap_err();
    assert_eq!(said, "SMARTRAG_SERCH__ALPHA: serch: unknown key; did you mean `search`?");
}

#[test]
fn what_plugins_make_of_nothing_is_shown() {
    let text =
        "embedder: {plugin: e, a: null, b: {}, c: {d: null}}\nplugins: {settings: {p: {a: null}, q: {}}}\n";
    let loaded = load_text(text, &[], &[]).unwrap();
    let again = load_text(&show(&loaded), &[], &[]).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn no_key_ends_its_comment() {
    let text = "plugins: {settings: {\"p\\nq: r\": {a: 1}}}\n";
    let loaded = load_text(text, &[], &[]).unwrap();
    let shown = show(&loaded);
    assert_eq!(load_text(&shown, &[], &[]).map(|again| again.config), Ok(loaded.config), "{shown}");
}

/// A clock that adds it would panic.
#[test]
fn spans_end_some_day() {
    let said =
        wrong("plugins: {grants: {pdf: {deadline: 25h}}, compile: {cpu_max: 18446744073709551615ms}}\n");
    assert!(said.contains("plugins.grants.pdf.deadline: must be at most 1d"), "{said}");
    assert!(said.contains("plugins.compile.cpu_max: must be at most 1d"), "{said}");
}

#[test]
fn the_schema_knows_every_section() {
    let schema = schema();
    let sections: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        sections,
        [
            "analytics",
            "api",
            "auth",
            "backends",
            "backup",
            "data_dir",
            "embedder",
            "ingest",
            "log",
            "models",
            "plugins",
            "prompts",
            "search"
        ]
    );
}

fn some_config() -> impl Strategy<Value = Config> {
    let settings = prop::collection::btree_map("[a-z_]{1,8}", any::<i32>(), 0..3);
    let plugin = ("[a-z-]{1,8}", settings).prop_map(|(plugin, settings)| PluginRef {
        plugin,
        settings: settings
            .into_iter()
            .filter(|(key, _)| key != "plugin" && key != "fallback")
            .map(|(key, value)| (key, value.into()))
            .collect(),
    });
    let fusion = prop_oneof![
        Just(None),
        Just(Some(Fusion::Rrf)),
        (0.0f32..=1.0).prop_map(|alpha| Some(Fusion::Convex { alpha }))
    ];
    let numbers = (1u16.., 1u64..1 << 50, 1usize..256, 1u32..10_000, 64u32..8192);
    let keys = prop::bool::ANY;
    (plugin, fusion, numbers, keys).prop_map(
        |(plugin, fusion, (port, bytes, workers, count, tokens), keys)| {
            let mut config = Config::with_data_dir(Path::new("/data: with # odd 'name'"));
            config.api.bind = SocketAddr::from(([127, 0, 0, 1], port));
            config.api.upload_bytes_max = bytes;
            config.auth.mode = if keys { AuthMode::Keys } else { AuthMode::Local };
            config.backends.named.insert(
                "other".into(),
                BackendConfig { plugin: plugin.clone(), fallback: Some("extractive".into()) },
            );
            config.backends.default = "other".into();
            config.prompts.dir = keys.then(|| "/own prompts".into());
            config.ingest.workers = workers;
            config.ingest.chunk_tokens = tokens;
            config.ingest.enrichers = keys.then(|| vec![plugin.clone()]);
            config.search = SearchConfig {
                fusion,
                reranker: Some(plugin.clone()),
                candidates: count as usize,
                fold: keys,
            };
            config.plugins.grants.insert(
                plugin.plugin.clone(),
                GrantConfig {
                    sha256: Some("0b".repeat(32)),
                    deadline_ms: Some(bytes % 86_400_000 + 1),
                    http: vec!["[::1]:80".into()],
                    secrets: [("key".to_owned(), SecretSource::Env("KEY".into()))].into(),
                    ..GrantConfig::default()
                },
            );
            config.plugins.settings.insert("mine".into(), plugin.settings);
            let native =
                NativeConfig { role: Role::Embedder, path: "/a b/lib.so".into(), sha256: "0a".repeat(32) };
            config.plugins.native.insert("gpu".into(), native);
            config.plugins.compile =
                CompileLimits { cpu_seconds: u64::from(port) + 1, memory_bytes: 64 << 20 };
            config
        },
    )
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(config in some_config()) {
        let text = show::to_yaml(&config, false);
        let loaded = load_text(&text, &[], &[]);
        prop_assert_eq!(loaded.map(|loaded| loaded.config), Ok(config));
    }
}
