//! Where the demo keeps its dataset and the copies: a private folder on a file system with room for them,
//! gone when the demo is over.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::error::{CommandError, say};
use super::super::size::show_bytes;
use super::dataset::SMALL_FILES;

/// Memory rather than a disk, where there is enough: the demo is about the copy.
const MEMORY: &str = "/dev/shm";

/// What a file may take besides its bytes: the rest of its last page.
const FILE_SLACK: u64 = 4096;

const MIB: u64 = 1 << 20;

/// What is left to others of the file system.
const MARGIN: u64 = 16 * MIB;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    /// A folder with room for a dataset of `size` bytes and a copy of it for each of `nodes`.
    ///
    /// # Errors
    ///
    /// When there is no such place; says what is needed and what would fit.
    pub(super) fn new(size: u64, nodes: u16) -> Result<Self, CommandError> {
        let room = Room { size, nodes };
        let bases = [PathBuf::from(MEMORY), std::env::temp_dir()];
        let chosen = room.choose(&bases, free_bytes, make_private)?;
        if !chosen.passed_over.is_empty() {
            let path = chosen.path.display();
            say(format_args!("using {path}: {}", chosen.passed_over));
        }
        Ok(Self { path: chosen.path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            say(format_args!("note: {path} is left over: {error}"));
        }
    }
}

/// What the demo needs.
struct Room {
    size: u64,
    nodes: u16,
}

struct Chosen {
    path: PathBuf,
    /// Why the places that come before it were not taken; empty when it is the first.
    passed_over: String,
}

impl Room {
    fn trees(&self) -> u64 {
        u64::from(self.nodes) + 1
    }

    /// What is needed whatever the size of the dataset.
    fn overhead(&self) -> u64 {
        MARGIN + self.trees() * FILE_SLACK * (SMALL_FILES as u64 + 16)
    }

    fn needed(&self) -> u64 {
        (self.size.saturating_mul(self.trees())).saturating_add(self.overhead())
    }

    /// Makes a folder in the first of `bases` with room enough.
    fn choose(
        &self,
        bases: &[PathBuf],
        free_bytes: impl Fn(&Path) -> io::Result<u64>,
        make: impl Fn(&Path) -> io::Result<PathBuf>,
    ) -> Result<Chosen, CommandError> {
        let mut obstacles = Vec::new();
        let mut free_most = 0;
        for base in bases {
            let obstacle = match free_bytes(base) {
                Ok(free) if free >= self.needed() => match make(base) {
                    Ok(path) => {
                        return Ok(Chosen {
                            path,
                            passed_over: obstacles.join(", "),
                        });
                    }
                    Err(error) => format!("cannot make a folder in {}: {error}", base.display()),
                },
                Ok(free) => {
                    free_most = free_most.max(free);
                    format!("{} has {} free", base.display(), show_bytes(free))
                }
                Err(error) => format!("{}: {error}", base.display()),
            };
            obstacles.push(obstacle);
        }
        let error = CommandError::failed(format_args!(
            "the demo needs {}, {} for the dataset and each of {} copies; {}",
            show_bytes(self.needed()),
            show_bytes(self.size),
            self.nodes,
            obstacles.join(", ")
        ));
        Err(error.with_hint(self.advice(free_most)))
    }

    /// What to ask for where `free` bytes are the most there is.
    fn advice(&self, free: u64) -> String {
        let fits = free.saturating_sub(self.overhead()) / self.trees() / MIB;
        if fits > 0 && fits * MIB < self.size {
            format!(
                "ask for less with --size, such as --size {fits}MiB, or name a folder in TMPDIR"
            )
        } else {
            "ask for less with --size or --nodes, or name a folder with more room in TMPDIR".into()
        }
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// A new folder in `base` that nobody else may look into.
fn make_private(base: &Path) -> io::Result<PathBuf> {
    let own = format!("grappe-demo-{}", std::process::id());
    // A demo that was killed may have left one of this number, which comes again after a while.
    let names = std::iter::once(own.clone()).chain((2..100).map(|again| format!("{own}-{again}")));
    let mut result = Err(io::ErrorKind::AlreadyExists.into());
    for name in names {
        let path = base.join(name);
        result = DirBuilder::new().mode(0o700).create(&path).map(|()| path);
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn chosen(size: u64, free: [u64; 2]) -> Result<(PathBuf, String), CommandError> {
        let bases = ["/first", "/second"].map(PathBuf::from);
        let free_bytes = |base: &Path| Ok(free[usize::from(base == Path::new("/second"))]);
        Room { size, nodes: 4 }
            .choose(&bases, free_bytes, |base| Ok(base.join("demo")))
            .map(|chosen| (chosen.path, chosen.passed_over))
    }

    #[test]
    fn the_first_place_with_room_for_all_copies_is_taken() {
        let (path, passed_over) = chosen(256 << 20, [2 * GIB, 9 * GIB]).unwrap();
        assert_eq!(path, Path::new("/first/demo"));
        assert_eq!(passed_over, "");
        let (path, passed_over) = chosen(256 << 20, [64 << 20, 2 * GIB]).unwrap();
        assert_eq!(path, Path::new("/second/demo"));
        assert_eq!(passed_over, "/first has 67.1 MB free");
        let just_the_bytes = 5 * (256 << 20);
        assert!(chosen(256 << 20, [just_the_bytes, just_the_bytes]).is_err());
    }

    #[test]
    fn without_room_it_says_what_is_needed_and_a_size_that_fits() {
        let error = chosen(256 << 20, [64 << 20, 100 << 20]).unwrap_err();
        let said = format!("{error:?}");
        assert!(said.contains("the demo needs 1.4 GB"), "{said}");
        assert!(said.contains("/first has 67.1 MB free"), "{said}");
        let advice = Room {
            size: 256 << 20,
            nodes: 4,
        }
        .advice(100 << 20);
        assert!(advice.contains("--size 15MiB"), "{advice}");
        assert!(chosen(15 << 20, [0, 100 << 20]).is_ok());
        let nothing = format!("{:?}", chosen(u64::MAX, [0, 0]).unwrap_err());
        assert!(nothing.contains("--size or --nodes"), "{nothing}");
    }

    #[test]
    fn a_place_that_cannot_be_used_is_passed_over() {
        let bases = ["/first", "/second"].map(PathBuf::from);
        let make = |base: &Path| {
            if base == Path::new("/first") {
                Err(io::ErrorKind::PermissionDenied.into())
            } else {
                Ok(base.join("demo"))
            }
        };
        let room = Room { size: 1, nodes: 1 };
        let chosen = room.choose(&bases, |_| Ok(GIB), make).unwrap();
        assert_eq!(chosen.path, Path::new("/second/demo"));
        assert!(chosen.passed_over.contains("permission denied"));
    }

    #[test]
    fn a_folder_that_is_there_already_is_not_taken() {
        let base = tempfile::tempdir().unwrap();
        let first = make_private(base.path()).unwrap();
        let second = make_private(base.path()).unwrap();
        assert_ne!(first, second);
    }
}
