//! Where an identity is looked for, as a pure function of what the command line found out.
//!
//! Not here: reading the environment (the program does) and reading files (`key_file`).

use std::ffi::OsString;
use std::path::PathBuf;

/// The key of a whole machine, for services that run as root.
const SYSTEM_KEY: &str = "/etc/grappe/key";

/// The paths where the identity may be, in the order to try them.
///
/// `flag` is the value of `--key`, `env` that of `$GRAPPE_KEY`, `home` the home directory. A flag
/// or a non-empty environment value is final: someone who names a key must not silently get
/// another one. Otherwise `~/.config/grappe/key`, then `/etc/grappe/key`.
pub fn key_candidates(
    flag: Option<PathBuf>,
    env: Option<OsString>,
    home: Option<PathBuf>,
) -> Vec<PathBuf> {
    if let Some(path) = flag {
        return vec![path];
    }
    // An empty variable is how scripts say "unset".
    if let Some(path) = env.filter(|value| !value.is_empty()) {
        return vec![path.into()];
    }
    let personal = home.map(|home| home.join(".config/grappe/key"));
    personal.into_iter().chain([SYSTEM_KEY.into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(flag: Option<&str>, env: Option<&str>, home: Option<&str>) -> Vec<String> {
        key_candidates(
            flag.map(Into::into),
            env.map(Into::into),
            home.map(Into::into),
        )
        .into_iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
    }

    #[test]
    fn what_is_named_is_final() {
        assert_eq!(candidates(Some("/k"), Some("/e"), Some("/home/a")), ["/k"]);
        assert_eq!(candidates(None, Some("/e"), Some("/home/a")), ["/e"]);
    }

    #[test]
    fn the_person_comes_before_the_machine() {
        let both = ["/home/a/.config/grappe/key", "/etc/grappe/key"];
        assert_eq!(candidates(None, None, Some("/home/a")), both);
        assert_eq!(candidates(None, Some(""), Some("/home/a")), both);
        assert_eq!(candidates(None, None, None), ["/etc/grappe/key"]);
    }
}
