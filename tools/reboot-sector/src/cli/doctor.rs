//! What no boot sector can do for the user: settings of the firmware, and the nodes that boot but fail
//! later. Text only.

/// Printed after an installation.
pub(crate) const SHORT: &str =
    "set the network first and this disk last in the boot order; see `reboot-sector doctor`";

/// The whole of it; the README says the same.
pub(crate) const TEXT: &str = "\
Firmware settings that make the sector unnecessary
  Dell: Boot Sequence Retry. Intel: Boot Option Retry. Supermicro: Re-try Boot. HPE: Network Boot Retry.
  Where there is one, turn it on; the sector is for boards without.

Firmware settings that it needs
  Boot order: network first, this disk last. No other bootable device between or behind.
  Restore on AC loss: on, or a node stays off after a power cut.
  UEFI: turn unused network entries off (IPv6, HTTP); each costs a minute or more before the next try.
  UEFI: Secure Boot starts signed programs only; sign the application, or turn it off.

Firmware settings that can harm
  Fujitsu, boot retry counter: powers the server off when it reaches 0. Turn it off.
  Lenovo, POST attempts limit, Nx-boot failure: loads factory defaults after some failed boots in a row,
  which may lose the boot order. Turn it off. Keep --delay at 30s or more on all such boards.

The other half: the network boot worked, what follows fails
  Kernel command line: panic=30
  dracut: rd.shell=0 rd.emergency=reboot
  systemd: RuntimeWatchdogSec=60 in system.conf
  pxelinux: TOTALTIMEOUT and ONTIMEOUT; every entry should end in a boot or a restart

iPXE can try again by itself, without a restart, and restart in the end:
  #!ipxe
  set tries:int32 0
  :retry
  inc tries
  ifclose ||
  dhcp && isset ${filename} && chain --autofree ${filename} ||
  iseq ${tries} 10 && reboot ||
  sleep 5
  goto retry
";
