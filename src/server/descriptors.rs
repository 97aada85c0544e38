//! File descriptors: each connection needs one, and what a process may open is often a tenth of what a server is to hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What else is open: the database, the log, what the runtime needs.
const OTHERS: u64 = 64;

/// Raises the limit of this process as far as `connections` need and the system allows; answers how many connections
/// there is room for.
pub fn make_room(connections: usize) -> usize {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < reachable {
        let raised = Rlimit { current: Some(reachable), maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => allowed = reachable,
            Err(error) => tracing::debug!(%error, "the limit of open files could not be raised"),
        }
    }
    if allowed >= wanted {
        return connections;
    }
    // A limit so low that nothing is left still lets one connection try.
    let possible = usize::try_from(allowed.saturating_sub(OTHERS).max(1)).unwrap_or(connections);
    tracing::warn!(
        limit = allowed,
        connections = possible,
        configured = connections,
        "this process may open too few files for server.connections, so it takes fewer connections; raise the hard limit \
         (ulimit -Hn, LimitNOFILE= of the systemd unit, --ulimit nofile= of the container) to {wanted} or more"
    );
    possible
}
