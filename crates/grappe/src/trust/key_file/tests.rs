//! Key files against the real file system and, where it is installed, the real `ssh-keygen`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use tempfile::TempDir;

use super::*;

fn identity() -> Identity {
    Identity::generate("grappe@test").unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("deep/down/key");
    let identity = identity();
    identity.save_new(&path).unwrap();

    let loaded = Identity::load(&path).unwrap();
    assert_eq!(loaded.public(), identity.public());
    assert_eq!(loaded.comment(), "grappe@test");
    assert_eq!(loaded.sign(b"m"), identity.sign(b"m"));

    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let public_text = fs::read_to_string(public_path(&path)).unwrap();
    assert_eq!(public_text, format!("{}\n", identity.public_line()));
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        2,
        "no draft is left"
    );
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let home = TempDir::new().unwrap();
    let pipe = home.path().join("pipe");
    let made = Command::new("mkfifo")
        .args(["-m", "644"])
        .arg(&pipe)
        .status();
    assert!(made.unwrap().success());
    // The pipe has no writer, and nobody waits for one.
    for path in [home.path(), &pipe, Path::new("/dev/null")] {
        let error = Identity::load(path).unwrap_err();
        assert!(matches!(error, TrustError::NoFile { .. }), "{error}");
        assert_eq!(error.hint(), None);
    }
}

#[test]
fn an_identity_is_never_overwritten() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    identity().save_new(&path).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        identity().save_new(&path),
        Err(TrustError::AlreadyExists { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);

    // A lone public file is in the way too, and then no private key may appear.
    let other = home.path().join("other");
    fs::write(public_path(&other), "mine").unwrap();
    assert!(matches!(
        identity().save_new(&other),
        Err(TrustError::AlreadyExists { path }) if path == public_path(&other)
    ));
    assert!(!other.exists());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    identity().save_new(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o610] {
        chmod(&path, mode);
        let error = Identity::load(&path).unwrap_err();
        assert!(matches!(error, TrustError::KeyExposed { mode: seen, .. } if seen == mode));
        assert_eq!(
            error.hint().unwrap(),
            format!("chmod 600 {}", path.display())
        );
    }
    chmod(&path, 0o400);
    assert!(Identity::load(&path).is_ok());
}

#[test]
fn what_is_no_key_is_said_to_be_none() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        chmod(&path, 0o600);
        Identity::load(&path).unwrap_err()
    };
    assert!(matches!(refused(b""), TrustError::NotAKey { .. }));
    assert!(matches!(refused(b"\xff\xfe\0"), TrustError::NotAKey { .. }));
    assert!(matches!(
        refused(identity().public_line().as_bytes()),
        TrustError::NotAKey { .. }
    ));
    assert!(matches!(
        refused(&vec![b'x'; 65 * 1024]),
        TrustError::TooLarge { .. }
    ));
}

#[test]
fn halves_of_two_keys_do_not_make_one() {
    let (ours, other) = (identity(), identity());
    let mixed = Identity::from_halves(ours.private().clone(), other.public().as_bytes(), "");
    assert!(mixed.is_none());
}

#[test]
fn the_search_takes_the_first_that_exists_and_lists_all_if_none_does() {
    let home = TempDir::new().unwrap();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let candidates = [first.clone(), second.clone()];
    match Identity::find(&candidates) {
        Err(TrustError::NoKey { looked_at }) => assert_eq!(looked_at, candidates),
        other => panic!("found {other:?}"),
    }
    let (one, two) = (identity(), identity());
    two.save_new(&second).unwrap();
    assert_eq!(Identity::find(&candidates).unwrap().public(), two.public());
    one.save_new(&first).unwrap();
    assert_eq!(Identity::find(&candidates).unwrap().public(), one.public());
    // A broken first key is an error, never a reason to sign as somebody else.
    chmod(&first, 0o644);
    assert!(matches!(
        Identity::find(&candidates),
        Err(TrustError::KeyExposed { .. })
    ));
}

/// Runs `ssh-keygen`; `None`, with a message, where it is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn ssh_keygen(arguments: &[&str]) -> Option<String> {
    match Command::new("ssh-keygen").args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "ssh-keygen {arguments:?}: {errors}"
            );
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            eprintln!("skipped: ssh-keygen does not run here: {error}");
            None
        }
    }
}

#[test]
fn ssh_keygen_accepts_our_key_and_agrees_on_its_name() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    let identity = identity();
    identity.save_new(&path).unwrap();
    let name = path.to_str().unwrap();

    let Some(public_line) = ssh_keygen(&["-y", "-f", name]) else {
        return;
    };
    assert_eq!(public_line.trim_end(), identity.public_line());
    let Some(listing) = ssh_keygen(&["-l", "-f", name]) else {
        return;
    };
    let fingerprint = listing.split_whitespace().nth(1).unwrap();
    assert_eq!(fingerprint, identity.public().fingerprint());
}

#[test]
fn a_key_made_by_ssh_keygen_loads() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("id_ed25519");
    let name = path.to_str().unwrap();
    let made = ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", name]);
    if made.is_none() {
        return;
    }
    let identity = Identity::load(&path).unwrap();
    let public_text = fs::read_to_string(public_path(&path)).unwrap();
    assert_eq!(identity.public_line(), public_text.trim_end());
}

#[test]
fn encrypted_keys_and_other_algorithms_are_refused_by_name() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let locked = path("locked");
    let made = ssh_keygen(&["-q", "-t", "ed25519", "-N", "secret", "-f", &locked]);
    if made.is_none() {
        return;
    }
    let error = Identity::load(Path::new(&locked)).unwrap_err();
    assert!(matches!(error, TrustError::Encrypted { .. }), "{error}");

    for (kind, bits, shown) in [("rsa", "2048", "ssh-rsa"), ("ecdsa", "256", "ecdsa-sha2")] {
        let name = path(kind);
        ssh_keygen(&["-q", "-t", kind, "-b", bits, "-N", "", "-f", &name]);
        let error = Identity::load(Path::new(&name)).unwrap_err();
        assert!(
            matches!(error, TrustError::WrongAlgorithm { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(shown), "{error}");
    }
}
