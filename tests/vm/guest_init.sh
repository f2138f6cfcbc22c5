#!/bin/busybox sh
# First program of the guest: makes the host's file system, read-only under a throw-away overlay, its own root, mounts
# the writable folder /out, and goes on with /out/boot.sh.
box=/bin/busybox
give_up() { echo "rtmatte-vm: $*"; $box poweroff -f; }

$box mount -t proc proc /proc
$box mount -t sysfs sys /sys
$box mount -t devtmpfs dev /dev
for module in $($box cat /lib/order); do
    $box insmod "/lib/$module" || give_up "could not load $module"
done

share=trans=virtio,version=9p2000.L,msize=512000
$box mount -t 9p -o $share,ro,cache=loose root /ro || give_up "no root file system"
$box mount -t tmpfs -o size=60% tmpfs /rw
$box mkdir /rw/upper /rw/work
$box mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new || give_up "no overlay"
$box mkdir -p /new/out /new/proc /new/sys /new/dev
$box mount -t 9p -o $share out /new/out || give_up "no /out"
for folder in proc sys dev; do $box mount -o move /$folder /new/$folder; done
exec $box switch_root /new /bin/sh /out/boot.sh
