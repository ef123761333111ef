//! Who may depend on whom: arrows run downward only.
//!
//! The crates stand on tiers. A crate may use what stands on a lower tier and nothing else, but for the two arrows in
//! [`BESIDE`]. So no capability can import another, and nothing that opens a socket can end up below the store.

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};
use std::path::Path;

/// The rooms of the house, the lowest first.
const TIERS: &[&[&str]] = &[
    &["account"],
    &["outbound", "jose"],
    &["work", "store"],
    &["ledger", "keys", "idp", "verify", "shared"],
    &["tokenserver", "bearer", "broker", "sessions", "ingest"],
    &["import"],
    &["highwater"],
];

/// Arrows allowed inside a tier: (from, to). `verify` asks the identity provider; `shared` is what `verify` shares, shown in its
/// tests with an identity provider; the ledger keeps keyed tombstones.
const BESIDE: &[(&str, &str)] =
    &[("verify", "idp"), ("shared", "verify"), ("shared", "idp"), ("ledger", "keys"), ("work", "store")];

/// What only tests, benches and the demo need. They may look into every room; who may use them is in [`judge`].
const OUTBUILDINGS: &[&str] = &["standins", "testkit", "bench", "xtask"];

/// Reads the workspace's manifests and fails with every arrow that runs the wrong way.
pub(crate) fn check(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("`cargo metadata` could not read the workspace")?;
    let wrong = wrong_arrows(&metadata);
    ensure!(wrong.is_empty(), "the layering does not hold:\n  {}", wrong.join("\n  "));
    Ok(())
}

fn wrong_arrows(metadata: &Metadata) -> Vec<String> {
    let packages = metadata.workspace_packages();
    let house: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let arrows = packages.iter().flat_map(|package| {
        let inside = package.dependencies.iter().filter(|it| house.contains(&it.name.as_str()));
        inside.filter_map(|to| judge(&Arrow::new(package, to)).err())
    });
    let homeless = house.iter().filter(|name| tier(name).is_none() && !OUTBUILDINGS.contains(name));
    let homeless = homeless.map(|name| format!("{name} has no place in crates/xtask/src/layering.rs"));
    arrows.chain(homeless).chain(packages.iter().filter_map(|it| demo_is_not_an_option(it))).collect()
}

/// One dependency between two crates of the workspace.
struct Arrow<'a> {
    from: &'a str,
    to: &'a str,
    kind: DependencyKind,
    optional: bool,
}

impl<'a> Arrow<'a> {
    fn new(from: &'a Package, to: &'a Dependency) -> Self {
        Self { from: &from.name, to: &to.name, kind: to.kind, optional: to.optional }
    }

    fn refused(&self, why: &str) -> Result<(), String> {
        Err(format!("{} → {}: {why}", self.from, self.to))
    }
}

/// Whether an arrow may stand; if not, the sentence that says why.
fn judge(arrow: &Arrow<'_>) -> Result<(), String> {
    let test_only = arrow.kind == DependencyKind::Development;
    match (arrow.from, arrow.to) {
        (_, "bench" | "xtask") => arrow.refused("nothing depends on a program that only developers run"),
        ("standins" | "testkit" | "bench" | "xtask", _) => Ok(()),
        (_, "testkit" | "standins") if test_only => Ok(()),
        // A crate's own tests may switch on its `testing` feature.
        (from, to) if from == to && test_only => Ok(()),
        (_, "testkit") | ("highwater", "standins") if arrow.optional => Ok(()),
        (_, "testkit") => arrow.refused("only tests, or a `testing` feature, may use it"),
        (_, "standins") => arrow.refused("only tests, benches and the binary's `demo` feature may use it"),
        (from, to) if tier(from) > tier(to) || BESIDE.contains(&(from, to)) => Ok(()),
        _ => arrow.refused("arrows run downward only"),
    }
}

fn tier(name: &str) -> Option<usize> {
    TIERS.iter().position(|rooms| rooms.contains(&name))
}

/// The binary's `demo` feature is on in a source build and is the only way to the stand-ins, so that a package built
/// with `--no-default-features` has none.
fn demo_is_not_an_option(package: &Package) -> Option<String> {
    if package.name.as_str() != "highwater" {
        return None;
    }
    let brings = |feature: &str| package.features.get(feature).cloned().unwrap_or_default();
    let by_demo = brings("demo").iter().any(|it| it == "dep:standins");
    let by_default = brings("default").iter().any(|it| it == "demo");
    let others = package.features.iter().filter(|(name, _)| name.as_str() != "demo");
    let elsewhere = others.flat_map(|(_, brings)| brings).any(|it| it.contains("standins"));
    (!by_demo || !by_default || elsewhere).then(|| {
        "highwater: `standins` must come by the feature `demo` alone, which is on by default".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &'static str, to: &'static str) -> Arrow<'static> {
        Arrow { from, to, kind: DependencyKind::Normal, optional: false }
    }

    #[test]
    fn the_arrows_of_this_workspace_run_downward() {
        if let Err(error) = check(&crate::workspace_root()) {
            panic!("{error}");
        }
    }

    #[test]
    fn a_crate_uses_what_stands_below_it() {
        for (from, to) in
            [("highwater", "ledger"), ("ledger", "store"), ("idp", "outbound"), ("jose", "account")]
        {
            assert_eq!(judge(&arrow(from, to)), Ok(()), "{from} → {to}");
        }
    }

    #[test]
    fn nothing_reaches_up_or_into_the_next_capability() {
        for (from, to) in
            [("store", "ledger"), ("account", "jose"), ("tokenserver", "ingest"), ("idp", "verify")]
        {
            assert!(judge(&arrow(from, to)).is_err(), "{from} → {to}");
        }
    }

    #[test]
    fn the_stand_ins_are_for_tests_and_for_the_optional_demo() {
        assert!(judge(&arrow("highwater", "standins")).is_err());
        assert!(judge(&Arrow { optional: true, ..arrow("tokenserver", "standins") }).is_err());
        assert_eq!(judge(&Arrow { optional: true, ..arrow("highwater", "standins") }), Ok(()));
        assert_eq!(
            judge(&Arrow { kind: DependencyKind::Development, ..arrow("ingest", "standins") }),
            Ok(())
        );
    }

    #[test]
    fn product_code_does_not_use_the_test_kit() {
        assert!(judge(&arrow("store", "testkit")).is_err());
        assert_eq!(judge(&Arrow { optional: true, ..arrow("store", "testkit") }), Ok(()));
    }
}
