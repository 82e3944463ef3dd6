#!/bin/busybox sh
# The first process of the guest: does what a user does on a node, and says on the serial line what came of
# it. `guest.rs` reads that; nothing is judged here.

export PATH=/bin LVM_SUPPRESS_FD_WARNINGS=1
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*; do insmod "$module"; done
mount -t efivarfs none /sys/firmware/efi/efivars
# There is no udev here to wait for.
cat >/etc/lvm/lvm.conf <<X
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 }
activation { udev_sync = 0 udev_rules = 0 verify_udev_operations = 0 }
global { event_activation = 0 use_lvmpolld = 0 }
X

# try NAME COMMAND...: what it prints, and its exit code
try() {
  name=$1
  shift
  echo "[$name"
  "$@" 2>&1
  echo "$name] $?"
}

# What Linux makes of a table, read anew: places, sizes, names.
partitions() {
  blockdev --rereadpt "/dev/$1"
  for part in /sys/block/"$1"/"$1"[0-9]; do
    echo "$(basename "$part") $(cat "$part/start") $(cat "$part/size")"
    blkid -p -s PART_ENTRY_UUID -s PART_ENTRY_TYPE "/dev/$(basename "$part")"
  done
}

for disk in mbr:vde hybrid:vdf gpt:vda; do
  device=${disk#*:}
  before=$(partitions "$device")
  try "${disk%:*}" reboot-sector install "/dev/$device" --delay 9s --backup "/backup-$device"
  echo "$before" | grep -q "${device}2" && [ "$before" = "$(partitions "$device")" ] && echo "same: $device"
done

lvm pvcreate -q -y /dev/vdb
lvm vgcreate -q whole /dev/vdb
lvm lvcreate -q -y -Wn -Zn -L 4M -n one whole
try lvm-active reboot-sector install /dev/vdb --backup /backup
lvm vgchange -q -an whole
try lvm-idle reboot-sector install /dev/vdb --backup /backup

mdadm --quiet --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.0 /dev/vdd missing
try md-active reboot-sector install /dev/vdd --backup /backup
mdadm --quiet --stop /dev/md0
try md-idle reboot-sector install /dev/vdd --backup /backup
mdadm --quiet --zero-superblock /dev/vdd
mdadm --quiet --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=0.90 /dev/vdd missing
mdadm --quiet --stop /dev/md0
try md-old reboot-sector install /dev/vdd --backup /backup

try large reboot-sector install /dev/vdc --backup /backup

# Every part of the disk is in use at once.
mkswap /dev/vda2 >/dev/null
swapon /dev/vda2
lvm pvcreate -q -y /dev/vda3
lvm vgcreate -q part /dev/vda3
lvm lvcreate -q -y -Wn -Zn -L 4M -n one part
mount -t vfat /dev/vda1 /esp
try wrong reboot-sector install /dev/vda --both --expect-serial DISK9999 --backup /backup
ln -s /dev/vda /by-id
try both reboot-sector install /by-id --both --delay 2s --expect-serial DISK0001 --probe --backup /backup-both
try again reboot-sector install /dev/vda --both --delay 2s --backup /backup-again
try inspect reboot-sector inspect --json /dev/vda
try verify reboot-sector verify /dev/vda
try verify-efi reboot-sector verify --efi /dev/vda
umount /esp
try verify-unmounted reboot-sector verify --efi /dev/vda

# Away and back again, this time with the partition not mounted.
try restore reboot-sector restore /dev/vda --efi --backup /backup-both
try gone reboot-sector verify --efi /dev/vda
try back reboot-sector install /dev/vda --both --delay 2s --backup /backup-back
try verify-back reboot-sector verify --efi /dev/vda

sync
poweroff -f
