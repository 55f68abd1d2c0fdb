//! Taking up changed plugins while the daemon runs: load beside, try out, switch; calls in flight end on the old build.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Error;
use super::info::PluginState;
use super::live::{Commit, Exchange};
use super::load::{COMPONENT_FILE, Entry, MANIFEST_FILE};
use super::registry::{Registry, State};
use crate::types::Role;

/// How often the watcher looks.
const LOOK: Duration = Duration::from_secs(1);

/// What a reload did, by plugin name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// New or changed, and in use now.
    pub loaded: Vec<String>,
    /// As before.
    pub unchanged: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// Not taken up, and why; what ran before runs on.
    pub refused: BTreeMap<String, String>,
}

impl Registry {
    /// See [`super::Plugins::reload`]. By hand, it also ends quarantines and tries again what was rolled back.
    pub fn reload(&self, by_hand: bool) -> Result<Reload, Error> {
        let _one = self.reloading.lock();
        let found = self.found()?;
        let before = self.state.load_full();
        let mut next = State { former: before.former.clone(), ..State::default() };
        let (mut report, mut commits) = (Reload::default(), Vec::new());
        for (name, entry) in found {
            let old = before.entries.get(&name);
            if let Some(old) = old.filter(|old| old.is_same(&entry)) {
                next.keep(&name, old, &before);
                if by_hand {
                    self.in_use.of(&name).iter().for_each(|user| user.health().reset());
                    next.notices.remove(&name);
                }
                report.unchanged.push(name);
                continue;
            }
            let crashed = before.crashed.get(&name).filter(|crashed| !by_hand && crashed.is_same(&entry));
            if let (Some(old), Some(_)) = (old, crashed) {
                next.keep(&name, old, &before);
                report.unchanged.push(name);
                continue;
            }
            match self.prepare(&name, old, &entry) {
                Ok(prepared) => {
                    commits.extend(prepared);
                    next.former.extend(old.map(|old| (name.clone(), old.clone())));
                    next.entries.insert(name.clone(), entry);
                    report.loaded.push(name);
                }
                Err(reason) => {
                    let running = old.filter(|old| old.ready.is_some());
                    if running.is_some() {
                        next.notices.insert(name.clone(), format!("an update was refused: {reason}"));
                    }
                    next.entries.insert(name.clone(), running.unwrap_or(&entry).clone());
                    report.refused.insert(name, reason);
                }
            }
        }
        self.part(&before, &mut next, &mut report);
        self.switch(next, commits);
        tell(&report);
        Ok(report)
    }

    /// Tries a build out in every place where the plugin is in use.
    fn prepare(&self, name: &str, old: Option<&Arc<Entry>>, entry: &Entry) -> Result<Vec<Prepared>, String> {
        if let Some(problem) = entry.problem() {
            // What lost its grant and is used nowhere any more has lost it at once.
            if matches!(entry.info.state, PluginState::Ungranted(_)) && !self.in_use.release(name) {
                return Ok(Vec::new());
            }
            return Err(problem.to_owned());
        }
        let of_other_role = old.filter(|old| old.info.role != entry.info.role);
        if let Some(old) = of_other_role.filter(|_| self.in_use.release(name)) {
            return Err(format!(
                "it was a {} and is a {} now: restart to use it",
                old.info.role, entry.info.role
            ));
        }
        let prepare = |user: Arc<dyn Exchange>| Ok(Prepared { commit: user.clone().prepare(entry)?, user });
        self.in_use.of(name).into_iter().map(prepare).collect()
    }

    /// What is gone from the directories goes, unless something holds on to it.
    fn part(&self, before: &State, next: &mut State, report: &mut Reload) {
        for (name, old) in &before.entries {
            if next.entries.contains_key(name) {
                continue;
            }
            // The present state holds every parser; the next one lets go.
            if old.info.role == Role::Parser || !self.in_use.release(name) {
                self.in_use.forget(name);
                report.removed.push(name.clone());
            } else {
                let reason = "its files are gone; it is in use and stays until the daemon ends";
                report.refused.insert(name.clone(), reason.into());
                next.notices.insert(name.clone(), reason.into());
                next.entries.insert(name.clone(), old.clone());
            }
        }
    }

    fn switch(&self, next: State, commits: Vec<Prepared>) {
        for Prepared { user, commit } in commits {
            commit();
            user.health().begin_probation();
        }
        self.publish(next);
    }

    /// Goes back to the build before the present one; false if there is none or it fails now.
    pub(super) fn roll_back(&self, name: &str) -> bool {
        let _one = self.reloading.lock();
        let before = self.state.load_full();
        let Some(former) = before.former.get(name).filter(|former| former.ready.is_some()) else {
            return false;
        };
        let prepared = match self.prepare(name, None, former) {
            Ok(prepared) => prepared,
            Err(reason) => {
                tracing::error!(plugin = name, reason, "the new build crashes and the one before fails, too");
                return false;
            }
        };
        prepared.into_iter().for_each(|prepared| (prepared.commit)());
        let version = before.entries.get(name).map_or("", |entry| entry.info.id.version.as_str());
        let notice = format!("version {version} kept crashing and was rolled back");
        tracing::error!(plugin = name, "{notice}");
        let mut next = State::clone(&before);
        next.crashed
            .extend(next.entries.insert(name.to_owned(), former.clone()).map(|it| (name.to_owned(), it)));
        next.former.remove(name);
        next.notices.insert(name.to_owned(), notice);
        self.publish(next);
        true
    }

    /// What tells whether a file changed: cheap, and blind to what is in it.
    fn stamps(&self) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
        let stamp = |data: Metadata| (data.ino(), data.size(), data.mtime(), data.mtime_nsec());
        let dirs = self.files().unwrap_or_default().into_values();
        let files = dirs.flat_map(|dir| [dir.join(MANIFEST_FILE), dir.join(COMPONENT_FILE)]);
        files.filter_map(|path| Some((path.clone(), stamp(path.metadata().ok()?)))).collect()
    }
}

/// A build that waits to be put into use.
struct Prepared {
    user: Arc<dyn Exchange>,
    commit: Commit,
}

fn tell(report: &Reload) {
    let (loaded, removed) = (report.loaded.join(" "), report.removed.join(" "));
    if !loaded.is_empty() || !removed.is_empty() {
        tracing::info!(loaded, removed, "plugins reloaded");
    }
    for (plugin, reason) in &report.refused {
        tracing::error!(plugin, reason, "plugin update refused: what ran before runs on");
    }
}

/// Looks at the files again and again; a change counts once it has come to rest, so that no half-written file is read.
pub fn watch(registry: &Arc<Registry>) -> std::io::Result<()> {
    let registry = Arc::downgrade(registry);
    std::thread::Builder::new().name("plugin-watch".into()).spawn(move || look(&registry)).map(drop)
}

fn look(registry: &Weak<Registry>) {
    let mut taken = registry.upgrade().map(|registry| registry.stamps()).unwrap_or_default();
    let mut last = taken.clone();
    loop {
        std::thread::sleep(LOOK);
        let Some(registry) = registry.upgrade() else { return };
        let now = registry.stamps();
        if now == last && now != taken {
            if let Err(error) = registry.reload(false) {
                tracing::error!(%error, "plugins were not reloaded");
            }
            taken = now.clone();
        }
        last = now;
    }
}
