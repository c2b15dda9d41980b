//! Who may depend on whom: the architecture, checked against what cargo knows.

use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::report::Outcome;

/// For each of our packages, which of our packages its shipped code may use.
const ARROWS: [(&str, &[&str]); 15] = [
    ("rndrkit-domain", &[]),
    ("rndrkit-api", &[]),
    ("rndrkit-store", &["rndrkit-domain"]),
    ("rndrkit-verifier", &["rndrkit-domain"]),
    ("rndrkit-cluster", &["rndrkit-domain", "rndrkit-verifier"]),
    ("rndrkit-mail", &["rndrkit-domain"]),
    ("rndrkit-control", &["rndrkit-domain", "rndrkit-store"]),
    ("rndrkit-server", &["rndrkit-domain", "rndrkit-api", "rndrkit-control"]),
    ("rndrkit-edge", &["rndrkit-domain", "rndrkit-api", "rndrkit-verifier"]),
    ("rndrkit-client", &["rndrkit-api"]),
    (
        "rndrkit",
        &[
            "rndrkit-domain",
            "rndrkit-api",
            "rndrkit-store",
            "rndrkit-verifier",
            "rndrkit-cluster",
            "rndrkit-control",
            "rndrkit-mail",
            "rndrkit-server",
            "rndrkit-edge",
            "rndrkit-client",
        ],
    ),
    ("rndrkit-testkit", &["rndrkit-domain"]),
    ("rndrkit-bench", &["rndrkit-domain"]),
    ("rndrkit-axum-example", &["rndrkit-client"]),
    ("xtask", &[]),
];

/// Libraries that belong to one part of the product, and the packages that may use them.
const FENCES: [(&str, &[&str]); 15] = [
    ("sea-orm", &["rndrkit-store", "rndrkit-testkit", "rndrkit-bench"]),
    ("sea-orm-migration", &["rndrkit-store"]),
    ("sqlx", &["rndrkit-store", "rndrkit-testkit"]),
    ("axum", &["rndrkit-server", "rndrkit", "rndrkit-axum-example"]),
    ("askama", &["rndrkit-server"]),
    ("charts-rs", &["rndrkit-server"]),
    ("hyper", &["rndrkit-edge", "rndrkit", "rndrkit-bench"]),
    ("hyper-rustls", &["rndrkit-edge"]),
    ("hyper-util", &["rndrkit-edge", "rndrkit", "rndrkit-testkit", "rndrkit-bench"]),
    ("clap", &["rndrkit"]),
    ("tracing-subscriber", &["rndrkit"]),
    ("reqwest", &["rndrkit-client", "rndrkit"]),
    ("argon2", &["rndrkit-control"]),
    ("lettre", &["rndrkit-mail"]),
    ("quick_cache", &["rndrkit-verifier", "rndrkit-control"]),
];

/// One arrow from a package's shipped code.
struct Arrow<'a> {
    from: &'a str,
    to: &'a str,
}

/// Every arrow that the tables do not allow.
pub(super) fn check(top: &Path) -> Outcome<Vec<String>> {
    let metadata = MetadataCommand::new().manifest_path(top.join("Cargo.toml")).no_deps().exec()?;
    let mut breaches = Vec::new();
    for package in &metadata.packages {
        breaches.extend(shipped(package).filter_map(|arrow| judge(&arrow)));
        if !ARROWS.iter().any(|(name, _)| *name == package.name.as_str()) {
            breaches.push(format!("{}: not in the table of arrows (xtask/src/tidy/arrows.rs)", package.name));
        }
    }
    Ok(breaches)
}

/// What the package is built from. What only its tests use is free.
fn shipped(package: &Package) -> impl Iterator<Item = Arrow<'_>> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| Arrow { from: &package.name, to: &dependency.name })
}

fn judge(arrow: &Arrow<'_>) -> Option<String> {
    let Arrow { from, to } = arrow;
    let ours = ARROWS.iter().any(|(name, _)| name == to);
    let allowed = if ours {
        ARROWS.iter().find(|(name, _)| name == from).is_some_and(|(_, allowed)| allowed.contains(to))
    } else {
        FENCES.iter().find(|(name, _)| name == to).is_none_or(|(_, allowed)| allowed.contains(from))
    };
    (!allowed).then(|| format!("{from} may not depend on {to}: see the arrows in ARCHITECTURE.md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_cannot_reach_sql_and_the_hot_path_cannot_reach_management() {
        for (from, to) in [
            ("rndrkit-server", "rndrkit-store"),
            ("rndrkit-edge", "rndrkit-control"),
            ("rndrkit-verifier", "rndrkit-store"),
            ("rndrkit-client", "rndrkit-domain"),
            ("rndrkit", "rndrkit-testkit"),
            ("rndrkit-server", "sea-orm"),
            ("rndrkit-control", "axum"),
        ] {
            assert!(judge(&Arrow { from, to }).is_some(), "{from} → {to}");
        }
        for (from, to) in
            [("rndrkit-control", "rndrkit-store"), ("rndrkit-store", "sea-orm"), ("xtask", "serde")]
        {
            assert_eq!(judge(&Arrow { from, to }), None, "{from} → {to}");
        }
    }
}
