//! The order of reset methods for one machine, from how Linux itself resets it: the kernel knows boards on
//! which the usual way fails. Pure; `--probe` asks for it.

use crate::sector::{DEFAULT_ORDER, MethodName};

/// The default order, with the way that Linux takes on this machine moved to its front. `linux` is the
/// contents of `/sys/kernel/reboot/type` (Documentation/ABI/testing/sysfs-kernel-reboot). `efi`, which no
/// boot sector can do, and words that are not known change nothing.
pub fn for_linux(linux: &str) -> Vec<MethodName> {
    let front = match linux {
        "acpi" => MethodName::Acpi,
        "bios" => MethodName::Jump,
        "kbd" => MethodName::Keyboard,
        "triple" => MethodName::Triple,
        "cf9_force" | "cf9_safe" => MethodName::Cf9,
        _ => return DEFAULT_ORDER.to_vec(),
    };
    let mut order = DEFAULT_ORDER.to_vec();
    if let Some(at) = order.iter().position(|name| *name == front) {
        order.remove(at);
        order.insert(0, front);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{Chain, ResetPort};

    #[test]
    fn the_way_of_linux_comes_first_and_none_is_lost() {
        let register = ResetPort {
            port: 0xcf9,
            value: 6,
        };
        for (linux, first) in [
            ("acpi", MethodName::Acpi),
            ("bios", MethodName::Jump),
            ("kbd", MethodName::Keyboard),
            ("triple", MethodName::Triple),
            ("cf9_force", MethodName::Cf9),
            ("cf9_safe", MethodName::Cf9),
            ("efi", MethodName::Acpi),
            ("?", MethodName::Acpi),
        ] {
            let order = for_linux(linux);
            assert_eq!(order[0], first, "{linux}");
            assert_eq!(order.len(), DEFAULT_ORDER.len());
            assert!(DEFAULT_ORDER.iter().all(|name| order.contains(name)));
            assert!(Chain::from_names(&order, Some(register)).is_ok());
        }
    }
}
