//! The programs that the tests need beside Rust: finding them, and installing what is missing through apt.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::processes::run_quietly;
use crate::report::{Outcome, say};

/// Whether missing programs may be installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Install {
    /// As root, or where `sudo` asks no password.
    #[default]
    WhenAllowed,
    /// Only say what is missing.
    Never,
}

/// A program and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    what: &'static str,
    /// Its name in Debian.
    pub(crate) package: &'static str,
    find: fn() -> Option<PathBuf>,
}

/// The folder with `initdb` and `postgres`.
pub(crate) const POSTGRES: Tool = Tool { what: "PostgreSQL", package: "postgresql", find: postgres_folder };
/// The browser.
pub(crate) const CHROMIUM: Tool =
    Tool { what: "Chromium", package: "chromium", find: || on_path("chromium") };
/// What drives the browser.
pub(crate) const CHROMEDRIVER: Tool =
    Tool { what: "Chromium's driver", package: "chromium-driver", find: || on_path("chromedriver") };
/// Builds the fuzzing engine, which is C++.
pub(crate) const CPP_COMPILER: Tool =
    Tool { what: "a C++ compiler", package: "g++", find: || on_path("c++") };

/// Checks the unit below `deploy/`.
pub(crate) const SYSTEMD: Tool =
    Tool { what: "systemd's checker of units", package: "systemd", find: || on_path("systemd-analyze") };

/// A proxy that asks forward auth.
pub(crate) const NGINX: Tool = Tool { what: "nginx", package: "nginx", find: || server("nginx") };
/// Another one.
pub(crate) const CADDY: Tool = Tool { what: "Caddy", package: "caddy", find: || server("caddy") };

/// Runs the sample service for Express.
pub(crate) const EXPRESS: Tool =
    Tool { what: "Express", package: "node-express", find: || existing("/usr/share/nodejs/express") };
/// The sample service for `FastAPI` is made with it.
pub(crate) const FASTAPI: Tool =
    Tool { what: "FastAPI", package: "python3-fastapi", find: || debian_python("fastapi") };
/// Serves it.
pub(crate) const UVICORN: Tool =
    Tool { what: "Uvicorn", package: "python3-uvicorn", find: || debian_python("uvicorn") };
/// It asks with it.
pub(crate) const HTTPX: Tool =
    Tool { what: "HTTPX", package: "python3-httpx", find: || debian_python("httpx") };
/// The mail server that notifications are sent to.
pub(crate) const AIOSMTPD: Tool =
    Tool { what: "aiosmtpd", package: "python3-aiosmtpd", find: || debian_python("aiosmtpd") };
/// Builds the sample service for Go's `net/http`.
pub(crate) const GO: Tool = Tool { what: "Go", package: "golang-go", find: || on_path("go") };

/// Counts instructions.
pub(crate) const VALGRIND: Tool =
    Tool { what: "valgrind", package: "valgrind", find: || on_path("valgrind") };
/// Lua in nginx, for a peer of the gateway.
pub(crate) const NGINX_LUA: Tool = Tool {
    what: "nginx's Lua",
    package: "libnginx-mod-http-lua",
    find: || existing("/usr/lib/nginx/modules/ngx_http_lua_module.so"),
};
/// It asks Redis with this.
pub(crate) const LUA_REDIS: Tool = Tool {
    what: "Lua's client of Redis",
    package: "lua-nginx-redis",
    find: || existing("/usr/share/lua/5.1/nginx/redis.lua"),
};
/// It makes digests with this.
pub(crate) const LUA_SHA: Tool = Tool {
    what: "Lua's SHA-256",
    package: "lua-nginx-string",
    find: || existing("/usr/share/lua/5.1/nginx/sha256.lua"),
};
/// Where that peer keeps keys and counts.
pub(crate) const REDIS: Tool =
    Tool { what: "Redis", package: "redis-server", find: || on_path("redis-server") };
/// Binds a program to a core.
pub(crate) const TASKSET: Tool = Tool { what: "taskset", package: "util-linux", find: || on_path("taskset") };

impl Tool {
    /// Where it is.
    pub(crate) fn path(&self) -> Outcome<PathBuf> {
        (self.find)().ok_or_else(|| format!("{} is missing", self.what).into())
    }
}

/// Makes sure that all are there: installs what is missing, or fails with the exact line to run.
pub(crate) fn require(tools: &[Tool], install: Install) -> Outcome<()> {
    let missing = missing_among(tools);
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("missing: {}", joined(&missing, |tool| tool.what, ", ")));
    let Some(apt) = apt_command(install) else {
        return Err(advice(&missing).into());
    };
    apt_install(&apt, &missing)?;
    match missing_among(tools) {
        still if still.is_empty() => Ok(()),
        still => Err(advice(&still).into()),
    }
}

fn missing_among(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().filter(|tool| (tool.find)().is_none()).copied().collect()
}

fn joined(tools: &[Tool], part: fn(&Tool) -> &'static str, separator: &str) -> String {
    tools.iter().map(part).collect::<Vec<_>>().join(separator)
}

fn advice(missing: &[Tool]) -> String {
    format!(
        "the tests need {}. On Debian install them with\n\n    sudo apt-get update && sudo apt-get install -y --no-install-recommends {}\n\nand run this again.",
        joined(missing, |tool| tool.what, ", "),
        joined(missing, |tool| tool.package, " "),
    )
}

/// How to call apt-get here, or `None` when that is not possible or not wanted.
fn apt_command(install: Install) -> Option<Vec<&'static str>> {
    if install == Install::Never || on_path("apt-get").is_none() {
        return None;
    }
    if is_root() {
        return Some(vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    let sudo = on_path("sudo").is_some() && run_quietly(Command::new("sudo").args(["-n", "true"])).is_ok();
    sudo.then(|| vec!["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
}

fn apt_install(apt: &[&str], missing: &[Tool]) -> Outcome<()> {
    let packages = joined(missing, |tool| tool.package, " ");
    say(&format!("installing with apt-get: {packages}"));
    let call = |arguments: &[&str]| {
        let (program, fixed) = apt.split_first().ok_or("no apt-get")?;
        run_quietly(Command::new(program).args(fixed).args(arguments))
    };
    call(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    // The tests start servers of their own; a package must not start another one on the machine.
    let no_services = NoServices::declare(apt)?;
    arguments.extend(missing.iter().map(|tool| tool.package));
    let installed = call(&arguments);
    no_services.end()?;
    installed
}

/// Where Debian's packages ask whether they may start their services.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Says "no" to packages that would start services. A machine with a policy of its own keeps that one.
struct NoServices<'a> {
    /// How to become root; nothing was declared when this is none.
    root: Option<&'a [&'a str]>,
}

impl<'a> NoServices<'a> {
    fn declare(apt: &'a [&'a str]) -> Outcome<Self> {
        if Path::new(SERVICE_POLICY).exists() {
            return Ok(Self { root: None });
        }
        let root = apt.split_last().map_or(apt, |(_apt_get, before)| before);
        let script =
            format!("printf '#!/bin/sh\\nexit 101\\n' > {SERVICE_POLICY} && chmod 755 {SERVICE_POLICY}");
        Self { root: Some(root) }.run(&["sh", "-c", &script])?;
        Ok(Self { root: Some(root) })
    }

    fn end(&self) -> Outcome<()> {
        self.run(&["rm", "-f", SERVICE_POLICY])
    }

    fn run(&self, arguments: &[&str]) -> Outcome<()> {
        let Some(root) = self.root else { return Ok(()) };
        let (program, fixed) = root.split_first().ok_or("no way to become root")?;
        run_quietly(Command::new(program).args(fixed).args(arguments))
    }
}

/// Whether this process is root, who may install but whom PostgreSQL refuses to run as.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the search path is no setting of ours")]
    let path = std::env::var("PATH").ok()?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A server, which Debian may keep where only root's search path leads.
fn server(program: &str) -> Option<PathBuf> {
    on_path(program).or_else(|| Some(Path::new("/usr/sbin").join(program)).filter(|file| file.is_file()))
}

/// A file or folder of a package that brings no program.
fn existing(path: &str) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.exists())
}

/// A module of Debian's own Python, whichever other Python comes first on the search path.
fn debian_python(module: &str) -> Option<PathBuf> {
    existing(&format!("/usr/lib/python3/dist-packages/{module}"))
}

/// Debian keeps the server's programs off the search path, one folder for each version: the newest wins.
fn postgres_folder() -> Option<PathBuf> {
    let has_server = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_server(folder))
        .max();
    newest.map(|(_, folder)| folder).or_else(|| {
        let folder = on_path("initdb")?.parent()?.to_owned();
        has_server(&folder).then_some(folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Tool = Tool { what: "a thing", package: "thing", find: || None };
    const PRESENT: Tool = Tool { what: "a shell", package: "dash", find: || on_path("sh") };

    #[test]
    fn what_is_missing_comes_with_the_line_that_installs_it() {
        let error = require(&[PRESENT, ABSENT], Install::Never).unwrap_err().to_string();
        assert!(error.contains("the tests need a thing."), "{error}");
        assert!(error.contains("apt-get install -y --no-install-recommends thing\n"), "{error}");
    }

    #[test]
    fn nothing_is_installed_when_all_is_there() {
        require(&[PRESENT], Install::WhenAllowed).unwrap();
        assert!(PRESENT.path().is_ok());
        assert!(ABSENT.path().is_err());
    }
}
