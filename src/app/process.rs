//! The process itself: how many files it may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Files besides connections: listeners, log, sealed file and its lock, runtimes, with room to spare.
const OTHER_FILES: u64 = 128;

/// Takes all the descriptors that the system lets us have, and says so where they are too few for the limits.
pub(super) fn raise_open_files(limits: &Limits) -> Option<String> {
    let allowed = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, maximum: allowed.maximum });
    let have = if raised.is_ok() { allowed.maximum } else { allowed.current };
    too_few(have, limits)
}

/// `None` as a number of files is no limit.
fn too_few(have: Option<u64>, limits: &Limits) -> Option<String> {
    // Each request in flight may hold a connection to a provider.
    let wanted = (limits.connections as u64).saturating_add(limits.requests_in_flight as u64) + OTHER_FILES;
    let have = have.filter(|have| *have < wanted)?;
    Some(format!(
        "{have} open files are allowed, and [limits] connections and requests_in_flight may need {wanted}; \
         raise the limit of open files (LimitNOFILE= in systemd, ulimit -Hn) or lower [limits]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_for_the_limits_are_said_with_both_numbers() {
        let limits = Limits { connections: 1_000, requests_in_flight: 500, ..Limits::default() };
        assert_eq!(too_few(None, &limits), None);
        assert_eq!(too_few(Some(1_628), &limits), None);
        let said = too_few(Some(1_024), &limits).unwrap();
        assert!(said.contains("1024") && said.contains("1628"), "{said}");
    }
}
