//! A daemon of our own on a free port, over a data directory that goes with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running daemon; killed when dropped.
pub(super) struct Daemon {
    child: Child,
    data: TempDir,
    pub url: String,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&serde_json::json!({})).await
    }

    /// The same with a configuration.
    pub async fn start_with(config: &serde_json::Value) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        // JSON is YAML.
        std::fs::write(config_of(data.path()), config.to_string())?;
        let mut child = command(data.path())?.spawn().context("the daemon did not start")?;
        let url = ready_line(&mut child).await?;
        Ok(Self { child, data, url })
    }

    /// Kills it (SIGKILL) and starts it again on the same data.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.start_again().await
    }

    /// Ends it at once, as a loss of power would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end (SIGTERM) and waits until it did.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
        rustix::process::kill_process(pid.context("the daemon ended")?, rustix::process::Signal::TERM)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Starts it on the same data and waits until it answers.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = command(self.data.path())?.spawn()?;
        self.url = ready_line(&mut self.child).await?;
        Ok(())
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Resident memory in megabytes (10^6 bytes).
    pub fn resident_mb(&self) -> anyhow::Result<f64> {
        let pid = self.child.id().context("the daemon ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}

fn config_of(data: &Path) -> PathBuf {
    data.join("config.yaml")
}

fn command(data: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(data);
    command.arg("--config").arg(config_of(data));
    command.env("SMARTRAG_LOG__LEVEL", "error").stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

async fn ready_line(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    match lines.next_line().await? {
        Some(line) => Ok(line.rsplit(' ').next().unwrap_or_default().to_owned()),
        None => bail!("the daemon ended before it was ready: run `smartrag doctor`"),
    }
}
