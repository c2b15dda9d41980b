//! An installation of the product to measure: a folder with its configuration, a database with accounts and keys,
//! and the file of their secrets. Defaults wherever the measurement does not need something else.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::pinned::{Core, Running, free_port, get_status};
use crate::processes::{Interrupt, run_quietly};
use crate::report::Outcome;

/// No run reaches this plan's limit: what is measured is the allowed path, with every check and count done.
const PLAN: &str = "
default_plan = \"bench\"
[[plans]]
id = \"bench\"
name = \"Bench\"
api_access = true
active_keys = 5
requests_per_minute = 60000000
burst = 1000000
";

/// The programs that were built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The product.
    pub(crate) rndrkit: PathBuf,
    /// The load, the floors, the data.
    pub(crate) helper: PathBuf,
}

/// What an installation should be like.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Keys in the database; five share an account.
    pub(crate) keys: u32,
    /// The gateway's upstream.
    pub(crate) upstream: u16,
    /// Lines of configuration before the tables.
    pub(crate) settings: String,
}

/// See the module. The folder belongs to the caller.
#[derive(Debug)]
pub(crate) struct Installation {
    folder: PathBuf,
    built: Built,
    /// Secrets that it accepts, one a line, in mixed order.
    pub(crate) keys: PathBuf,
    /// Where the gateway listens.
    pub(crate) gateway: u16,
    /// Where forward auth listens.
    pub(crate) authz: u16,
    internal: u16,
}

impl Installation {
    /// Writes the configuration, lets the product make its database, and fills it.
    pub(crate) fn make(folder: &Path, built: &Built, wish: &Wish, interrupt: &Interrupt) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let made = Self {
            folder: folder.to_owned(),
            built: built.clone(),
            keys: folder.join("keys"),
            gateway: free_port()?,
            authz: free_port()?,
            internal: free_port()?,
        };
        fs::write(made.configuration(), made.settings(wish)?)?;
        // The first start makes the tables and writes the plans.
        drop(made.start(&mut Core::Server.command(&built.rndrkit), interrupt)?);
        let mut seed = Command::new(&built.helper);
        seed.args(["seed", "--count", &wish.keys.to_string(), "--database"])
            .arg(made.data().join("rndrkit.db"));
        run_quietly(seed.arg("--keys").arg(&made.keys))?;
        Ok(made)
    }

    fn settings(&self, wish: &Wish) -> Outcome<String> {
        let mut text = String::new();
        writeln!(text, "data_dir = \"{}\"", self.data().display())?;
        writeln!(text, "public_listen = \"127.0.0.1:{}\"", free_port()?)?;
        writeln!(text, "internal_listen = \"127.0.0.1:{}\"", self.internal)?;
        writeln!(text, "gateway_listen = \"127.0.0.1:{}\"", self.gateway)?;
        writeln!(text, "authz_listen = \"127.0.0.1:{}\"", self.authz)?;
        writeln!(text, "{}{PLAN}", wish.settings)?;
        writeln!(text, "[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:{}\"", wish.upstream)?;
        Ok(text)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("rndrkit.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it as `command`, which so far names only the program and what runs it, and waits until it is ready.
    pub(crate) fn start(&self, command: &mut Command, interrupt: &Interrupt) -> Outcome<Running> {
        let log = self.folder.join("log");
        command.arg("serve").arg("--config").arg(self.configuration()).current_dir(&self.folder);
        let mut running = Running::spawn(command, self.gateway, &log)?;
        running.until(interrupt, &log, || self.is_ready())?;
        Ok(running)
    }

    /// Starts it on the measured core.
    pub(crate) fn start_pinned(&self, interrupt: &Interrupt) -> Outcome<Running> {
        self.start(&mut Core::Server.command(&self.built.rndrkit), interrupt)
    }

    /// Whether it says that it can decide.
    pub(crate) fn is_ready(&self) -> bool {
        get_status(self.internal, "/readyz", "") == Some(200)
    }
}
