//! The plugin's own configuration.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The configuration as the plugin's own type. Give every field a default: without any the object is `{}`.
pub fn config<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_str(&text())
        .map_err(|e| Error::invalid_config(format!("the plugin's configuration: {e}")))
}

#[cfg(target_arch = "wasm32")]
fn text() -> String {
    crate::bindings::shared::config::get()
}

#[cfg(not(target_arch = "wasm32"))]
fn text() -> String {
    crate::testing::config()
}
