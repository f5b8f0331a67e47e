//! How much memory this process may use. A file in memory is charged to whoever touches it, and what is
//! too much is no error but the end of the process.

use std::path::Path;

/// The smallest limit of the control groups that this process is in, in bytes.
pub(super) fn limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(limit_of).min()
}

/// A line is `hierarchy:controllers:path`; hierarchy 0 is that of version 2.
fn limit_of(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, name) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|c| c == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be that of the host, and only the root be there.
    let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
    let limits = ancestors.filter_map(|group| {
        std::fs::read_to_string(Path::new(root).join(group).join(name)).ok()?.trim().parse().ok()
    });
    limits.min()
}
