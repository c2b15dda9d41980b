//! Writes every state of every page of the dashboard into a folder, to be looked at in a browser:
//! `cargo run -p rndrkit-server --example gallery -- target/gallery`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a tool for developers: stopping is right")]

use std::path::PathBuf;

use rndrkit_server::dashboard::assets;

#[path = "../tests/dashboard/gallery.rs"]
mod gallery;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned()));
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    for asset in assets::all() {
        std::fs::write(folder.join(asset.path.trim_start_matches('/')), asset.body).unwrap();
    }
    for (name, html) in gallery::all() {
        // Relative addresses, so that the files open without a server.
        let html = html.replace("\"/assets/", "\"assets/");
        std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
    }
}
