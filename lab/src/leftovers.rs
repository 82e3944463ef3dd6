//! Names of everything the lab makes on a machine, and `lab clean`, which removes what was orphaned.
//!
//! Every name carries the process id of its lab, so that several labs run side by side and a
//! left-over can be told from something in use. Watchdogs normally leave nothing to do here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::shell;

const CLUSTER_PREFIX: &str = "grappe-lab-";
const STORE_PREFIX: &str = "grappe-store-";

/// A name for a cluster that no other cluster on this machine has.
#[must_use]
pub fn cluster_name() -> String {
    unique(CLUSTER_PREFIX)
}

/// A folder for a store that no other store on this machine has. It is not created.
#[must_use]
pub fn store_folder() -> PathBuf {
    env::temp_dir().join(unique(STORE_PREFIX))
}

/// Removes namespaces and stores whose lab no longer runs, and returns their names.
///
/// # Errors
///
/// When listing or removing fails, most often for want of root.
pub fn clean() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for namespace in namespaces(CLUSTER_PREFIX)? {
        if is_orphan(&namespace, CLUSTER_PREFIX) {
            remove_namespace(&namespace)?;
            removed.push(namespace);
        }
    }
    for entry in fs::read_dir(env::temp_dir())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_orphan(&name, STORE_PREFIX) {
            remove_store(&path)?;
            removed.push(path.display().to_string());
        }
    }
    Ok(removed)
}

/// All network namespaces whose names begin with `prefix`.
///
/// # Errors
///
/// When `ip netns` fails.
pub fn namespaces(prefix: &str) -> Result<Vec<String>> {
    let listing = shell::run("ip netns list")?;
    Ok(listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(prefix))
        .map(String::from)
        .collect())
}

fn unique(prefix: &str) -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}-{serial}-", process::id())
}

fn is_orphan(name: &str, prefix: &str) -> bool {
    let Some(owner) = name
        .strip_prefix(prefix)
        .and_then(|rest| rest.split('-').next())
    else {
        return false;
    };
    owner.parse::<u32>().is_ok() && !Path::new("/proc").join(owner).exists()
}

fn remove_namespace(namespace: &str) -> Result<()> {
    for pid in shell::run(&format!("ip netns pids {namespace}"))?.split_whitespace() {
        // It may have ended by itself in the meantime.
        let _ = shell::run(&format!("kill -9 {pid}"));
    }
    shell::run(&format!("ip netns del {namespace}"))?;
    Ok(())
}

fn remove_store(folder: &Path) -> Result<()> {
    // Not mounted when the lab died between making the folder and mounting.
    let _ = shell::run(&format!("umount -l {}", folder.display()));
    fs::remove_dir(folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_tell_their_owner() {
        let (one, other) = (cluster_name(), cluster_name());
        assert_ne!(one, other);
        assert!(!is_orphan(&one, CLUSTER_PREFIX), "this process lives");
    }

    #[test]
    fn only_our_names_of_dead_processes_are_orphans() {
        assert!(is_orphan("grappe-lab-4194305-0-n1", CLUSTER_PREFIX));
        assert!(!is_orphan("grappe-lab-mine", CLUSTER_PREFIX));
        assert!(!is_orphan("docker-4194305-0", CLUSTER_PREFIX));
    }
}
