//! Plugins in use: whoever asks for the same one with the same configuration shares its instances and its crashes.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::live::{Build, Exchange, Live};
use crate::types::PluginError;

/// By name and configuration.
#[derive(Default)]
pub struct InUse(Mutex<BTreeMap<(String, String), Arc<dyn Exchange>>>);

impl InUse {
    /// The one that is there, or a new one.
    pub fn get<P: Build>(
        &self,
        name: &str,
        config: &str,
        make: impl FnOnce() -> Result<Arc<Live<P>>, PluginError>,
    ) -> Result<Arc<Live<P>>, PluginError>
    where
        Live<P>: Exchange,
    {
        let key = (name.to_owned(), config.to_owned());
        let known = |one: &Arc<dyn Exchange>| (one.clone() as Arc<dyn Any + Send + Sync>).downcast().ok();
        if let Some(live) = self.0.lock().get(&key).and_then(known) {
            return Ok(live);
        }
        // Takes its time: not under the lock. Where two come at once, both use the first.
        let made = make()?;
        let mut all = self.0.lock();
        if let Some(live) = all.get(&key).and_then(known) {
            return Ok(live);
        }
        all.insert(key, made.clone());
        Ok(made)
    }

    /// All of one plugin.
    pub fn of(&self, name: &str) -> Vec<Arc<dyn Exchange>> {
        let all = self.0.lock();
        all.iter().filter(|((plugin, _), _)| plugin == name).map(|(_, one)| one.clone()).collect()
    }

    /// For how long a plugin is still left alone; `None` if it is not.
    pub fn paused(&self, name: &str) -> Option<Duration> {
        let all = self.0.lock();
        all.iter()
            .filter(|((plugin, _), _)| plugin == name)
            .filter_map(|(_, one)| one.health().paused())
            .max()
    }

    /// Lets go of what nobody holds at present; true if somebody does.
    pub fn release(&self, name: &str) -> bool {
        let mut all = self.0.lock();
        all.retain(|(plugin, _), one| plugin != name || Arc::strong_count(one) > 1);
        all.keys().any(|(plugin, _)| plugin == name)
    }

    /// Lets go of one plugin's places but for those with these configurations; calls under way end on them.
    pub fn keep(&self, name: &str, configs: &[String]) {
        self.0.lock().retain(|(plugin, config), _| plugin != name || configs.contains(config));
    }

    /// Lets go of all of one plugin; calls under way end on it.
    pub fn forget(&self, name: &str) {
        self.0.lock().retain(|(plugin, _), _| plugin != name);
    }
}
