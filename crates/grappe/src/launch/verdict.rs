//! Why a receiver could not be started, in the user's words: from the last words of `ssh` or `srun`,
//! its exit status, and how far it had come.
//!
//! Pure: what is known goes in, a sentence comes out.

use std::process::ExitStatus;

use super::way::Way;
use crate::nodeset::NodeSet;

/// Characters of somebody's last words that are repeated.
const WORDS_MAX: usize = 300;

/// What Slurm answers for a program that is not there: the error number of `execve`.
const SLURM_NOT_FOUND: i32 = 2;

/// The exit code by which `ssh` says that it failed itself (ssh(1)).
const SSH_FAILED: i32 = 255;
/// Exit codes of a shell, and of `srun`, for a command that is not there or cannot run (POSIX).
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// How a launching process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) way: &'a Way,
    pub(super) node: &'a str,
    /// What was to be started there.
    pub(super) remote: &'a str,
    pub(super) code: Option<i32>,
    /// The last lines that it printed.
    pub(super) words: &'a str,
    /// Whether a `grappe` had answered before.
    pub(super) had_answered: bool,
}

/// The exit code of a process that was not killed.
pub(super) fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

/// Why nobody answers, or answers any more.
pub(super) fn reason(end: End<'_>) -> String {
    let program = end.way.as_str();
    if end.had_answered {
        return with_words(
            &format!("its connection by {program} ended before it took part"),
            end.words,
        );
    }
    let lower = end.words.to_ascii_lowercase();
    let lacks = |text: &str| !lower.contains(text);
    if matches!(end.way, Way::Ssh { .. }) && end.code == Some(SSH_FAILED) {
        return refused(end, &lower);
    }
    // Slurm says it in words too, but sometimes another warning is all that comes through.
    let by_slurm = matches!(end.way, Way::Slurm { .. }) && end.code == Some(SLURM_NOT_FOUND);
    let not_found = end.code == Some(NOT_FOUND)
        || (by_slurm && lacks("unrecognized subcommand"))
        || !lacks("command not found")
        || !lacks("no such file or directory");
    if not_found {
        let how = format!(
            "no `{}` there: install it where {program} finds it, or name it with --remote-path",
            end.remote
        );
        // The same code says that a library is missing, which only the words tell.
        return with_words(&how, end.words);
    }
    if !lacks("exec format error")
        || !lacks("permission denied")
        || end.code == Some(NOT_EXECUTABLE)
    {
        return with_words(&format!("`{}` there cannot be run", end.remote), end.words);
    }
    if !lacks("unrecognized subcommand") {
        return format!(
            "`{}` there is too old to be launched: install version {}, or name one with --remote-path",
            end.remote,
            env!("CARGO_PKG_VERSION")
        );
    }
    let how = match end.code {
        Some(code) => format!("{program} ended with code {code} and no word of grappe"),
        None => format!("{program} was killed"),
    };
    with_words(&how, end.words)
}

/// Why `ssh` itself gave up.
fn refused(end: End<'_>, lower: &str) -> String {
    let node = end.node;
    if lower.contains("host key verification failed") {
        return format!(
            "its host key is not known, or has changed: log in once by hand, `ssh {node} true`, or put \
             the key into ~/.ssh/known_hosts"
        );
    }
    if lower.contains("permission denied") || lower.contains("too many authentication failures") {
        let how = format!(
            "ssh may not log in there without a password: does `ssh -oBatchMode=yes {node} true` work?"
        );
        return with_words(&how, end.words);
    }
    if lower.contains("timed out") {
        return with_words("no answer to ssh in time", end.words);
    }
    with_words("ssh could not reach it", end.words)
}

/// Whether another attempt may fare better: a server that is asked by many at once turns some away
/// before they could log in (`MaxStartups` of sshd_config(5)).
pub(super) fn is_passing(way: &Way, code: Option<i32>, words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let turned_away = ["kex_exchange_identification", "ssh_exchange_identification"];
    matches!(way, Way::Ssh { .. })
        && code == Some(SSH_FAILED)
        && turned_away.iter().any(|text| lower.contains(text))
        && !lower.contains("refused")
}

/// The nodes whose task has ended, and its exit code, where `srun` says so:
/// `srun: error: n[3-4]: tasks 1-2: Exited with exit code 2`. It waits for the others then.
pub(super) fn ended_tasks(line: &str) -> Option<(NodeSet, Option<i32>)> {
    let (nodes, rest) = line.strip_prefix("srun: error: ")?.split_once(": task")?;
    let (_, how) = rest.split_once(": ")?;
    let code = how.strip_prefix("Exited with exit code ");
    Some((
        NodeSet::parse(nodes).ok()?,
        code.and_then(|code| code.trim().parse().ok()),
    ))
}

/// `text`, with what was said behind it in brackets.
pub(super) fn with_words(text: &str, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = words.join(" ");
    if words.is_empty() {
        return text.to_owned();
    }
    let skip = words.chars().count().saturating_sub(WORDS_MAX);
    let words: String = words.chars().skip(skip).collect();
    format!("{text} ({words})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i32, words: &str) -> String {
        let way = Way::Ssh {
            program: vec!["ssh".into()],
            user: None,
        };
        reason(End {
            way: &way,
            node: "n3",
            remote: "grappe",
            code: Some(code),
            words,
            had_answered: false,
        })
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let missing = told(127, "bash: line 1: grappe: command not found");
        assert!(missing.contains("no `grappe` there") && missing.contains("--remote-path"));
        // Of a shell that has no code of its own for it.
        assert!(told(1, "grappe: Command not found.").contains("no `grappe` there"));
        let library = told(
            127,
            "grappe: error while loading shared libraries: libx.so.1: no",
        );
        assert!(library.contains("libx.so.1"), "{library}");
        assert!(told(255, "ann@n3: Permission denied (publickey).").contains("BatchMode=yes n3"));
        assert!(told(255, "Host key verification failed.").contains("known_hosts"));
        let unknown = told(
            255,
            "ssh: Could not resolve hostname n3: Name or service not known",
        );
        assert!(
            unknown.contains("Could not resolve hostname n3"),
            "{unknown}"
        );
        assert!(
            told(255, "connect to host n3 port 22: Connection timed out").contains("no answer")
        );
        assert!(told(2, "error: unrecognized subcommand 'launched'").contains("too old"));
        assert!(told(126, "").contains("cannot be run"));
        assert!(
            told(9, "odd\nwords").contains("code 9")
                && told(9, "odd\nwords").contains("(odd words)")
        );
    }

    #[test]
    fn only_a_server_that_is_overrun_is_asked_again() {
        let ssh = Way::Ssh {
            program: vec!["ssh".into()],
            user: None,
        };
        let overrun = "kex_exchange_identification: Connection closed by remote host";
        assert!(is_passing(&ssh, Some(255), overrun));
        assert!(!is_passing(
            &ssh,
            Some(255),
            "Permission denied (publickey)."
        ));
        assert!(!is_passing(&ssh, Some(1), overrun));
    }

    #[test]
    fn what_srun_says_of_tasks_is_understood() {
        let ended = |line| ended_tasks(line).map(|(nodes, code)| (nodes.to_string(), code));
        let one = ended("srun: error: n3: task 1: Exited with exit code 2");
        assert_eq!(one, Some(("n3".into(), Some(2))));
        let two = ended("srun: error: n[3-4]: tasks 1-2: Exited with exit code 127");
        assert_eq!(two, Some(("n[3-4]".into(), Some(127))));
        assert_eq!(
            ended("srun: error: n3: task 1: Killed"),
            Some(("n3".into(), None))
        );
        assert_eq!(ended("srun: error: Application launch failed"), None);
        assert_eq!(ended("0: srun"), None);
    }

    #[test]
    fn last_words_are_cut_at_their_beginning() {
        let long = with_words("it failed", &format!("{} end", "x".repeat(1000)));
        assert!(long.len() < WORDS_MAX + 20 && long.ends_with(" end)"));
    }
}
