# Sourced by the tests that need a whole machine: a Debian tree booted with its
# own systemd as PID 1, in namespaces of its own.
#
#   make_tree            unpacks a tree (made once by mmdebstrap) to $tree
#   boot_tree            boots it; $init is its PID 1 as seen from here
#   in_tree COMMAND...   runs a command inside
#   check TITLE COMMAND  runs a command, counts and tells whether it held

skip() { echo "$(basename "$0" .sh): skipped: $1"; exit 0; }
passed=0 failed=0 trees=() inits=()

need_namespaces() {
    [ "$(id -u)" -eq 0 ] || skip "only root can boot a tree of its own"
    unshare -m -p -f -u -C -n true 2>/dev/null || skip "namespaces are not to be had here"
    command -v mmdebstrap >/dev/null || scripts/need mmdebstrap
}

make_tree() {
    local cache=${TEST_INSTALL_CACHE:-build/install-tree.tar} suite
    mkdir -p build
    if [ ! -e "$cache" ]; then
        suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mmdebstrap --quiet --format=tar --variant=minbase --include=systemd,dbus,nginx-light,curl,procps,iproute2 "$suite" "$cache.new" >/dev/null
        mv "$cache.new" "$cache"
    fi
    tree=$(mktemp -d /tmp/sallyport-install.XXXXXX)
    trees+=("$tree")
    tar -C "$tree" -xf "$cache"
    ln -sf /dev/null "$tree/etc/systemd/system/systemd-resolved.service"
    echo sallyport-test >"$tree/etc/hostname"
    rm -f "$tree/etc/nginx/sites-enabled/default" # a link that leads out of the tree
}

# The root is pivoted to, not changed by chroot: a process in a chroot may make
# no user namespace, and PrivateUsers= would fail. PrivateDevices= wants ptmx.
boot_tree() {
    # shellcheck disable=SC2016
    unshare -m -p -f -u -C -n --kill-child sh -c '
        tree=$1
        mount --bind "$tree" "$tree"
        cd "$tree"
        mount -t proc proc proc; mount -t sysfs sys sys
        mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
        mount -t cgroup2 cgroup sys/fs/cgroup
        mount -t tmpfs -o mode=755 tmpfs dev
        node() { mknod -m 666 "dev/$1" c "$2" "$3" || { touch "dev/$1"; mount --bind "/dev/$1" "dev/$1"; }; }
        node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0; node ptmx 5 2
        mkdir dev/shm dev/pts dev/mqueue; ln -s /proc/self/fd dev/fd; mount -t devpts devpts dev/pts
        mkdir run/old; pivot_root . run/old; umount -l run/old
        exec env -i container=sallyport-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=no
    ' sh "$tree" >/dev/null 2>"$tree.log" &
    local outer=$!
    init=
    for _ in $(seq 300); do
        init=$(pgrep -P "$outer" | head -n 1 || true)
        [ -n "$init" ] && in_tree systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break
        sleep 0.2
    done
    [ -n "$init" ] || { echo "systemd did not come up in the tree"; cat "$tree.log"; exit 1; }
    inits+=("$init")
    in_tree ip link set lo up
}

in_tree() { nsenter -t "$init" -m -p -u -C -n -r -w env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }

cleanup_trees() {
    local it
    for it in "${inits[@]}"; do kill -9 "$it" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for it in "${trees[@]}"; do
        umount -R "$it" 2>/dev/null || true
        rm -rf "$it" "$it.log" "$it.out" "$it.rpm" "$it.site"
    done
}
trap cleanup_trees EXIT

check() {
    local title=$1
    shift
    if "$@" >"$tree.out" 2>&1; then
        passed=$((passed + 1)); echo "ok    $title"
    else
        failed=$((failed + 1)); echo "FAIL  $title"; sed 's/^/      /' "$tree.out" | tail -n 15
    fi
}

# packages_of VERSION FOLDER builds the packages unless they are newer than
# every source. gzip is quicker than xz, and nothing else differs.
packages_of() {
    if [ ! -e "$2/SHA256SUMS" ] || [ -n "$(find daemon packaging systemd nginx rules scripts/packages.sh go.mod README.md -newer "$2/SHA256SUMS" -type f -print -quit)" ]; then
        VERSION=$1 DIST=$2 COMPRESSION=gzip scripts/packages.sh >/dev/null
    fi
}
