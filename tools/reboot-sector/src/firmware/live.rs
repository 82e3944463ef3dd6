//! This machine's firmware, as Linux shows it below `/sys`: the reset register, who the node is, UEFI's
//! variables. The only file here that reads and writes; it decides nothing.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::boot_order::{Change, Variables};

/// Where efivarfs is mounted.
pub const EFI_VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Where Linux shows the table with the reset register.
pub const FADT: &str = "/sys/firmware/acpi/tables/FACP";
/// EFI_GLOBAL_VARIABLE.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept over resets, seen by boot services and at run time.
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
/// Variables longer than this are not read.
const VARIABLE_BYTES_MAX: u64 = 64 << 10;

/// How Linux itself resets this machine, its list of odd machines applied: `acpi`, `bios`, `cf9_safe`
/// and others (Documentation/ABI/testing/sysfs-kernel-reboot). `None` before Linux 5.11.
pub fn linux_reboot_type() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/reboot/type").ok()?;
    Some(text.trim().to_owned())
}

/// Something that differs between the nodes of a cluster and stays over boots: the board's UUID and the
/// addresses of all network cards that are hardware. Empty when nothing is known.
pub fn identity() -> String {
    let mut parts: Vec<String> = fs::read_to_string("/sys/class/dmi/id/product_uuid")
        .into_iter()
        .collect();
    let cards = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let hardware = cards.filter(|card| card.path().join("device").exists());
    let mut addresses: Vec<String> = hardware
        .filter_map(|card| fs::read_to_string(card.path().join("address")).ok())
        .collect();
    addresses.sort();
    parts.append(&mut addresses);
    parts.join(" ")
}

/// Secure Boot is enforced: only signed programs start. `None` when there is no such variable.
///
/// # Errors
/// When it is there but cannot be read.
pub fn secure_boot(directory: &Path) -> io::Result<Option<bool>> {
    match fs::read(directory.join(format!("SecureBoot-{GLOBAL}"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(bytes?.get(4).map(|value| *value == 1)),
    }
}

/// Reads BootOrder and all boot options.
///
/// # Errors
/// When the directory cannot be read. A missing BootOrder is an empty one.
pub fn variables(directory: &Path) -> io::Result<Variables> {
    let mut variables = Variables::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(GLOBAL)) else {
            continue;
        };
        let Some(middle) = name
            .strip_prefix("Boot")
            .and_then(|rest| rest.strip_suffix('-'))
        else {
            continue;
        };
        let number = u16::from_str_radix(middle, 16)
            .ok()
            .filter(|_| middle.len() == 4);
        if number.is_none() && middle != "Order" || entry.metadata()?.len() > VARIABLE_BYTES_MAX {
            continue;
        }
        let bytes = fs::read(entry.path())?;
        let value = bytes.get(4..).unwrap_or_default();
        match number {
            Some(number) => {
                variables.options.insert(number, value.to_vec());
            }
            None => {
                let units = value.as_chunks::<2>().0;
                variables.order = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
            }
        }
    }
    Ok(variables)
}

/// Carries a change out: the option, then the order, so that the order never names what is not there.
///
/// # Errors
/// What the firmware or the kernel answers; the variable that failed is as it was.
pub fn write(directory: &Path, change: &Change) -> io::Result<()> {
    if let Some(option) = &change.option {
        write_variable(directory, &format!("Boot{:04X}", change.number), option)?;
    }
    if let Some(order) = &change.order {
        write_order(directory, order)?;
    }
    Ok(())
}

/// Takes an option away: out of the order first.
///
/// # Errors
/// As [`write()`].
pub fn remove(directory: &Path, number: u16, order: &[u16]) -> io::Result<()> {
    write_order(directory, order)?;
    let path = directory.join(format!("Boot{number:04X}-{GLOBAL}"));
    make_mutable(&path);
    fs::remove_file(path)
}

fn write_order(directory: &Path, order: &[u16]) -> io::Result<()> {
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    write_variable(directory, "BootOrder", &bytes)
}

/// The kernel takes a variable in one write only (Documentation/filesystems/efivarfs.rst).
fn write_variable(directory: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let path = directory.join(format!("{name}-{GLOBAL}"));
    make_mutable(&path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all(&[&ATTRIBUTES, value].concat())
}

/// Linux marks variables immutable against `rm -rf`. A failure shows in the write that follows.
fn make_mutable(path: &Path) {
    let Ok(file) = fs::File::open(path) else {
        return;
    };
    if let Ok(flags) = ioctl_getflags(&file) {
        let _shown_by_the_write = ioctl_setflags(&file, flags - IFlags::IMMUTABLE);
    }
}
