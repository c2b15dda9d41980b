//! Building what is measured.

use std::path::{Path, PathBuf};

use crate::bench::installation::Built;
use crate::processes::cargo;
use crate::report::{Outcome, root, say};

/// Builds the product and the helper with this profile of the workspace and says where they are; or takes them, ready
/// built, from a folder.
pub(crate) fn build(profile: &str, ready: Option<&Path>) -> Outcome<Built> {
    let folder = match ready {
        Some(folder) => folder.canonicalize()?,
        None => cargo_build(profile)?,
    };
    Ok(Built { rndrkit: folder.join("rndrkit"), helper: folder.join("rndrkit-bench") })
}

fn cargo_build(profile: &str) -> Outcome<PathBuf> {
    say(&format!("building rndrkit and rndrkit-bench with the profile {profile}"));
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--profile", profile]);
    let status = command.args(["-p", "rndrkit", "-p", "rndrkit-bench"]).status()?;
    if !status.success() {
        return Err("cargo build failed; see above".into());
    }
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    // The folder has the profile's name, but for one.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(metadata.target_directory.join(folder).into_std_path_buf())
}
