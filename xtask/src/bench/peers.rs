//! The programs that the product is measured beside, with configurations of ours. They run one worker, as the product
//! does on one core.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::pinned::{Core, Running, free_port};
use crate::processes::{Interrupt, run_quietly};
use crate::report::Outcome;

const SHARED: &str = include_str!("peers/shared.conf");

/// Where peers keep their files, and what they are started with.
#[derive(Debug)]
pub(crate) struct Peers<'a> {
    /// A folder of the caller's.
    pub(crate) folder: &'a Path,
    /// The bench's own program.
    pub(crate) helper: &'a Path,
    pub(crate) interrupt: &'a Interrupt,
}

impl Peers<'_> {
    /// The API behind all gateways: nginx with an answer in its configuration.
    pub(crate) fn upstream(&self) -> Outcome<Running> {
        let text = include_str!("peers/upstream.conf").replace("@BODY@", &body());
        self.nginx("upstream", &text, Core::Load)
    }

    /// nginx as a proxy that checks nothing.
    pub(crate) fn proxy(&self, upstream: u16) -> Outcome<Running> {
        self.nginx(
            "proxy",
            &include_str!("peers/proxy.conf").replace("@UPSTREAM@", &text(upstream)),
            Core::Server,
        )
    }

    /// nginx that asks an authority.
    pub(crate) fn auth_request(&self, upstream: u16, authority: u16) -> Outcome<Running> {
        let configuration = include_str!("peers/auth_request.conf")
            .replace("@UPSTREAM@", &text(upstream))
            .replace("@AUTHORITY@", &text(authority));
        self.nginx("auth_request", &configuration, Core::Server)
    }

    /// nginx with the check in Lua; records and counts in `redis` or in its shared `memory`.
    pub(crate) fn lua(&self, place: &str, upstream: u16, redis: u16) -> Outcome<Running> {
        let configuration = include_str!("peers/lua.conf")
            .replace("@KEYS@", place)
            .replace("@LIMITS@", place)
            .replace("@REDIS@", &text(redis))
            .replace("@UPSTREAM@", &text(upstream));
        let name = format!("lua_{place}");
        fs::create_dir_all(self.folder.join(&name))?;
        fs::write(self.folder.join(&name).join("check.lua"), include_str!("peers/check.lua"))?;
        self.nginx(&name, &configuration, Core::Server)
    }

    fn nginx(&self, name: &str, configuration: &str, core: Core) -> Outcome<Running> {
        let (port, home) = (free_port()?, self.folder.join(name));
        fs::create_dir_all(&home)?;
        let configuration = configuration
            .replace("@SHARED@", SHARED)
            .replace("@PORT@", &text(port))
            .replace("@HOME@", &home.display().to_string());
        let file = home.join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut command = core.command("nginx");
        command.arg("-p").arg(&home).arg("-c").arg(&file);
        Running::start(&mut command, port, &home.join("log"), self.interrupt)
    }

    /// Redis in memory alone, with a record for each key.
    pub(crate) fn redis(&self, keys: &Path) -> Outcome<Running> {
        let port = free_port()?;
        let mut command = Core::Server.command("redis-server");
        command.args(["--port", &text(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--daemonize", "no"]).current_dir(self.folder);
        let running = Running::start(&mut command, port, &self.log("redis"), self.interrupt)?;
        let mut fill = Command::new(self.helper);
        run_quietly(fill.args(["redis", "--port", &text(port), "--keys"]).arg(keys))?;
        Ok(running)
    }

    /// The least that an authority can do.
    pub(crate) fn authority(&self, keys: &Path) -> Outcome<Running> {
        let port = free_port()?;
        let mut command = Core::Server.command(self.helper);
        command.args(["auth", "--port", &text(port), "--keys"]).arg(keys);
        Running::start(&mut command, port, &self.log("authority"), self.interrupt)
    }

    /// hyper with an empty 200.
    pub(crate) fn floor(&self) -> Outcome<Running> {
        let port = free_port()?;
        let mut command = Core::Server.command(self.helper);
        command.args(["floor", "--port", &text(port)]);
        Running::start(&mut command, port, &self.log("floor"), self.interrupt)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

fn text(port: u16) -> String {
    port.to_string()
}

/// About a kilobyte of JSON, as an API answers.
fn body() -> String {
    let items: Vec<String> = (0..15)
        .map(|number| {
            format!(r#"{{"id":{number},"name":"item {number}","price":{},"tags":["a","b"]}}"#, 100 + number)
        })
        .collect();
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_is_about_a_kilobyte_and_fits_into_quotes() {
        let body = super::body();
        assert!((800..1_100).contains(&body.len()) && !body.contains('\''), "{}", body.len());
    }
}
