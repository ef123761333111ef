//! The server on one core, everything else on another: who measures must not take time from whom is measured.

use std::fs;
use std::process::{Command, Stdio};

/// Which cores there are to share out.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    /// For the server under measure; `None` when there is nothing to choose.
    server: Option<String>,
    /// For the load generator and the services behind the server.
    load: Option<String>,
}

impl Cores {
    /// The first core that this process may use is the server's, the second the load's. With a single core, or without
    /// `taskset`, nothing is pinned.
    pub(crate) fn share_out() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        match expand(allowed.trim()).as_slice() {
            [server, load, ..] if has_taskset() => {
                Self { server: Some(server.clone()), load: Some(load.clone()) }
            }
            _ => Self { server: None, load: None },
        }
    }

    /// Shared by all, as the kernel sees fit.
    pub(crate) fn for_all() -> Self {
        Self { server: None, load: None }
    }

    /// The command under which the server is started.
    pub(crate) fn server(&self) -> Vec<&str> {
        under(self.server.as_deref())
    }

    /// The command under which services behind it are started.
    pub(crate) fn load(&self) -> Vec<&str> {
        under(self.load.as_deref())
    }

    /// Moves this process, with the threads it has and will have, to the load's core.
    pub(crate) fn move_to_load(&self) {
        move_to(self.load.as_deref());
    }
}

fn under(core: Option<&str>) -> Vec<&str> {
    core.map_or_else(Vec::new, |core| vec!["taskset", "-c", core])
}

fn move_to(cores: Option<&str>) {
    let Some(cores) = cores else { return };
    let me = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-acp", cores, &me]).stdout(Stdio::null()).status();
    assert!(moved.is_ok_and(|status| status.success()), "taskset moves a process of ours");
}

fn has_taskset() -> bool {
    Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `0-2,5` as `0`, `1`, `2`, `5`.
fn expand(list: &str) -> Vec<String> {
    let number = |text: &str| text.parse::<u32>().ok();
    let ranges = list.split(',').filter_map(|part| match part.split_once('-') {
        Some((from, to)) => Some(number(from)?..=number(to)?),
        None => number(part).map(|one| one..=one),
    });
    ranges.flatten().map(|core| core.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_is_expanded() {
        assert_eq!(expand("0-2,5"), ["0", "1", "2", "5"]);
        assert_eq!(expand("3"), ["3"]);
        assert!(expand("").is_empty());
    }
}
