//! What an EFI system partition and the boot order hold of ours, judged for `inspect` and `verify`. Pure:
//! bytes and variables in, a finding out; whoever calls it reads them.

use serde::Serialize;

use super::{MAGIC_ANY, emit, option, read};
use crate::firmware::boot_order::{self, Variables};

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
    /// The boot option that names it, such as `Boot0003`; `None` where there is none, and on an image.
    pub boot_option: Option<String>,
    /// That option is the last in the boot order; `None` where no boot order can be read.
    pub last: Option<bool>,
    /// The firmware starts signed programs only; `None` where that is not known.
    pub secure_boot: Option<bool>,
}

impl Found {
    /// Judges the file and, on the machine itself, its variables.
    pub fn judge(file: Option<&[u8]>, variables: Option<&Variables>) -> Self {
        let settings = file.and_then(read);
        let ours = variables.map(|variables| {
            let number = boot_order::find(variables, &option(None));
            (
                number,
                number.is_some() && variables.order.last() == number.as_ref(),
            )
        });
        Self {
            application: Application::identify(file),
            wait_seconds: settings.as_ref().map(|(_, wait)| wait.total_seconds()),
            jitter_seconds: settings.as_ref().map(|(_, wait)| wait.jitter_seconds()),
            text: settings.map(|(text, _)| text.as_str().to_owned()),
            boot_option: ours
                .and_then(|(number, _)| number)
                .map(|number| format!("Boot{number:04X}")),
            last: ours.map(|(_, last)| last),
            secure_boot: None,
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
            (None, Some(_)) => Some("no boot option names the EFI application"),
            (Some(_), Some(false)) => Some("its boot option is not the last in the boot order"),
            _ => None,
        };
        let secure = self.secure_boot == Some(true);
        let secure = secure.then_some("Secure Boot is on: it starts signed programs only");
        doubts.extend([application, order, secure].into_iter().flatten());
        doubts.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sector::{Text, Wait};

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
                Found::judge(file, None).doubts().is_empty(),
                expected == Application::Ours
            );
        }
    }

    #[test]
    fn the_boot_order_is_judged_with_it() {
        let bytes = option(None).emit();
        let variables = |order: &[u16], numbers: &[u16]| Variables {
            order: order.to_vec(),
            options: numbers
                .iter()
                .map(|number| (*number, bytes.clone()))
                .collect(),
        };
        let judge = |order: &[u16], numbers: &[u16]| {
            let found = Found::judge(Some(&file()), Some(&variables(order, numbers)));
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
        assert_eq!(judge(&[1], &[3]), (Some("Boot0003".into()), Some(false), 1));
        assert_eq!(judge(&[1], &[]), (None, Some(false), 1));
    }

    proptest! {
        #[test]
        fn any_file_is_borne(noise in prop::collection::vec(any::<u8>(), 0..300), marked: bool) {
            let file = if marked { [&b"RbSeEFI1"[..], &noise].concat() } else { noise };
            let _any = Found::judge(Some(&file), Some(&Variables::default()));
        }
    }
}
