//! Which names and relative paths are let through to the kernel, checked on bytes before any call.
//!
//! Only what Linux itself cannot hold, or what would leave the directory, is refused: names need not
//! be text. Which names are sensible is policy, and not decided here.

use thiserror::Error;

/// Longest name of a file in bytes: `NAME_MAX` of `limits.h`.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest relative path in bytes: `PATH_MAX` of `limits.h`. One call of the kernel takes a byte less,
/// for the zero at the end; longer ones are walked step by step.
pub const PATH_BYTES_MAX: usize = 4_096;

/// Why a name or a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// A name without a byte; in a path, two slashes in a row, or one at an end.
    #[error("a file name is empty")]
    Empty,
    /// `.` or `..`.
    #[error("a file name is `.` or `..`")]
    Dots,
    /// A slash in a single name.
    #[error("a file name contains a slash")]
    Slash,
    /// A zero byte.
    #[error("a file name contains a zero byte")]
    Zero,
    /// Above [`NAME_BYTES_MAX`], or for a path above [`PATH_BYTES_MAX`].
    #[error("a file name or path is too long")]
    TooLong,
}

/// Checks that `name` is one component that stays in its directory.
///
/// # Errors
///
/// The first [`NameError`] that applies.
pub fn check_name(name: &[u8]) -> Result<(), NameError> {
    match name {
        [] => Err(NameError::Empty),
        b"." | b".." => Err(NameError::Dots),
        _ if name.contains(&b'/') => Err(NameError::Slash),
        _ if name.contains(&0) => Err(NameError::Zero),
        _ if name.len() > NAME_BYTES_MAX => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

/// Splits a relative path at its slashes, each component checked; an empty path has none.
pub(super) fn components(
    relative: &[u8],
) -> Result<impl Iterator<Item = &[u8]> + use<'_>, NameError> {
    if relative.len() > PATH_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let split = || {
        relative
            .split(|byte| *byte == b'/')
            .filter(|_| !relative.is_empty())
    };
    split().try_for_each(check_name)?;
    Ok(split())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_pass() {
        let long = [b'a'; NAME_BYTES_MAX + 1];
        for (name, wanted) in [
            (&b""[..], Err(NameError::Empty)),
            (b".", Err(NameError::Dots)),
            (b"..", Err(NameError::Dots)),
            (b"a/b", Err(NameError::Slash)),
            (b"/", Err(NameError::Slash)),
            (b"a\0b", Err(NameError::Zero)),
            (&long, Err(NameError::TooLong)),
            (&long[1..], Ok(())),
            (b"...", Ok(())),
            (b"\xFF\n -x", Ok(())),
        ] {
            assert_eq!(check_name(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn every_component_of_a_path_is_checked() {
        for (path, wanted) in [
            (&b"/etc"[..], NameError::Empty),
            (b"a//b", NameError::Empty),
            (b"a/", NameError::Empty),
            (b"a/../b", NameError::Dots),
            (b"./a", NameError::Dots),
            (b"a/b\0", NameError::Zero),
            (&[b'a'; PATH_BYTES_MAX + 1], NameError::TooLong),
        ] {
            assert_eq!(
                components(path).map(Iterator::count),
                Err(wanted),
                "{path:?}"
            );
        }
        assert_eq!(components(b"").map(Iterator::count), Ok(0));
        assert_eq!(components(b"a/b/c").map(Iterator::count), Ok(3));
    }
}
