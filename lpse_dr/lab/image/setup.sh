#!/bin/sh
# Runs inside the new root file system while the image is built; the wheels of our dependencies lie in /opt/lpse-dr/wheels.
set -eu

# Accounts with fixed numbers, so that overlays can name owners without asking the image.
groupadd --gid 5001 lpse-dr
useradd --uid 5001 --gid 5001 --create-home --shell /bin/bash lpse-dr
groupadd --gid 5002 appserv
useradd --uid 5002 --gid 5002 --create-home --shell /usr/sbin/nologin appserv
groupadd --gid 5003 lpse-dr-files
# The file stream only reads: membership of the owner's group is enough, and write permission is never given to it.
useradd --uid 5003 --gid 5003 --groups appserv --create-home --shell /bin/sh lpse-dr-files
# What comes out of a backup is looked at, and started, as somebody who may do nothing.
groupadd --gid 5004 lpse-dr-quarantine
useradd --uid 5004 --gid 5004 --home-dir /var/lib/lpse-dr/quarantine --no-create-home --shell /usr/sbin/nologin lpse-dr-quarantine
passwd --quiet --lock root
install -d -m 0755 /var/lib/lpse-dr /etc/lpse-dr /opt/spse /opt/lpse-lab /etc/spse
install -d -m 0750 -o appserv -g appserv /home/file /home/file/file_prod
chmod 0755 /home/file

# Nothing starts by itself; each host's overlay enables what it runs.
for unit in ssh haproxy knot postgresql nftables cron rsync dnsmasq clamav-daemon clamav-freshclam systemd-networkd systemd-resolved systemd-timesyncd \
    e2scrub_reap remote-fs.target machines.target; do
    systemctl disable --quiet "$unit" 2>/dev/null || true
done
# Units without a meaning in a container: they cost boot time and memory, or fail.
# No host reaches the internet; signatures are the tests' own. Newer packages fetch them by units of another name.
systemctl mask --quiet clamav-freshclam.service clamav-freshclam-once.service clamav-freshclam-once.timer
systemctl mask --quiet getty.target console-getty.service getty@.service serial-getty@.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    systemd-logind.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service \
    systemd-journal-flush.service systemd-pstore.service systemd-network-generator.service \
    systemd-firstboot.service systemd-machine-id-commit.service systemd-boot-system-token.service systemd-binfmt.service \
    systemd-hwdb-update.service systemd-ask-password-console.path systemd-ask-password-wall.path \
    ldconfig.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
    modprobe@.service kmod-static-nodes.service tmp.mount \
    apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer motd-news.timer systemd-tmpfiles-clean.timer \
    logrotate.timer systemd-pcrphase.service systemd-pcrphase-sysinit.service
systemctl set-default --quiet multi-user.target

# The log of a host lives as long as the host runs, and stays small.
install -d /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\nForwardToSyslog=no\nAudit=no\n' >/etc/systemd/journald.conf.d/lab.conf
# A host that is told to stop has ten seconds; the lab goes down in fifteen.
install -d /etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=10s\nShowStatus=no\n' >/etc/systemd/system.conf.d/lab.conf

# Nothing of the kind runs at a login here: each SSH login costs 0.1 s less. Host keys come with each lab.
rm -f /etc/ssh/ssh_host_*
sed -i '/pam_motd/d;/pam_mail/d;/pam_systemd/d' /etc/pam.d/sshd /etc/pam.d/common-session
printf 'lpse-dr ALL=(ALL:ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/lpse-dr
chmod 0440 /etc/sudoers.d/lpse-dr

# What the jump hosts' venv needs is the same for every lab; the package itself is added when a lab starts.
python3 -m venv /opt/lpse-dr/venv
/opt/lpse-dr/venv/bin/pip install --quiet --no-index --no-compile --find-links /opt/lpse-dr/wheels \
    ansible-core ansible-runner jinja2 pyyaml
/opt/lpse-dr/venv/bin/python -m compileall -q /opt/lpse-dr/venv/lib/python3*/site-packages/ansible \
    /opt/lpse-dr/venv/lib/python3*/site-packages/ansible_runner >/dev/null || true
rm -rf /opt/lpse-dr/wheels

# What only a person at a keyboard would miss.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* /usr/share/man/* /usr/share/info/* /var/log/*.log
: >/etc/machine-id
