//! The programs that the product is measured beside, with configurations of ours.

use std::fs;
use std::path::Path;

use crate::bench::pinned::{Core, Running, free_port};
use crate::processes::Interrupt;
use crate::report::Outcome;

const SHARED: &str = include_str!("peers/shared.conf");

/// About a kilobyte of JSON, as an API answers.
fn body() -> String {
    let items: Vec<String> = (0..15)
        .map(|number| {
            format!(r#"{{"id":{number},"name":"item {number}","price":{},"tags":["a","b"]}}"#, 100 + number)
        })
        .collect();
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

/// The API behind all gateways: nginx with an answer in its configuration.
pub(crate) fn upstream(folder: &Path, interrupt: &Interrupt) -> Outcome<Running> {
    let text = include_str!("peers/upstream.conf").replace("@BODY@", &body());
    nginx(folder, "upstream", &text, Core::Load, interrupt)
}

/// nginx with this configuration.
pub(crate) fn nginx(
    folder: &Path,
    name: &str,
    text: &str,
    core: Core,
    interrupt: &Interrupt,
) -> Outcome<Running> {
    let port = free_port()?;
    let home = folder.join(name);
    fs::create_dir_all(&home)?;
    let text = text
        .replace("@SHARED@", SHARED)
        .replace("@PORT@", &port.to_string())
        .replace("@HOME@", &home.display().to_string());
    let file = home.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = core.command("nginx");
    command.arg("-p").arg(&home).arg("-c").arg(&file);
    Running::start(&mut command, port, &home.join("log"), interrupt)
}
