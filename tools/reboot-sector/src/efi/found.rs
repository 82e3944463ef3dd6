//! What an EFI system partition and the boot order hold of ours, judged for `inspect` and `verify`. Pure:
//! bytes and variables in, a finding out; whoever calls it reads them.

use serde::Serialize;

use super::{MAGIC_ANY, emit, option, read};
use crate::firmware::boot_option::LoadOption;
use crate::firmware::boot_order::{self, Variables};
use crate::table::gpt::Partition;

/// What is at the place of our application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Application {
    /// Ours, of this version, whole.
    Ours,
    /// Ours, but with other instructions: another version.
    OursOld,
    /// Ours, but its settings are damaged.
    OursDamaged,
    /// Something else.
    Unknown,
    /// Nothing, or an empty file, as a write that was cut short leaves it.
    None,
}

impl Application {
    /// Names a file, or the lack of one.
    pub fn identify(file: Option<&[u8]>) -> Self {
        let Some(file) = file.filter(|file| !file.is_empty()) else {
            return Self::None;
        };
        if !file
            .windows(MAGIC_ANY.len())
            .any(|window| window == MAGIC_ANY)
        {
            return Self::Unknown;
        }
        match read(file) {
            Some((text, wait)) if emit(&text, wait).is_ok_and(|ours| ours == file) => Self::Ours,
            Some(_) => Self::OursOld,
            // Another version may have its settings elsewhere.
            None if file.windows(8).any(|window| window == super::MAGIC) => Self::OursDamaged,
            None => Self::OursOld,
        }
    }
}

/// What is known of the firmware that shall start the file.
#[derive(Clone, Copy, Debug)]
pub enum Firmware<'a> {
    /// It is another machine's: the variables of this one say nothing of an image.
    Elsewhere,
    /// Its variables cannot be read.
    Unreadable,
    /// It is this machine's.
    Here {
        /// Its boot options and their order.
        variables: &'a Variables,
        /// It starts signed programs only; `None` where that is not known.
        secure_boot: Option<bool>,
        /// Where the file is.
        partition: &'a Partition,
    },
}

/// The EFI part of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What the file is.
    pub application: Application,
    /// Ours: seconds until the reset, jitter among them.
    pub wait_seconds: Option<u16>,
    /// Ours: this node's share of the jitter.
    pub jitter_seconds: Option<u16>,
    /// Ours: what the console says behind the seconds.
    pub text: Option<String>,
    /// The firmware's variables could be read; `None` on an image.
    pub variables_readable: Option<bool>,
    /// The boot option that names it, such as `Boot0003`; `None` where there is none, and on an image.
    pub boot_option: Option<String>,
    /// The firmware may try that option; `None` where there is none.
    pub active: Option<bool>,
    /// That option names the partition that is there, not one that was; `None` where there is none.
    pub names_partition: Option<bool>,
    /// That option is the last in the boot order; `None` where no boot order can be read.
    pub last: Option<bool>,
    /// That option is the only one in the boot order, so the first as well.
    pub alone: Option<bool>,
    /// The firmware starts signed programs only; `None` where that is not known.
    pub secure_boot: Option<bool>,
}

impl Found {
    /// Judges the file and, on the machine itself, its variables.
    pub fn judge(file: Option<&[u8]>, firmware: Firmware<'_>) -> Self {
        let settings = file.and_then(read);
        let found = Self {
            application: Application::identify(file),
            wait_seconds: settings.as_ref().map(|(_, wait)| wait.total_seconds()),
            jitter_seconds: settings.as_ref().map(|(_, wait)| wait.jitter_seconds()),
            text: settings.map(|(text, _)| text.as_str().to_owned()),
            variables_readable: None,
            boot_option: None,
            active: None,
            names_partition: None,
            last: None,
            alone: None,
            secure_boot: None,
        };
        let (variables, secure_boot, partition) = match firmware {
            Firmware::Elsewhere => return found,
            Firmware::Unreadable => {
                return Self {
                    variables_readable: Some(false),
                    ..found
                };
            }
            Firmware::Here {
                variables,
                secure_boot,
                partition,
            } => (variables, secure_boot, partition),
        };
        let wanted = option(Some(partition));
        let number = boot_order::find(variables, &wanted);
        let bytes = number.and_then(|number| variables.options.get(&number));
        let option = bytes.and_then(|bytes| LoadOption::read(bytes));
        let first = variables
            .order
            .iter()
            .position(|other| Some(*other) == number);
        let is_last = first.is_some_and(|first| first + 1 == variables.order.len());
        Self {
            variables_readable: Some(true),
            boot_option: number.map(|number| format!("Boot{number:04X}")),
            active: option.as_ref().map(|option| option.active),
            names_partition: option.map(|option| option.names_partition_of(&wanted)),
            last: Some(is_last),
            alone: Some(is_last && first == Some(0)),
            secure_boot,
            ..found
        }
    }

    /// Where the firmware has it, in words.
    pub fn place(&self) -> String {
        match (&self.boot_option, self.last) {
            (Some(option), Some(true)) => format!("{option}, last in the boot order"),
            (Some(option), _) => format!("{option}, not last in the boot order"),
            (None, Some(_)) => "no boot option".to_owned(),
            (None, None) => "no boot order to look at".to_owned(),
        }
    }

    /// Why the firmware would not start it, or not as the last; empty when nothing speaks against it.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let application = match self.application {
            Application::Ours => None,
            Application::OursOld => Some("the EFI application is of another version"),
            Application::OursDamaged => Some("the EFI application is damaged"),
            Application::Unknown => Some("another program is in the place of the EFI application"),
            Application::None => Some("the EFI application is not there"),
        };
        let order = match (&self.boot_option, self.last) {
            _ if self.variables_readable == Some(false) => Some(
                "the firmware's variables cannot be read: boot this machine by UEFI and mount efivarfs",
            ),
            (None, Some(_)) => Some("no boot option names the EFI application"),
            (Some(_), Some(false)) => Some("its boot option is not the last in the boot order"),
            _ if self.alone == Some(true) => {
                Some("its boot option is alone in the boot order, so it comes before the network")
            }
            _ => None,
        };
        let active = self.active == Some(false);
        let active = active.then_some("its boot option is not active: the firmware passes it over");
        let drive = self.names_partition == Some(false);
        let drive = drive.then_some("its boot option names another partition; install again");
        let secure = self.secure_boot == Some(true);
        let secure = secure.then_some("Secure Boot is on: it starts signed programs only");
        doubts.extend(
            [application, order, active, drive, secure]
                .into_iter()
                .flatten(),
        );
        doubts.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sector::{Text, Wait};
    use crate::table::gpt::{EFI_SYSTEM, Guid};

    fn file() -> Vec<u8> {
        emit(&Text::default(), Wait::new(30, 7).unwrap()).unwrap()
    }

    #[test]
    fn files_are_told_apart() {
        let ours = file();
        let settings = ours
            .windows(8)
            .position(|eight| eight == *b"RbSeEFI1")
            .unwrap();
        let (mut old, mut damaged, mut newer) = (ours.clone(), ours.clone(), ours.clone());
        old[100] ^= 1;
        damaged[settings + 8] ^= 1;
        newer[settings + 7] = b'2';
        for (file, expected) in [
            (Some(&ours[..]), Application::Ours),
            (Some(&old), Application::OursOld),
            (Some(&newer), Application::OursOld),
            (Some(&damaged), Application::OursDamaged),
            (Some(b"MZ"), Application::Unknown),
            (Some(b""), Application::None),
            (None, Application::None),
        ] {
            assert_eq!(Application::identify(file), expected);
            assert_eq!(
                Found::judge(file, Firmware::Elsewhere).doubts().is_empty(),
                expected == Application::Ours
            );
        }
    }

    fn partition(unique: u8) -> Partition {
        Partition {
            number: 1,
            kind: EFI_SYSTEM,
            unique: Guid([unique; 16]),
            first: 2048,
            last: 4095,
        }
    }

    fn judge(order: &[u16], options: &[(u16, LoadOption)], secure_boot: Option<bool>) -> Found {
        let options = options.iter().map(|(at, option)| (*at, option.emit()));
        let variables = Variables {
            order: order.to_vec(),
            options: options.collect(),
        };
        let firmware = Firmware::Here {
            variables: &variables,
            secure_boot,
            partition: &partition(1),
        };
        Found::judge(Some(&file()), firmware)
    }

    #[test]
    fn the_boot_order_is_judged_with_it() {
        let ours = option(Some(&partition(1)));
        let judge = |order: &[u16], numbers: &[u16]| {
            let options: Vec<_> = numbers.iter().map(|at| (*at, ours.clone())).collect();
            let found = judge(order, &options, None);
            (found.boot_option.clone(), found.last, found.doubts().len())
        };
        assert_eq!(
            judge(&[1, 3], &[3]),
            (Some("Boot0003".into()), Some(true), 0)
        );
        assert_eq!(
            judge(&[3, 1], &[3]),
            (Some("Boot0003".into()), Some(false), 1)
        );
        assert_eq!(
            judge(&[3, 1, 3], &[3]),
            (Some("Boot0003".into()), Some(false), 1)
        );
        assert_eq!(judge(&[3], &[3]), (Some("Boot0003".into()), Some(true), 1));
        assert_eq!(judge(&[1], &[3]), (Some("Boot0003".into()), Some(false), 1));
        assert_eq!(judge(&[1], &[]), (None, Some(false), 1));
    }

    #[test]
    fn an_option_that_the_firmware_does_not_start_is_doubted() {
        let ours = option(Some(&partition(1)));
        let inactive = LoadOption {
            active: false,
            ..ours.clone()
        };
        let doubts = |option: LoadOption, secure_boot| {
            judge(&[1, 3], &[(3, option)], secure_boot)
                .doubts()
                .join(";")
        };
        assert_eq!(doubts(ours.clone(), Some(false)), "");
        assert!(doubts(ours.clone(), Some(true)).contains("Secure Boot"));
        assert!(doubts(inactive, None).contains("not active"));
        for other in [None, Some(&partition(2))] {
            assert!(doubts(option(other), None).contains("another partition"));
        }
        // One of a partition that is gone does no harm beside the right one.
        let both = [(2, option(Some(&partition(2)))), (3, ours)];
        assert!(judge(&[1, 2, 3], &both, None).doubts().is_empty());
    }

    #[test]
    fn variables_that_cannot_be_read_are_a_doubt_but_not_for_an_image() {
        let doubts = |firmware| Found::judge(Some(&file()), firmware).doubts().join(";");
        assert!(doubts(Firmware::Unreadable).contains("variables cannot be read"));
        assert_eq!(doubts(Firmware::Elsewhere), "");
    }

    proptest! {
        #[test]
        fn any_file_is_borne(noise in prop::collection::vec(any::<u8>(), 0..300), marked: bool) {
            let file = if marked { [&b"RbSeEFI1"[..], &noise].concat() } else { noise };
            let variables = Variables { order: vec![1], options: [(1, file.clone())].into() };
            let (secure_boot, partition) = (None, &partition(1));
            let firmware = Firmware::Here { variables: &variables, secure_boot, partition };
            let _any = Found::judge(Some(&file), firmware);
        }
    }
}
