#!/bin/bash
# A real install: a Debian tree, booted with its own systemd as PID 1 in
# namespaces of its own, in which the package is installed, set up, proven,
# reloaded, upgraded under load, crashed, removed and purged. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { echo "test-install: skipped: $1"; exit 0; }
[ "$(id -u)" -eq 0 ] || skip "only root can boot a tree of its own"
unshare -m -p -f -u -C true 2>/dev/null || skip "namespaces are not to be had here"
command -v mmdebstrap >/dev/null || scripts/need mmdebstrap
cache=${TEST_INSTALL_CACHE:-build/install-tree.tar}
mkdir -p build
[ -d dist ] && ls dist/*_0.1.0-*amd64.deb >/dev/null 2>&1 || VERSION=0.1.0 scripts/packages.sh >/dev/null
if [ ! -e "$cache" ]; then
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mmdebstrap --quiet --variant=minbase --include=systemd,dbus,nginx-light,curl,procps,iproute2 "$suite" "$cache" >/dev/null
fi
tree=$(mktemp -d /tmp/sallyport-install.XXXXXX)
init=
cleanup() {
    [ -z "$init" ] || kill -9 "$init" 2>/dev/null || true
    wait 2>/dev/null || true
    umount -R "$tree" 2>/dev/null || true
    rm -rf "$tree"
}
trap cleanup EXIT
tar -C "$tree" -xf "$cache"
cp dist/sallyport_0.1.0-*_amd64.deb "$tree/root/one.deb"
# The next version: the same daemon under another number.
if [ ! -e build/next.deb ]; then
    VERSION=0.2.0 DIST=build/next-dist scripts/packages.sh >/dev/null
    cp build/next-dist/sallyport_0.2.0-*_amd64.deb build/next.deb
fi
cp build/next.deb "$tree/root/two.deb"
cp build/demoapi "$tree/root/demoapi" 2>/dev/null || { scripts/go build -o build/demoapi ./daemon/cmd/demoapi; cp build/demoapi "$tree/root/demoapi"; }
ln -sf /dev/null "$tree/etc/systemd/system/systemd-resolved.service"
echo sallyport-test >"$tree/etc/hostname"

# shellcheck disable=SC2016
unshare -m -p -f -u -C -n --kill-child sh -c '
    tree=$1
    mount --bind "$tree" "$tree"
    cd "$tree"
    mount -t proc proc proc; mount -t sysfs sys sys
    mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
    mount -t cgroup2 cgroup sys/fs/cgroup
    mount -t tmpfs tmpfs dev; for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
    mkdir dev/shm dev/pts; ln -s /proc/self/fd dev/fd
    exec chroot . env -i container=sallyport-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null --show-status=no
' sh "$tree" >/dev/null 2>"$tree.log" &
outer=$!
for _ in $(seq 100); do
    init=$(pgrep -P "$outer" | head -n 1 || true)
    [ -n "$init" ] && nsenter -t "$init" -m -p -u -C -n -r -w systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break
    sleep 0.2
done
[ -n "$init" ] || { echo "test-install: systemd did not come up"; cat "$tree.log"; exit 1; }
in_tree() { nsenter -t "$init" -m -p -u -C -n -r -w env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
passed=0 failed=0
check() { # check TITLE COMMAND...
    local title=$1
    shift
    if "$@" >"$tree.out" 2>&1; then
        passed=$((passed + 1)); echo "ok    $title"
    else
        failed=$((failed + 1)); echo "FAIL  $title"; sed 's/^/      /' "$tree.out" | tail -n 15
    fi
}
status() { [ "$(in_tree curl -s -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
in_tree ip link set lo up
# What a tree inside a tree cannot have is left out of the sandbox here, and said.
for option in PrivateDevices PrivateUsers; do
    if ! in_tree systemd-run -q --wait -p "$option=yes" /bin/true 2>/dev/null; then
        echo "note  $option=yes is not to be had inside these namespaces: the sandbox is tested without it"
        mkdir -p "$tree/etc/systemd/system/sallyport.service.d"
        printf '[Service]\n%s=no\n' "$option" >"$tree/etc/systemd/system/sallyport.service.d/$option.conf"
    fi
done

rm -f "$tree/etc/nginx/sites-enabled/default" # a link that leads out of the tree
cat >"$tree/etc/nginx/sites-enabled/default" <<'CONF'
server {
    listen 127.0.0.1:80;
    server_name shop.example;
    location / {
        proxy_pass http://127.0.0.1:9080;
    }
}
CONF
in_tree systemd-run -q --unit=demoapi /root/demoapi -quiet
check "nginx runs"                                    in_tree systemctl restart nginx
check "the package installs"                          in_tree dpkg -i /root/one.deb
check "installing it again changes nothing"           in_tree dpkg -i /root/one.deb
check "the daemon is active under its own sandbox"    in_tree systemctl is-active sallyport
in_tree systemctl is-active -q sallyport || { in_tree systemctl status sallyport --no-pager -l; in_tree journalctl -u sallyport --no-pager -n 20; } 2>&1 | sed 's/^/      /'
check "it runs in detect mode"                        in_tree sh -c 'grep -q "^mode = \"detect\"" /etc/sallyport/sallyport.toml'
check "the units are in order"                        in_tree systemd-analyze verify --man=no sallyport.service sallyport.socket sallyport-control.socket sallyport-metrics.socket
check "its exposure is 1.5 or better"                 in_tree sh -c 'systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/sallyport.service | tail -1 | grep -oE "[0-9]+\.[0-9]+" | awk "{ exit !(\$1 <= 1.5) }"'
check "setup fits the doors in and proves them"       in_tree sallyport setup --yes --server shop.example --fail closed
check "prove finds every location inspected"          in_tree sallyport prove
check "doctor finds nothing bad"                      in_tree sallyport doctor
check "a clean request passes"                        status 200 -H 'Host: shop.example' http://127.0.0.1/items
check "detect mode lets an attack pass"               status 200 -H 'Host: shop.example' "http://127.0.0.1/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
in_tree sed -i 's/^mode = "detect"/mode = "enforce"/' /etc/sallyport/sallyport.toml
check "reload takes a good configuration"             in_tree systemctl reload sallyport
sleep 1
check "enforce mode denies an attack"                 status 403 -H 'Host: shop.example' "http://127.0.0.1/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
check "the denial can be listed"                      in_tree sh -c 'sleep 1; sallyport events | grep -q deny'
check "status answers"                                in_tree sallyport status
in_tree sh -c 'echo "mod = 1" >> /etc/sallyport/sallyport.toml'
check "reload refuses a bad one and says so"          in_tree sh -c '! systemctl reload sallyport'
check "and the running policy stays"                  status 403 -H 'Host: shop.example' "http://127.0.0.1/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
in_tree sed -i '/^mod = 1$/d' /etc/sallyport/sallyport.toml

in_tree sh -c 'for n in $(seq 400); do curl -s -o /dev/null -w "%{http_code}\n" -H "Host: shop.example" -d "{\"text\":\"comment $n\"}" -H "Content-Type: application/json" http://127.0.0.1/comments; done > /root/load.txt' &
load=$!
sleep 1
check "the next version installs under load"          in_tree dpkg -i /root/two.deb
wait "$load"
check "no request was refused meanwhile"              sh -c "[ \$(grep -c '^201\$' '$tree/root/load.txt') = 400 ] || { sort '$tree/root/load.txt' | uniq -c; false; }"
check "it is the next version"                        in_tree sh -c 'sallyport version | grep -q 0.2.0'
check "a configuration of one's own is kept"          in_tree sh -c 'grep -q "^mode = \"enforce\"" /etc/sallyport/sallyport.toml'
main_pid() { in_tree systemctl show -p MainPID --value sallyport; }
pid=$(main_pid); [ "$pid" = 0 ] || in_tree kill -SEGV "$pid"
sleep 2
check "a crashed daemon is back"                      in_tree systemctl is-active sallyport
pid=$(main_pid); [ "$pid" = 0 ] || in_tree kill -STOP "$pid"
check "a stuck one is restarted by the watchdog"      in_tree sh -c 'for n in $(seq 60); do sleep 1; [ "$(systemctl show -p NRestarts --value sallyport)" -ge 2 ] && exit 0; done; exit 1'
check "setup --remove gives the site back"            in_tree sallyport setup --remove
check "as it was"                                     sh -c "! grep -q sallyport '$tree/etc/nginx/sites-enabled/default'"
check "the package is removed"                        in_tree dpkg -r sallyport
check "its configuration is kept"                     test -e "$tree/etc/sallyport/sallyport.toml"
check "and nothing of it runs"                        in_tree sh -c '! pgrep -x sallyport'
check "the package is purged"                         in_tree dpkg -P sallyport
check "nothing of it is left"                         sh -c "! ls -d '$tree/etc/sallyport' '$tree/var/lib/sallyport' 2>/dev/null | grep ."
if command -v rpm >/dev/null; then
    check "the rpm's files are in order"              sh -c "rpm -qlp dist/sallyport-0.1.0-1.x86_64.rpm | grep -q /usr/share/selinux/packages/sallyport.pp"
    check "the rpm installs into the tree"            sh -c "rpm --root '$tree' --initdb && rpm --root '$tree' -i --nodeps dist/sallyport-0.1.0-1.x86_64.rpm && test -x '$tree/usr/sbin/sallyport'"
    check "and is erased"                             sh -c "rpm --root '$tree' -e sallyport && test ! -e '$tree/usr/sbin/sallyport'"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
