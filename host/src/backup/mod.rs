//! Backups of a running instance: when they are made, which are kept, who is told.

mod schedule;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};
use parking_lot::Mutex;

use crate::config::BackupConfig;
use crate::plugins::Plugins;
use crate::store::{self, Backup, Error, Manifest, PluginNote, Progress, Result, Store, Surroundings};
use crate::telemetry::{NoticeKind, metrics, notify};
use crate::types::{PluginId, Role};
use schedule::{next_run, time_of_day};

/// How often the clock is looked at: it may be set, and the machine may have slept.
const LOOK: Duration = Duration::from_secs(20);

/// Makes backups for the daemon, on call and by the clock.
pub struct Backups {
    shared: Arc<Shared>,
    clock: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Store,
    plugins: Plugins,
    config: BackupConfig,
    config_file: Option<PathBuf>,
    stopping: AtomicBool,
}

impl Backups {
    /// From now on backups are made by the schedule, if there is one.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        store: Store,
        plugins: Plugins,
        config: BackupConfig,
        config_file: Option<PathBuf>,
    ) -> std::io::Result<Self> {
        let stopping = AtomicBool::new(false);
        let shared = Arc::new(Shared { store, plugins, config, config_file, stopping });
        // So that monitors know of it from the start on.
        if let Some((backup, manifest)) = shared.newest(Timestamp::MAX) {
            measure(&backup, &manifest);
        }
        let schedule = shared.config.schedule.as_deref().and_then(time_of_day);
        let clock = schedule.map(|at| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("backup".into()).spawn(move || shared.follow(at))
        });
        Ok(Self { shared, clock: Mutex::new(clock.transpose()?) })
    }

    /// Makes one. Blocks.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn create(&self) -> Result<Backup> {
        self.shared.create()
    }

    /// All of them, newest first. Blocks.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn list(&self) -> Result<Vec<Backup>> {
        store::backups(&self.shared.config.dir)
    }

    /// Ends one that is under way, which leaves nothing behind, and the schedule. Blocks.
    pub fn shutdown(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(clock) = self.clock.lock().take() {
            clock.thread().unpark();
            // Its panic was logged.
            let _ = clock.join();
        }
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn create(&self) -> Result<Backup> {
        let around = Surroundings {
            plugins: plugin_notes(self.plugins.list().into_iter().map(|plugin| (plugin.id, plugin.role))),
            config: self.config_file.as_ref().and_then(|file| std::fs::read(file).ok()),
        };
        let done =
            create(&self.store, &self.config, &around, &mut |_| !self.stopping.load(Ordering::Acquire));
        match &done {
            Ok(backup) => told(backup),
            // Whoever asked is told; that another one is made is no failure.
            Err(Error::Conflict(_) | Error::Stopped) => {}
            Err(error) => {
                tracing::error!(%error, "the backup failed");
                notify(NoticeKind::BackupFailed, "", error.to_string());
            }
        }
        done
    }

    /// Of those that can be used and are not dated later.
    fn newest(&self, until: Timestamp) -> Option<(Backup, Manifest)> {
        let all = store::backups(&self.config.dir).ok()?.into_iter();
        all.filter(|backup| backup.created_at <= until).find_map(|backup| {
            let manifest = backup.manifest.clone().ok()?;
            Some((backup, manifest))
        })
    }

    /// Makes one whenever it is due, until it is told to stop.
    fn follow(&self, at: jiff::civil::Time) {
        let newest = || self.newest(Timestamp::now()).map(|(backup, _)| backup.created_at);
        let (mut last, mut tried) = (newest(), None);
        while !self.stopping.load(Ordering::Acquire) {
            let now = Zoned::now();
            let wait = |last| next_run(&now, at, last, tried).duration_since(now.timestamp());
            if let Ok(wait) = Duration::try_from(wait(last))
                && !wait.is_zero()
            {
                thread::park_timeout(wait.min(LOOK));
                continue;
            }
            // Somebody may have made one by hand; the directory is not looked at all the time, its disk may sleep.
            last = newest();
            if wait(last).is_zero() {
                tried = Some(now.timestamp());
                // What went wrong is told there.
                let _ = self.create();
                last = newest();
            }
        }
    }
}

/// Makes a backup, then removes those that are too old. Blocks.
///
/// # Errors
/// As [`Store::backup`].
pub fn create(
    store: &Store,
    config: &BackupConfig,
    around: &Surroundings,
    progress: Progress,
) -> Result<Backup> {
    tracing::info!(dir = %config.dir.display(), "a backup begins");
    let backup = store.backup(&config.dir, around, progress)?;
    let keep = SignedDuration::from_hours(24 * i64::from(config.keep_days));
    match backup.created_at.checked_sub(keep).map(|before| prune(&config.dir, before)) {
        Ok(Ok(())) | Err(_) => {}
        // The next one tries again.
        Ok(Err(error)) => tracing::warn!(%error, "old backups were not removed"),
    }
    Ok(backup)
}

fn prune(dir: &Path, before: Timestamp) -> Result<()> {
    for name in Store::prune_backups(dir, before)? {
        tracing::info!(name, "a backup is older than backup.keep_days and was removed");
    }
    Ok(())
}

fn told(backup: &Backup) {
    let Ok(manifest) = &backup.manifest else { return };
    measure(backup, manifest);
    let (documents, bytes, ms) = (manifest.counts.documents, manifest.bytes(), manifest.took_ms);
    tracing::info!(name = backup.name, documents, bytes, ms, "a backup was made");
    let detail = format!("{documents} documents, {bytes} bytes in {ms} ms");
    notify(NoticeKind::BackupDone, &backup.name, detail);
}

fn measure(backup: &Backup, manifest: &Manifest) {
    let took = Duration::from_millis(manifest.took_ms);
    metrics().set_backup(backup.created_at.as_second() as f64, took, manifest.bytes());
}

/// What a backup notes of the plugins.
pub fn plugin_notes(plugins: impl Iterator<Item = (PluginId, Role)>) -> Vec<PluginNote> {
    let note = |(id, role): (PluginId, Role)| {
        let PluginId { name, version, sha256 } = id;
        PluginNote { name, version, role: role.as_str().into(), sha256 }
    };
    plugins.map(note).collect()
}

/// What a backup does not hold and this machine lacks, for people.
pub fn missing(manifest: &Manifest, installed: &[PluginNote]) -> Vec<String> {
    let is_here = |name: &str| installed.iter().any(|plugin| plugin.name == name);
    let embedders = manifest.embedders.iter().map(|embedder| embedder.plugin.as_str());
    let mut needed: Vec<&str> = embedders.filter(|name| !name.is_empty() && !is_here(name)).collect();
    needed.sort_unstable();
    needed.dedup();
    let embedder = |name: &&str| {
        format!(
            "the embedder {name}, which made the vectors of the documents, is not installed: install it, or choose another under `embedder`"
        )
    };
    let others = manifest
        .plugins
        .iter()
        .filter(|plugin| !is_here(&plugin.name) && !needed.contains(&plugin.name.as_str()));
    let other = |plugin: &PluginNote| {
        let PluginNote { name, version, role, .. } = plugin;
        format!("the {role} {name} {version} was installed when the backup was made, and is not here")
    };
    needed.iter().map(embedder).chain(others.map(other)).collect()
}
