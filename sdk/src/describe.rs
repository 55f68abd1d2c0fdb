use serde::Serialize;

use crate::bindings::shared::types::{Annotation, Descriptor};

/// The schema of a plugin without configuration.
const NO_CONFIG: &str = r#"{"type":"object","additionalProperties":false}"#;

impl Descriptor {
    /// A plugin without configuration. `name` equals that of `plugin.toml`; see [`crate::describe!`].
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            description: description.into(),
            config_schema: NO_CONFIG.into(),
            properties: Vec::new(),
        }
    }

    /// Sets the JSON Schema (2020-12) of the object that [`crate::config()`] reads.
    pub fn config_schema(mut self, schema: impl Into<String>) -> Self {
        self.config_schema = schema.into();
        self
    }

    /// Adds a further fact.
    pub fn property(mut self, key: &str, value: impl Serialize) -> Self {
        self.properties.push(Annotation::new(key, value));
        self
    }
}

impl Annotation {
    /// A piece of metadata. A value that JSON can't hold becomes null.
    pub fn new(key: impl Into<String>, value: impl Serialize) -> Self {
        let value = serde_json::to_string(&value).unwrap_or_else(|_| "null".into());
        Self { key: key.into(), value }
    }
}

/// A [`Descriptor`] with the version and description of the calling crate.
#[macro_export]
macro_rules! describe {
    ($name:expr) => {
        $crate::Descriptor::new($name, env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
    };
}
