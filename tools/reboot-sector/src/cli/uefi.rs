//! The EFI part of `install` and `restore`: the file on the EFI system partition, then the boot option that
//! names it. Whatever fails, what was done before is taken back. Decisions are in `firmware::boot_order`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use reboot_sector::device::Disk;
use reboot_sector::efi::found::{Application, Firmware, Found};
use reboot_sector::efi::{self, esp};
use reboot_sector::firmware::boot_order::{self, Change, Variables};
use reboot_sector::firmware::live;
use reboot_sector::plan::{Kind, UseKind};
use reboot_sector::sector::Settings;
use reboot_sector::table::gpt::{self, Partition};
use rustix::fs::OFlags;

use super::inspect::gpt_of_disk;
use super::{Failure, show};

/// Everything that is needed, found before anything is written.
pub(super) struct Uefi {
    esp: Esp,
    application: Vec<u8>,
    /// What is in its place.
    before: Option<Vec<u8>>,
    /// Where variables are, what is written there and what was; `None` for an image.
    boot: Option<(PathBuf, Change, Variables)>,
    /// Where the file goes.
    place: [&'static str; 3],
}

/// How to reach the partition.
#[derive(Clone)]
enum Esp {
    /// It is mounted there.
    Mounted(PathBuf),
    /// Bytes of an image or a partition's own device.
    Bytes { path: PathBuf, start: u64, len: u64 },
}

/// How to take an installation back.
pub(super) struct Undo {
    esp: Esp,
    place: [&'static str; 3],
    before: Option<Vec<u8>>,
    boot: Option<(PathBuf, Change, Variables)>,
}

impl Uefi {
    pub(super) fn prepare(
        disk: &Disk,
        settings: &Settings,
        replace: bool,
        variables: &Path,
    ) -> Result<Self, Failure> {
        let (esp, partition) = find(disk)?;
        let application = efi::emit(&settings.text, settings.wait)?;
        let place = place(disk);
        let before = spared(&esp, place, replace)?;
        if disk.facts().kind == Kind::Image {
            return Ok(Self {
                esp,
                application,
                before,
                boot: None,
                place,
            });
        }
        let found = live::variables(variables).map_err(|error| {
            Failure::Refused(format!(
                "no UEFI variables in {}: {error}; boot this machine by UEFI and mount efivarfs, or leave \
                 --efi and --both out",
                variables.display(),
            ))
        })?;
        match live::secure_boot(variables).ok().flatten() {
            Some(true) => {
                let words = "Secure Boot is on: this firmware will not start the application, which is \
                             not signed; turn it off, or sign the file with sbsign and your own key";
                return Err(Failure::Refused(words.to_owned()));
            }
            Some(false) => show::note("Secure Boot is off"),
            None => show::note("whether Secure Boot is on is not known"),
        }
        let change = boot_order::put_last(&found, &efi::option(Some(&partition)))
            .map_err(|error| Failure::Refused(format!("{}: {error}", variables.display())))?;
        let boot = Some((variables.to_owned(), change, found));
        Ok(Self {
            esp,
            application,
            before,
            boot,
            place,
        })
    }

    pub(super) fn describe(&self) -> String {
        let mut text = format!(
            "EFI application: {} bytes to {}\n",
            self.application.len(),
            self.place.join("/")
        );
        if let Some((_, change, _)) = &self.boot {
            let number = change.number;
            text += &match (&change.option, &change.order) {
                (None, None) => format!("Boot{number:04X} is last in the boot order already\n"),
                _ => format!("Boot{number:04X} is written and comes last in the boot order\n"),
            };
        }
        text
    }

    /// File first, then option, then order: the firmware never sees an option without its file.
    pub(super) fn install(self) -> Result<Undo, Failure> {
        let undo = Undo {
            esp: self.esp.clone(),
            place: self.place,
            before: self.before,
            boot: self.boot.clone(),
        };
        let put = self.esp.put(&self.place, &self.application);
        let put = put.map_err(|error| format!("cannot write to the EFI system partition: {error}"));
        let done = put.and_then(|()| match &self.boot {
            Some((directory, change, _)) => live::write(directory, change)
                .map_err(|error| format!("the firmware does not take the boot option: {error}")),
            None => Ok(()),
        });
        match done {
            Ok(()) => Ok(undo),
            Err(words) => {
                undo.run()?;
                Err(Failure::Failed(format!("{words}; nothing was installed")))
            }
        }
    }
}

impl Undo {
    /// Boot order, option and file as they were before.
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Some((directory, change, found)) = &self.boot {
            let (number, order) = (change.number, found.order.clone());
            let taken_back = match found.options.get(&number).cloned() {
                None => live::remove(directory, number, &order),
                old => live::write(
                    directory,
                    &Change {
                        number,
                        option: old,
                        order: Some(order),
                    },
                ),
            };
            if let Err(error) = taken_back.or_else(absent_is_well) {
                show::note(&format!(
                    "Boot{number:04X} may have stayed: {error}; see efibootmgr"
                ));
            }
        }
        let undone = match self.before {
            Some(before) => self.esp.put(&self.place, &before),
            None => self.esp.remove(&self.place),
        };
        undone.or_else(absent_is_well).map_err(|error| {
            Failure::Failed(format!(
                "cannot take {} off the EFI system partition again: {error}; remove it by hand",
                self.place.join("/"),
            ))
        })
    }
}

fn absent_is_well(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// What is in the place of the application, unless that is a program of others that is to be spared.
fn spared(esp: &Esp, place: [&str; 3], replace: bool) -> Result<Option<Vec<u8>>, Failure> {
    let name = place.join("/");
    let file = match esp.read(&place) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::Failed(format!(
                "cannot read {name} on the EFI system partition: {error}; nothing was installed"
            )));
        }
    };
    if Application::identify(Some(&file)) == Application::Unknown {
        if !replace {
            return Err(Failure::Refused(format!(
                "{name} on the EFI system partition is another program, which no backup would hold; \
                 keep a copy if it is needed, and install with --replace, or take another disk"
            )));
        }
        if file.len() as u64 >= esp::FILE_BYTES_MAX {
            return Err(Failure::Refused(format!(
                "{name} on the EFI system partition is another program, too long to be put back if the \
                 installation fails; move it away"
            )));
        }
        show::note(&format!("replaces: another program in {name}"));
    }
    Ok(Some(file))
}

/// Where the file goes: a boot option names it, but an image has none.
fn place(disk: &Disk) -> [&'static str; 3] {
    if disk.facts().kind == Kind::Image {
        efi::FALLBACK
    } else {
        efi::PLACE
    }
}

/// Takes option and file away, but no file of others.
pub(super) fn remove(disk: &Disk, variables: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("cannot remove the EFI part: {error}"));
    let (esp, partition) = find(disk)?;
    if disk.facts().kind != Kind::Image {
        let found = live::variables(variables).map_err(failed)?;
        if let Some((number, order)) = boot_order::take_out(&found, &efi::option(Some(&partition)))
        {
            live::remove(variables, number, &order).map_err(failed)?;
        }
    }
    let place = place(disk);
    let file = esp.read(&place).map_err(failed)?;
    if Application::identify(Some(&file)) == Application::Unknown {
        show::note(&format!(
            "{} is another program, and stays",
            place.join("/")
        ));
        return Ok(());
    }
    esp.remove(&place).map_err(failed)?;
    show::out("removed the EFI application\n");
    Ok(())
}

/// What the EFI system partition and, on the machine itself, the boot order hold of ours.
pub(super) fn look(disk: &Disk, variables: &Path) -> Option<Found> {
    let (esp, partition) = find(disk).ok()?;
    let file = esp.read(&place(disk)).ok();
    let read = || Ok::<_, io::Error>((live::variables(variables)?, live::secure_boot(variables)?));
    let read = (disk.facts().kind != Kind::Image).then(read);
    let firmware = match &read {
        None => Firmware::Elsewhere,
        Some(Err(_)) => Firmware::Unreadable,
        Some(Ok((variables, secure_boot))) => Firmware::Here {
            variables,
            secure_boot: *secure_boot,
            partition: &partition,
        },
    };
    Some(Found::judge(file.as_deref(), firmware))
}

fn find(disk: &Disk) -> Result<(Esp, Partition), Failure> {
    let name = disk.path().display();
    let (_, partitions) =
        gpt_of_disk(disk).map_err(|error| Failure::Refused(format!("{name}: {error}")))?;
    let found = partitions
        .into_iter()
        .find(|partition| partition.kind == gpt::EFI_SYSTEM);
    let words = || {
        Failure::Refused(format!(
            "{name}: there is no EFI system partition; make one with sgdisk"
        ))
    };
    let partition = found.ok_or_else(words)?;
    let sector = u64::from(disk.facts().sector_bytes);
    let len = partition.sectors().saturating_mul(sector);
    let start = partition.first.saturating_mul(sector);
    if disk.facts().kind == Kind::Image {
        return Ok((
            Esp::Bytes {
                path: disk.path().to_owned(),
                start,
                len,
            },
            partition,
        ));
    }
    let disk_name = &disk.facts().name;
    let between = if disk_name.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    let part = format!("{disk_name}{between}{}", partition.number);
    let mounted = disk.facts().uses.iter().find_map(|user| match &user.kind {
        UseKind::Mount(place) if user.on == part => Some(PathBuf::from(place)),
        _ => None,
    });
    let path = Path::new("/dev").join(&part);
    Ok((
        mounted.map_or(
            Esp::Bytes {
                path,
                start: 0,
                len,
            },
            Esp::Mounted,
        ),
        partition,
    ))
}

impl Esp {
    fn slice(&self, path: &Path, start: u64, len: u64) -> io::Result<esp::Slice> {
        Ok(esp::Slice::new(
            File::options()
                .read(true)
                .write(true)
                // Nobody else may have the partition mounted, in another namespace for one.
                .custom_flags(OFlags::EXCL.bits().cast_signed())
                .open(path)?,
            start,
            len,
        ))
    }

    fn put(&self, place: &[&str; 3], bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Mounted(root) => esp::put_in_directory(root, place, bytes),
            Self::Bytes { path, start, len } => {
                esp::put_in_slice(self.slice(path, *start, *len)?, place, bytes)
            }
        }
    }

    fn read(&self, place: &[&str; 3]) -> io::Result<Vec<u8>> {
        match self {
            Self::Mounted(root) => esp::read_from_directory(root, place),
            Self::Bytes { path, start, len } => {
                let slice = esp::Slice::new(File::open(path)?, *start, *len);
                esp::read_from_slice(slice, place)
            }
        }
    }

    fn remove(&self, place: &[&str; 3]) -> io::Result<()> {
        match self {
            Self::Mounted(root) => fs::remove_file(esp::path_below(root, place)),
            Self::Bytes { path, start, len } => {
                esp::remove_from_slice(self.slice(path, *start, *len)?, place)
            }
        }
    }
}
