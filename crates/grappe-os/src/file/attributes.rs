//! Extended attributes of an open file or directory, access lists among them (acl(5)).
//!
//! Read and set as a whole: a copy that has no attribute takes away what the target has. Which names
//! may be set is policy; here only those that a copy can carry are looked at.

use std::os::fd::AsFd;

use rustix::{
    buffer::spare_capacity,
    fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr},
    io::Errno,
};

use super::FileError;

/// A name, as `user.colour`, and a value.
pub type Attribute = (Vec<u8>, Vec<u8>);

/// Linux's own bounds (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX` of `limits.h`).
const LIST_BYTES_MAX: usize = 65_536;
const VALUE_BYTES_MAX: usize = 65_536;

/// The attributes of `file` whose names `wanted` lets through, in the order of their names.
///
/// None where the file system has no attributes.
///
/// # Errors
///
/// What the kernel says.
pub fn attributes(
    file: impl AsFd,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Attribute>, FileError> {
    let mut names = names(file.as_fd())?;
    names.retain(|name| wanted(name));
    names.sort_unstable();
    let mut attributes = Vec::with_capacity(names.len());
    for name in names {
        let mut value = Vec::with_capacity(256);
        let read = loop {
            match fgetxattr(&file, &name[..], spare_capacity(&mut value)) {
                Err(Errno::RANGE) if value.capacity() < VALUE_BYTES_MAX => {
                    value = Vec::with_capacity(VALUE_BYTES_MAX);
                }
                result => break result,
            }
        };
        match read {
            Ok(_) => attributes.push((name, value)),
            // Gone since it was listed.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(FileError::kernel("read an attribute")(errno)),
        }
    }
    Ok(attributes)
}

/// Gives `file` just `attributes`: others whose names `wanted` lets through are removed.
///
/// # Errors
///
/// What the kernel says: `Unsupported` where the file system has no attributes.
pub fn set_attributes(
    file: impl AsFd,
    attributes: &[Attribute],
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<(), FileError> {
    for name in names(file.as_fd())? {
        let stays = attributes.iter().any(|(kept, _)| *kept == name);
        if wanted(&name) && !stays {
            match fremovexattr(&file, &name[..]) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(FileError::kernel("remove an attribute")(errno)),
            }
        }
    }
    for (name, value) in attributes.iter().filter(|(name, _)| wanted(name)) {
        fsetxattr(&file, &name[..], value, XattrFlags::empty())
            .map_err(FileError::kernel("set an attribute"))?;
    }
    Ok(())
}

fn names(file: impl AsFd) -> Result<Vec<Vec<u8>>, FileError> {
    let mut list = Vec::with_capacity(1024);
    let read = loop {
        match flistxattr(&file, spare_capacity(&mut list)) {
            Err(Errno::RANGE) if list.capacity() < LIST_BYTES_MAX => {
                list = Vec::with_capacity(LIST_BYTES_MAX);
            }
            result => break result,
        }
    };
    match read {
        Ok(_) => Ok(list
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect()),
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Err(errno) => Err(FileError::kernel("list attributes")(errno)),
    }
}
