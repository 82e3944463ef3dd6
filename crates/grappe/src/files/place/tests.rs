//! What a file gets from the directory that it is moved into. Whole copies are tested in `files::tests`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::*;

#[test]
fn a_directory_hands_its_group_on_if_it_says_so_and_that_costs_no_powers() {
    if !rustix::process::geteuid().is_root() {
        let reason = "only root can make a directory of a group that is not its own";
        return crate::files::tests::skip(reason);
    }
    let folder = tempfile::TempDir::new().unwrap();
    let open = |path: &std::path::Path| Directory::open(path).unwrap();
    let parent = folder.path().join("parent");
    fs::create_dir(&parent).unwrap();
    chown(&parent, None, Some(1234)).unwrap();
    let group_of = |name: &str, mode: u32, parent_mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        fs::set_permissions(&parent, PermissionsExt::from_mode(parent_mode)).unwrap();
        inherit_group(&open(folder.path()), name.as_bytes(), &open(&parent)).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, mode);
        found.gid()
    };
    assert_eq!(group_of("handed", 0o640, 0o2770), 1234);
    assert_ne!(group_of("kept", 0o640, 0o770), 1234);
    assert_ne!(group_of("powerful", 0o4755, 0o2770), 1234);
}
