//! What a directory that was there asks of those who place things in it: that it may be written to, and that new
//! files get its group where it hands that on.
//!
//! Called by `place`, and by `own` for a node's own part. Permissions that the copy brings are set in `metadata`.

use std::io;

use grappe_os::file::Directory;

use crate::files::metadata;

/// A directory with this bit hands its group on to what is made in it.
const MODE_SETGID: u32 = 0o2000;

/// What a directory's owner needs to place things in it.
const OWNER_MODE: u32 = 0o700;

/// Lets the owner of a directory that was there place things in it, even when an earlier copy has made
/// it read-only. It gets its own permissions at the end.
pub(in crate::files) fn make_writable(directory: &Directory) -> io::Result<()> {
    let mode = directory.own_metadata()?.mode;
    if mode & OWNER_MODE != OWNER_MODE {
        // Whoever may not do this may still be allowed to write, as group or as root.
        let _ = directory.set_mode(mode | OWNER_MODE);
    }
    Ok(())
}

/// Tries to `act` in `directory`, and once more where it is refused: another copy into the same directory may just have
/// ended, and made it read-only.
pub(in crate::files) fn where_writable<T>(
    directory: &Directory,
    mut act: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    match act() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(directory)?;
            act()
        }
        result => result,
    }
}

/// Gives the file `name` in `folder`, which is about to get into `parent`, the group that a file made there gets where
/// the directory hands its own on (inode(7), setgid).
pub(super) fn inherit_group(folder: &Directory, name: &[u8], parent: &Directory) -> io::Result<()> {
    let above = parent.own_metadata()?;
    if above.mode & MODE_SETGID == 0 {
        return Ok(());
    }
    let found = folder.metadata(name)?;
    // Another group would cost it what it may do with its own.
    if found.gid != above.gid && found.mode & metadata::MODE_POWERS == 0 {
        // Who is not of that group may not give it, and could not have made a file with it either.
        let _ = folder.set_owner(name, found.uid, above.gid);
    }
    Ok(())
}
