use std::path::PathBuf;

use serde::Deserialize;

use crate::failure::Failure;

/// What the operator wrote beside the plugin's name.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The GGUF file, by its absolute path.
    pub model_path: PathBuf,
    /// Tokens that all conversations share; also the window of one.
    pub context: u32,
    /// `None`: one for each processor.
    pub threads: Option<u32>,
    /// `None`: all that fit, where the library was built for a GPU.
    pub gpu_layers: Option<u32>,
    /// Answers at once; others wait in turn.
    pub parallel: u32,
    /// Tokens of an answer where the question does not say.
    pub max_tokens: u32,
    /// One of llama.cpp's own templates by name; `None`: the file's.
    pub chat_template: Option<String>,
    /// Whether the model may rewrite follow-up questions.
    pub strong: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_path: PathBuf::new(),
            context: 4096,
            threads: None,
            gpu_layers: None,
            parallel: 4,
            max_tokens: 1024,
            chat_template: None,
            strong: false,
        }
    }
}

impl Config {
    /// From a JSON object.
    ///
    /// # Errors
    /// `INVALID_CONFIG`, naming the setting.
    pub fn parse(json: &str) -> Result<Self, Failure> {
        let config: Self = serde_json::from_str(json).map_err(|error| Failure::config(error.to_string()))?;
        if config.model_path.as_os_str().is_empty() {
            return Err(Failure::config("model_path is missing: give the absolute path of a GGUF file"));
        }
        if !config.model_path.is_absolute() {
            let shown = config.model_path.display();
            return Err(Failure::config(format!("model_path must be absolute: {shown} is not")));
        }
        within("context", config.context, 256, 1 << 20)?;
        within("parallel", config.parallel, 1, 16)?;
        within("max_tokens", config.max_tokens, 1, 1 << 20)?;
        if let Some(threads) = config.threads {
            within("threads", threads, 1, 512)?;
        }
        Ok(config)
    }

    /// Threads that a step of the model takes.
    pub fn threads(&self) -> i32 {
        let all = || std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        self.threads.unwrap_or_else(all).min(512) as i32
    }
}

fn within(name: &str, value: u32, least: u32, most: u32) -> Result<(), Failure> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Failure::config(format!("{name} must be {least} to {most}, not {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let failure = Config::parse(json).unwrap_err();
        assert_eq!(failure.status, smartrag_native::status::INVALID_CONFIG);
        failure.message
    }

    #[test]
    fn a_path_is_enough() {
        let config = Config::parse(r#"{"model_path": "/m.gguf"}"#).unwrap();
        assert_eq!((config.context, config.parallel, config.max_tokens), (4096, 4, 1024));
        assert!(config.threads() >= 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refusal("{}").contains("model_path is missing"));
        assert!(refusal(r#"{"model_path": "m.gguf"}"#).contains("must be absolute"));
        assert!(refusal(r#"{"model_path": "/m", "context": 10}"#).contains("context must be 256 to"));
        assert!(refusal(r#"{"model_path": "/m", "threads": 0}"#).contains("threads must be 1 to"));
        assert!(refusal(r#"{"model_path": "/m", "n_ctx": 10}"#).contains("unknown field `n_ctx`"));
        assert!(refusal(r#"{"model_path": "/m", "context": -1}"#).contains("invalid value"));
    }
}
