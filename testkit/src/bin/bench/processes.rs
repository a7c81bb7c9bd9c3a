//! What processes, and all that they started, have spent: read from `/proc`.

use std::{fs, time::Duration};

use anyhow::Result;

/// These processes and all below them.
fn with_descendants(roots: &[u32]) -> Vec<u32> {
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        // Each thread has children of its own.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// What they and those that they have waited for have spent, in user and kernel.
pub(crate) fn processor_time(roots: &[u32]) -> Duration {
    let mut ticks = 0;
    for pid in with_descendants(roots) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let fields: Vec<u64> = after.split(' ').skip(11).take(4).flat_map(str::parse).collect();
        ticks += fields.iter().sum::<u64>();
    }
    // Linux counts in hundredths of a second here, whatever the kernel's own clock.
    Duration::from_millis(ticks * 10)
}

/// Their memory, in MiB: what several share is shared among them.
pub(crate) fn memory(roots: &[u32]) -> Result<u64> {
    let mut kilobytes = 0;
    for pid in with_descendants(roots) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
        kilobytes += line.split_whitespace().nth(1).map_or(Ok(0), str::parse)?;
    }
    Ok(kilobytes / 1024)
}
