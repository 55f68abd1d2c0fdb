use std::cell::Cell;

use serde::Deserialize;
use serde_json::Value;
use smartrag_sdk::embedder::{Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Error, ErrorKind, Result};

use crate::config::server_properties;
use crate::failure::told;
use crate::{Endpoint, Timeouts, guessed_tokens};

/// Tokens of a text where nobody says more: what most models for vectors take.
pub const TEXT_WINDOW: u32 = 512;
/// The part of the window that is left for headings, which stand before a text and are not counted with it.
const HEADINGS_PART: u32 = 8;
/// What is left of a window, whatever the prefix takes of it.
const WINDOW_MIN: u32 = 16;
/// Tells the dimension. Any text would do.
const PROBE: &str = "dimension";

/// What an operator may set where a plugin asks a model server for vectors.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedConfig {
    /// `None`: where such a server usually is.
    pub base_url: Option<String>,
    /// `None`: one that the server lists.
    pub model: Option<String>,
    /// The secret of the grant that is the key.
    pub api_key_secret: Option<String>,
    /// Tokens of one text; `None`: as the server says.
    pub context_window: Option<u32>,
    /// Numbers of a vector, for models that can be asked for fewer.
    pub dimensions: Option<u32>,
    /// What the model wants before a question.
    pub query_prefix: String,
    /// What the model wants before a text that is to be found.
    pub passage_prefix: String,
    /// Texts of one request.
    pub batch: u32,
    /// Weight of the vectors in hybrid search.
    pub fusion_weight: f32,
    /// Seconds that the vectors of texts may take.
    pub timeout_s: u32,
    /// Seconds that the vector of a question may take.
    pub query_timeout_s: u32,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            model: None,
            api_key_secret: None,
            context_window: None,
            dimensions: None,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            batch: 32,
            fusion_weight: 0.5,
            timeout_s: 110,
            query_timeout_s: 15,
        }
    }
}

impl EmbedConfig {
    /// The JSON Schema of the settings of a plugin, with the place where its server usually is.
    pub fn schema(plugin: &str, base_url: &str) -> String {
        format!(
            r#"{{
  "type": "object",
  "additionalProperties": false,
  "properties": {{
    {},
    "context_window": {{"type": "integer", "minimum": 64, "maximum": 1000000,
      "description": "Tokens that the model takes in one text; without it as the server says, else {TEXT_WINDOW}"}},
    "dimensions": {{"type": "integer", "minimum": 1, "maximum": 8192,
      "description": "Numbers of a vector, for models that can be asked for fewer than they have"}},
    "query_prefix": {{"type": "string", "default": "", "maxLength": 1000,
      "description": "What the model wants before a question, such as `query: ` with its space"}},
    "passage_prefix": {{"type": "string", "default": "", "maxLength": 1000,
      "description": "What the model wants before a text, such as `passage: `; another one makes all vectors anew"}},
    "batch": {{"type": "integer", "minimum": 1, "maximum": 256, "default": 32,
      "description": "Texts of one request"}},
    "fusion_weight": {{"type": "number", "minimum": 0, "maximum": 1, "default": 0.5,
      "description": "Weight of the vectors in hybrid search, unless search.alpha sets it"}},
    "timeout_s": {{"type": "integer", "minimum": 1, "maximum": 900, "default": 110,
      "description": "Seconds that a request with texts may take, in which the model is loaded, too"}},
    "query_timeout_s": {{"type": "integer", "minimum": 1, "maximum": 900, "default": 15,
      "description": "Seconds that the vector of a question may take; after them the search goes by keywords alone"}}
  }}
}}"#,
            server_properties(plugin, base_url, "one")
        )
    }

    /// The server, which is usually at `base_url`.
    ///
    /// # Errors
    /// Those of [`Endpoint::new`].
    pub fn endpoint(&self, base_url: &str) -> Result<Endpoint> {
        Endpoint::new(self.base_url.as_deref().unwrap_or(base_url), self.api_key_secret.as_deref())
    }

    fn timeouts(&self, purpose: Purpose) -> Timeouts {
        let seconds = match purpose {
            Purpose::Query => self.query_timeout_s.min(self.timeout_s),
            Purpose::Passage => self.timeout_s,
        };
        let ms = seconds.saturating_mul(1000);
        Timeouts { first_byte: ms, idle: ms }
    }

    fn prefix(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Query => &self.query_prefix,
            Purpose::Passage => &self.passage_prefix,
        }
    }

    /// What of a window is left for the text itself.
    fn room(&self, window: u32) -> u32 {
        let prefixes = [self.query_prefix.clone(), self.passage_prefix.clone()];
        let prefix = guessed_tokens(&prefixes).into_iter().max().unwrap_or(0);
        (window - window / HEADINGS_PART).saturating_sub(prefix).max(WINDOW_MIN)
    }
}

/// A vector as it came: `null` stands where the server had no number.
pub type Row = Vec<Option<f32>>;

/// What a server answered: a vector a text, in the order of the texts.
#[derive(Debug, Default)]
pub struct Rows {
    /// The vectors.
    pub rows: Vec<Row>,
    /// Tokens of all texts, where the server counts them.
    pub tokens: u64,
}

impl Rows {
    /// From an answer of the right form; `error` is what came in their place.
    ///
    /// # Errors
    /// No vectors at all.
    pub fn new(base: &str, rows: Option<Vec<Row>>, error: Option<&Value>, tokens: u64) -> Result<Self> {
        let said = error.and_then(told).map_or_else(String::new, |said| format!(": {said}"));
        let rows = rows.ok_or_else(|| Error::upstream(format!("{base} answered without vectors{said}")))?;
        Ok(Self { rows, tokens })
    }
}

/// Turns texts into vectors by what asks a server for those of some texts at once, and checks what comes back.
pub struct Vectors {
    config: EmbedConfig,
    /// That of the first answer; all others have to agree.
    dimension: Cell<Option<usize>>,
}

impl Vectors {
    /// With the settings of a plugin.
    pub fn new(config: EmbedConfig) -> Self {
        let dimension = Cell::new(config.dimensions.map(|dimension| dimension as usize));
        Self { config, dimension }
    }

    /// The settings.
    pub fn config(&self) -> &EmbedConfig {
        &self.config
    }

    /// What a plugin says of a model, for which the server is asked once. `revision` tells builds of a model apart that
    /// have the same name, `window` is what the model takes with all that stands before a text.
    ///
    /// # Errors
    /// Those of `ask`; an answer that can't be.
    pub fn info(
        &self,
        plugin: &str,
        model: &str,
        revision: &str,
        window: u32,
        ask: impl Fn(&[String], Timeouts) -> Result<Rows>,
    ) -> Result<ModelInfo> {
        let dimension = self.probe(&ask)?;
        // The prefix of questions is not in it: no vector that is kept depends on it.
        let prefix = hash(&self.config.passage_prefix);
        Ok(ModelInfo {
            model: model.to_owned(),
            dimension: dimension as u32,
            window_tokens: self.config.room(window),
            batch_max: self.config.batch.max(1),
            fusion_weight: self.config.fusion_weight,
            fingerprint: format!("{plugin}/{model}/{revision}/{dimension}/{prefix:016x}"),
            properties: Vec::new(),
        })
    }

    /// Vectors of length 1, in requests of so many texts as the settings say. A text without a word gets zeros, and the
    /// server never sees it: many answer such a text with an error.
    ///
    /// # Errors
    /// Those of `ask`; an answer that can't be.
    pub fn embed(
        &self,
        texts: &[String],
        purpose: Purpose,
        ask: impl Fn(&[String], Timeouts) -> Result<Rows>,
    ) -> Result<Embeddings> {
        let (prefix, timeouts) = (self.config.prefix(purpose), self.config.timeouts(purpose));
        let is_blank = |text: &str| text.trim().is_empty();
        let asked: Vec<String> =
            texts.iter().filter(|text| !is_blank(text)).map(|text| format!("{prefix}{text}")).collect();
        let (mut rows, mut tokens) = (Vec::with_capacity(asked.len()), 0);
        for batch in asked.chunks(self.config.batch.max(1) as usize) {
            let answer = ask(batch, timeouts).map_err(|error| too_long(error, batch))?;
            tokens += answer.tokens;
            rows.extend(self.checked(answer.rows, batch.len())?);
        }
        let dimension = self.dimension.get().map_or_else(|| self.probe(&ask), Ok)?;
        let (mut rows, mut values) = (rows.into_iter(), Vec::with_capacity(texts.len() * dimension));
        for text in texts {
            let row = if is_blank(text) { None } else { rows.next() };
            values.extend(row.unwrap_or_else(|| vec![0.0; dimension]));
        }
        Ok(Embeddings { dimension: dimension as u32, values, tokens })
    }

    /// Asks for the vector of some text.
    fn probe(&self, ask: impl Fn(&[String], Timeouts) -> Result<Rows>) -> Result<usize> {
        let timeouts = self.config.timeouts(Purpose::Passage);
        let answer = ask(&[format!("{}{PROBE}", self.config.passage_prefix)], timeouts)?;
        let rows = self.checked(answer.rows, 1)?;
        Ok(rows.first().map_or(0, Vec::len))
    }

    /// As many vectors as texts, of one dimension, of numbers, of length 1.
    fn checked(&self, rows: Vec<Row>, texts: usize) -> Result<Vec<Vec<f32>>> {
        if rows.len() != texts {
            let count = rows.len();
            return Err(Error::upstream(format!(
                "the server was asked for vectors of {texts} texts and answered with {count}"
            )));
        }
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: Row) -> Result<Vec<f32>> {
        if row.is_empty() {
            return Err(Error::upstream(
                "the server answered with an empty vector: is the model one for vectors?",
            ));
        }
        let expected = self.dimension.get().unwrap_or(row.len());
        if row.len() != expected {
            return Err(Error::upstream(self.other_dimension(row.len(), expected)));
        }
        let numbers: Option<Vec<f32>> =
            row.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let mut numbers = numbers.ok_or_else(|| {
            Error::upstream("the server answered with a vector that holds more than numbers")
        })?;
        self.dimension.set(Some(expected));
        normalise(&mut numbers);
        Ok(numbers)
    }

    fn other_dimension(&self, found: usize, expected: usize) -> String {
        let what = format!("the server answered with a vector of {found} numbers, not of {expected}");
        match self.config.dimensions {
            Some(asked) if asked as usize == expected => {
                format!("{what}: the model can't be asked for fewer, leave dimensions out")
            }
            _ => format!("{what}: if it has another model now, restart the daemon"),
        }
    }
}

/// A text that is longer than the window, told by what can be done about it.
fn too_long(error: Error, batch: &[String]) -> Error {
    if error.kind != ErrorKind::Limit("context".into()) {
        return error;
    }
    let longest = batch.iter().map(String::len).max().unwrap_or(0);
    let message = format!(
        "a text is longer than the model takes ({longest} bytes at most in this request): set context_window of the \
         embedder to what the server was started with, or ingest.chunker.tokens to less. {}",
        error.message
    );
    Error { message, ..error }
}

/// Scales to length 1; leaves zeros alone.
fn normalise(row: &mut [f32]) {
    let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

/// FNV-1a: the same everywhere and for ever, unlike that of the standard library.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn vectors(config: &str) -> Vectors {
        Vectors::new(serde_json::from_str(config).unwrap())
    }

    fn rows(rows: &[&[f32]]) -> Result<Rows> {
        let row = |row: &&[f32]| row.iter().copied().map(Some).collect();
        Ok(Rows { rows: rows.iter().map(row).collect(), tokens: 1 })
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn texts_go_in_batches_with_their_prefix_and_blank_ones_stay() {
        let asked = RefCell::new(Vec::new());
        let ask = |texts: &[String], timeouts: Timeouts| {
            asked.borrow_mut().push((texts.to_vec(), timeouts.first_byte));
            rows(&vec![&[3.0, 4.0][..]; texts.len()])
        };
        let vectors =
            vectors(r#"{"batch": 2, "passage_prefix": "p: ", "query_prefix": "q: ", "query_timeout_s": 3}"#);
        let got = vectors.embed(&texts(&["a", " \n", "b", "c"]), Purpose::Passage, ask).unwrap();
        assert_eq!((got.dimension, got.tokens), (2, 2));
        assert_eq!(got.values, [0.6, 0.8, 0.0, 0.0, 0.6, 0.8, 0.6, 0.8]);
        vectors.embed(&texts(&["d"]), Purpose::Query, ask).unwrap();
        let expected =
            [(texts(&["p: a", "p: b"]), 110_000), (texts(&["p: c"]), 110_000), (texts(&["q: d"]), 3_000)];
        assert_eq!(*asked.borrow(), expected);
    }

    #[test]
    fn blank_texts_alone_need_the_dimension() {
        let ask = |texts: &[String], _: Timeouts| {
            assert_eq!(texts, [PROBE]);
            rows(&[&[1.0, 0.0, 0.0]])
        };
        let vectors = vectors("{}");
        assert_eq!(vectors.embed(&texts(&["", "\t"]), Purpose::Query, ask).unwrap().values, [0.0; 6]);
        let never = |_: &[String], _: Timeouts| panic!("it is known by now");
        assert_eq!(vectors.embed(&[], Purpose::Query, never).unwrap().dimension, 3);
        assert_eq!(vectors.embed(&texts(&[""]), Purpose::Query, never).unwrap().values, [0.0; 3]);
    }

    #[test]
    fn answers_that_can_not_be_are_told() {
        let error = |config: &str, answer: Rows| {
            let answer = RefCell::new(Some(answer));
            let ask = |_: &[String], _: Timeouts| Ok(answer.take().unwrap());
            let error = vectors(config).embed(&texts(&["a", "b"]), Purpose::Passage, ask).unwrap_err();
            assert_eq!((error.kind, error.retryable), (ErrorKind::Upstream, false));
            error.message
        };
        let of = |rows: &[&[f32]]| self::rows(rows).unwrap();
        assert!(error("{}", of(&[&[1.0]])).contains("of 2 texts and answered with 1"));
        assert!(error("{}", of(&[&[1.0], &[1.0], &[1.0]])).contains("answered with 3"));
        assert!(error("{}", of(&[&[1.0, 0.0], &[1.0]])).contains("a vector of 1 numbers, not of 2"));
        assert!(error("{}", of(&[&[], &[]])).contains("empty vector"));
        assert!(error("{}", of(&[&[f32::INFINITY], &[1.0]])).contains("more than numbers"));
        assert!(error("{}", of(&[&[f32::NAN], &[1.0]])).contains("more than numbers"));
        let null = Rows { rows: vec![vec![None], vec![Some(1.0)]], tokens: 0 };
        assert!(error("{}", null).contains("more than numbers"));
        assert!(error(r#"{"dimensions": 2}"#, of(&[&[1.0], &[1.0]])).contains("leave dimensions out"));
    }

    #[test]
    fn a_dimension_once_seen_holds() {
        let vectors = vectors("{}");
        vectors.embed(&texts(&["a"]), Purpose::Query, |_, _| rows(&[&[1.0, 0.0]])).unwrap();
        let error = vectors.embed(&texts(&["a"]), Purpose::Query, |_, _| rows(&[&[1.0]])).unwrap_err();
        assert!(error.message.contains("restart"), "{}", error.message);
        let zeros = vectors.embed(&texts(&["a"]), Purpose::Query, |_, _| rows(&[&[0.0, 0.0]])).unwrap();
        assert_eq!(zeros.values, [0.0, 0.0]);
        let large = vectors.embed(&texts(&["a"]), Purpose::Query, |_, _| rows(&[&[3e38, 0.0]])).unwrap();
        assert_eq!(large.values, [1.0, 0.0]);
    }

    #[test]
    fn the_model_is_told_apart_by_what_makes_its_vectors() {
        let info = |config: &str, revision: &str| {
            let ask = |_: &[String], _: Timeouts| rows(&[&[1.0, 0.0]]);
            vectors(config).info("plugin", "m", revision, 512, ask).unwrap()
        };
        let plain = info("{}", "r1");
        assert_eq!(
            (plain.dimension, plain.window_tokens, plain.batch_max, plain.fusion_weight),
            (2, 448, 32, 0.5)
        );
        let print = |config, revision| info(config, revision).fingerprint;
        assert_eq!(plain.fingerprint, print(r#"{"query_prefix": "q: ", "batch": 1}"#, "r1"));
        assert_ne!(plain.fingerprint, print(r#"{"passage_prefix": "p: "}"#, "r1"));
        assert_ne!(plain.fingerprint, print("{}", "r2"));
        assert_eq!(info(r#"{"query_prefix": "123456"}"#, "r1").window_tokens, 446);
        let long = format!(r#"{{"passage_prefix": "{}"}}"#, "long ".repeat(400));
        assert_eq!(info(&long, "r1").window_tokens, WINDOW_MIN);
    }

    #[test]
    fn a_text_that_is_too_long_says_what_to_set() {
        let ask = |_: &[String], _: Timeouts| Err(Error::limit("context", "the server: 600 tokens"));
        let error = vectors("{}").embed(&texts(&["aaaa", "b"]), Purpose::Passage, ask).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit("context".into()));
        for says in ["4 bytes", "context_window", "ingest.chunker.tokens", "600 tokens"] {
            assert!(error.message.contains(says), "{}", error.message);
        }
    }

    #[test]
    fn the_schema_has_every_setting_and_its_default() {
        let schema: Value = serde_json::from_str(&EmbedConfig::schema("plugin", "http://h")).unwrap();
        let defaults: serde_json::Map<String, Value> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(key, of)| Some((key.clone(), of.get("default")?.clone())))
            .collect();
        let config: EmbedConfig = serde_json::from_value(defaults.into()).unwrap();
        let default = EmbedConfig { base_url: Some("http://h".into()), ..EmbedConfig::default() };
        assert_eq!(format!("{config:?}"), format!("{default:?}"));
    }
}
