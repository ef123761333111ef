//! Where the programs are, and as whom they may run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of `postgres` and `initdb`: what `pg_config --bindir` says, else the newest version under Debian's
/// `/usr/lib/postgresql`, else the folder on the `PATH`.
pub(crate) fn postgres_folder() -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told =
        told.and_then(|output| String::from_utf8(output.stdout).ok()).map(|text| PathBuf::from(text.trim()));
    told.into_iter()
        .chain(debian_folders())
        .chain(path_folders())
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .expect("PostgreSQL's `initdb` and `postgres` are installed (Debian: apt-get install postgresql)")
}

fn debian_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    folders.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn path_folders() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// A program of Debian's: on the `PATH`, where Debian puts it, or where `./test` unpacks it.
pub(crate) fn unpacked(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(format!("test-{name}"));
    path_folders()
        .into_iter()
        .chain([PathBuf::from("/usr/sbin"), beside.join("usr/sbin"), beside.join("usr/bin")])
        .map(|folder| folder.join(name))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("{name} is installed (run ./test, or Debian: apt-get install {name})"))
}

/// Node.js of an age that npm's `oidc-provider` takes: the one `./test` installs where the machine's is too old, else the
/// machine's.
pub(crate) fn node() -> PathBuf {
    let own = ["x64", "arm64"]
        .map(|machine| node_packages().join(format!("node_modules/node-linux-{machine}/bin/node")));
    own.into_iter().find(|program| program.exists()).unwrap_or_else(|| PathBuf::from("node"))
}

/// Where `./test` installs packages of Node.js.
pub(crate) fn node_packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-node");
    let has_all = folder.join("node_modules/oidc-provider").exists();
    assert!(has_all, "no oidc-provider for Node.js: run ./test, which installs crates/testkit/package.json");
    folder.canonicalize().expect("it is there")
}

/// A program that a Python package brings, by its place among the packages of `target/test-venv`.
pub(crate) fn of_python(place: &str) -> PathBuf {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/lib");
    let versions = fs::read_dir(&libraries).into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("site-packages").join(place))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("{place} is among the Python packages of the tests (run ./test)"))
}

/// User and group ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whom to become for a server that refuses to run as root: nobody special when we are not root, else `postgres`, else
/// `nobody`. `folder` is one that we have just made; its owner is who we are.
pub(crate) fn ordinary_user(folder: &Path) -> Option<User> {
    let we_are_root = fs::metadata(folder).expect("our own folder can be looked at").uid() == 0;
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    we_are_root.then(|| {
        find_user(&users, "postgres")
            .or_else(|| find_user(&users, "nobody"))
            .expect("there is a user `postgres` or `nobody` to run the server as, since root may not")
    })
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields[..] {
        [user, _, uid, gid, ..] if user == name => {
            Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:\npostgres:x:101:104:,,,:/var:/bin/bash\n";
        assert_eq!(find_user(passwd, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
