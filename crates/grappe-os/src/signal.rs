//! What is set for a signal of this process, which it inherits from whoever started it.
//!
//! Only asks. Who wants to hear of signals is the business of the caller.

use std::{mem::MaybeUninit, ptr};

/// Whether `SIGHUP` is ignored, as below nohup(1): whoever started the process wants it to outlive a
/// terminal.
#[expect(unsafe_code, reason = "calls sigaction")]
pub fn hangup_is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only fills in the one that is ours to fill.
    let answer = unsafe { libc::sigaction(libc::SIGHUP, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid `sigaction`, and what the call fills in is one as well.
    let action = unsafe { action.assume_init() };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_starter_ignores_is_known() {
        // This process may itself run below nohup(1): the kernel tells of it elsewhere (proc(5)).
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        assert_eq!(hangup_is_ignored(), mask & 1 != 0);
    }
}
