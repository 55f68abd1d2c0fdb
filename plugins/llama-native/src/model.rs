//! A model: its file, its words, and the form in which it wants a conversation.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;

use crate::config::Config;
use crate::failure::Failure;
use crate::llama;

/// Says which file is which.
type Key = (PathBuf, u64, Option<SystemTime>, Option<u32>);

/// Models that are in use: a file has its weights in memory once, however many backends have it, also while a reload
/// tries its successor.
static LOADED: Mutex<Vec<(Key, Weak<LlamaModel>)>> = Mutex::new(Vec::new());

/// A model with its template.
#[derive(Debug)]
pub struct Model {
    inner: Arc<LlamaModel>,
    name: String,
    template: LlamaChatTemplate,
    /// Words that steer the model; in a message they are only text.
    steering: Vec<String>,
}

impl Model {
    /// Loads the file that the configuration names, unless it is there already.
    ///
    /// # Errors
    /// `MISSING_MODEL` if the file is absent or unusable, `INVALID_CONFIG` if there is no template for it.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        let inner = shared(&config.model_path, config.gpu_layers)?;
        let template = template(&inner, config.chat_template.as_deref())?;
        let vocab = inner.vocab();
        let steering = vocab.tokens().filter(|token| vocab.is_control(*token));
        let steering = steering.filter_map(|token| vocab.text(token)?.to_str().ok().map(str::to_owned));
        let steering = steering.filter(|text| text.chars().count() > 2).collect();
        let name = name(&inner, &config.model_path);
        Ok(Self { name, template, steering, inner })
    }

    /// For a session.
    pub fn inner(&self) -> &Arc<LlamaModel> {
        &self.inner
    }

    /// As the file says, or the name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokens of a text by itself.
    pub fn count(&self, text: &str) -> u32 {
        self.inner.vocab().tokenize(text.as_bytes(), false, false).len() as u32
    }

    /// A conversation as the model wants it, up to where it is the model's turn.
    ///
    /// # Errors
    /// `INVALID_INPUT` if the template can't hold it.
    pub fn prompt(&self, messages: &[(&str, &str)]) -> Result<Vec<LlamaToken>, Failure> {
        let texts: Vec<_> = messages.iter().map(|(role, text)| (*role, self.harmless(text))).collect();
        let prompt = applied(&self.inner, &self.template, &texts).ok_or_else(|| {
            Failure::input("the model's chat template can't hold these messages: leave some out")
        })?;
        Ok(self.inner.vocab().tokenize(prompt.as_bytes(), true, true))
    }

    /// Splits up what would steer the model, such as the end of a turn: a document must not.
    fn harmless(&self, text: &str) -> String {
        let mut text = text.replace('\0', " ");
        for word in self.steering.iter().filter(|word| !word.trim().is_empty()) {
            if text.contains(word.as_str()) {
                let mut letters = word.chars();
                let first: String = letters.by_ref().take(1).collect();
                text = text.replace(word.as_str(), &format!("{first} {}", letters.as_str()));
            }
        }
        text
    }
}

fn shared(path: &Path, gpu_layers: Option<u32>) -> Result<Arc<LlamaModel>, Failure> {
    let shown = path.display().to_string();
    let broken = |what: String| Failure::model(&shown, format!("model_path: {shown} {what}"));
    let unreadable = |error: std::io::Error| broken(format!("can't be read: {error}"));
    let path = path.canonicalize().map_err(unreadable)?;
    let mut file = std::fs::File::open(&path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let mut magic = [0; 4];
    let is_gguf = about.is_file() && file.read_exact(&mut magic).is_ok() && magic == *b"GGUF";
    if !is_gguf {
        return Err(broken("is no GGUF file: give a model in llama.cpp's format".into()));
    }
    let key = (path, about.len(), about.modified().ok(), gpu_layers);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.retain(|(_, model)| model.strong_count() > 0);
    if let Some(model) = loaded.iter().find_map(|(other, model)| (*other == key).then(|| model.upgrade())?) {
        return Ok(model);
    }
    let model = llama::load(&key.0, gpu_layers).map_err(|said| broken(format!("can't be used: {said}")))?;
    let model = Arc::new(model);
    loaded.push((key, Arc::downgrade(&model)));
    Ok(model)
}

fn name(model: &LlamaModel, path: &Path) -> String {
    let of_file = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    model.meta_val_str("general.name").ok().filter(|name| !name.trim().is_empty()).unwrap_or_else(of_file)
}

/// Tried out, since llama.cpp knows the forms of many models but does not run their templates.
fn template(model: &LlamaModel, named: Option<&str>) -> Result<LlamaChatTemplate, Failure> {
    let remedy = "name one that does with chat_template, such as chatml, llama3 or gemma";
    let template = match named {
        Some(name) => LlamaChatTemplate::new(name)
            .map_err(|_| Failure::config("chat_template must not have a NUL in it"))?,
        None => model
            .chat_template(None)
            .map_err(|_| Failure::config(format!("the model comes without a chat template: {remedy}")))?,
    };
    let sample = [("system", "Answer.".to_owned()), ("user", "Why?".to_owned())];
    match applied(model, &template, &sample) {
        Some(_) => Ok(template),
        None if named.is_some() => Err(Failure::config("llama.cpp does not know this chat_template")),
        None => Err(Failure::config(format!("llama.cpp does not know the model's chat template: {remedy}"))),
    }
}

fn applied(model: &LlamaModel, template: &LlamaChatTemplate, messages: &[(&str, String)]) -> Option<String> {
    let messages =
        messages.iter().map(|(role, text)| LlamaChatMessage::new((*role).to_owned(), text.clone()));
    let messages: Vec<_> = messages.collect::<Result<_, _>>().ok()?;
    model.apply_chat_template(template, &messages, true).ok()
}
