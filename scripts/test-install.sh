#!/bin/bash
# A real install: a Debian tree, booted with its own systemd as PID 1 in
# namespaces of its own, in which the package is installed, set up, proven,
# reloaded, upgraded under load, crashed, removed and purged; then the rpm in a
# copy of that tree. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tree.sh
need_namespaces
packages_of 0.1.0 build/install-dist
packages_of 0.2.0 build/next-dist # the next version: the same daemon under another number
scripts/go build -o build/demoapi ./daemon/cmd/demoapi
make_tree
cp build/install-dist/sallyport_*_amd64.deb "$tree/root/one.deb"
cp build/next-dist/sallyport_*_amd64.deb "$tree/root/two.deb"
cp build/demoapi "$tree/root/demoapi"
cat >"$tree/etc/nginx/sites-enabled/default" <<'CONF'
server {
    listen 127.0.0.1:80;
    server_name shop.example;
    location / {
        proxy_pass http://127.0.0.1:9080;
    }
}
CONF
cp "$tree/etc/nginx/sites-enabled/default" "$tree.site"
boot_tree
for option in PrivateDevices PrivateUsers; do
    if ! in_tree systemd-run -q --wait -p "$option=yes" /bin/true 2>/dev/null; then
        echo "note  $option=yes is not to be had inside these namespaces: the sandbox is tested without it"
        for unit in sallyport sallyport-watch sallyport-prove; do
            mkdir -p "$tree/etc/systemd/system/$unit.service.d"
            printf '[Service]\n%s=no\n' "$option" >"$tree/etc/systemd/system/$unit.service.d/$option.conf"
        done
    fi
done
status() { [ "$(in_tree curl -s -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
attack="http://127.0.0.1/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
shop() { status "$1" -H 'Host: shop.example' "$2"; }
exposure() { in_tree sh -c "systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/$1 | tail -1 | grep -oE '[0-9]+\.[0-9]+' | awk '{ exit !(\$1 <= $2) }'"; }
in_tree systemd-run -q --unit=demoapi /root/demoapi -quiet

check "nginx runs"                                    in_tree systemctl restart nginx
check "the package installs"                          in_tree dpkg -i /root/one.deb
check "installing it again changes nothing"           in_tree dpkg -i /root/one.deb
check "the daemon is active"                          in_tree systemctl is-active sallyport
in_tree systemctl is-active -q sallyport || { in_tree systemctl status sallyport --no-pager -l; in_tree journalctl -u sallyport --no-pager -n 20; } 2>&1 | sed 's/^/      /'
sandboxed() {
    in_tree sh -c '
        pid=$(systemctl show -p MainPID --value sallyport)
        grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/$pid/status
        grep -q "^CapEff:.0000000000000000" /proc/$pid/status && grep -q "^CapBnd:.0000000000000000" /proc/$pid/status || exit 1
        grep -q "^NoNewPrivs:.1" /proc/$pid/status && grep -q "^Seccomp:.2" /proc/$pid/status || exit 1
        for ns in net mnt user; do [ "$(readlink /proc/$pid/ns/$ns)" != "$(readlink /proc/1/ns/$ns)" ] || { echo "shares $ns"; exit 1; }; done
        ls /proc/$pid/root/dev; [ ! -e /proc/$pid/root/dev/tty0 ] && ! touch /proc/$pid/root/etc/x 2>/dev/null'
}
check "under its own sandbox, whole"                  sandboxed
check "it runs in detect mode"                        in_tree sh -c 'grep -q "^mode = \"detect\"" /etc/sallyport/sallyport.toml'
check "the units are in order"                        in_tree systemd-analyze verify --man=no sallyport.service sallyport.socket sallyport-control.socket sallyport-metrics.socket sallyport-watch.service sallyport-prove.service sallyport-prove.timer
check "the daemon's exposure is 1.5 or better"        exposure sallyport.service 1.5
check "a man page for each verb and file format"      in_tree sh -c 'for v in $(sallyport --help | sed -n "/^Available/,/^Flags/s/^  \([a-z]*\) .*/\1/p"); do case $v in help|completion) continue;; esac; ls /usr/share/man/man8/sallyport-$v.8.gz || exit 1; done; ls /usr/share/man/man5/sallyport.toml.5.gz'
check "completions, changelog and copyright"          in_tree ls /usr/share/bash-completion/completions/sallyport /usr/share/zsh/vendor-completions/_sallyport /usr/share/fish/vendor_completions.d/sallyport.fish
check "setup fits the doors in and proves them"       in_tree sallyport setup --yes --server shop.example --fail closed
check "prove finds every location inspected"          in_tree sallyport prove
check "doctor finds nothing bad"                      in_tree sallyport doctor
check "a clean request passes"                        shop 200 http://127.0.0.1/items
check "detect mode lets an attack pass"               shop 200 "$attack"
in_tree sed -i 's/^mode = "detect"/mode = "enforce"/; s/^\[server\]/[server]\nmetrics = "127.0.0.1:9145"/' /etc/sallyport/sallyport.toml
check "reload takes a good configuration"             in_tree systemctl reload sallyport
soon() { local n; for n in $(seq 60); do "$@" && return; sleep 0.25; done; return 1; } # a policy is built beside the running one
check "enforce mode denies an attack"                 soon shop 403 "$attack"
check "the denial can be listed"                      in_tree sh -c 'for n in $(seq 20); do sallyport events | grep -q deny && exit; sleep 0.5; done; exit 1'
check "status answers"                                in_tree sallyport status
in_tree sh -c 'echo "mod = 1" >> /etc/sallyport/sallyport.toml'
check "reload refuses a bad one and says so"          in_tree sh -c '! systemctl reload sallyport'
check "and the running policy stays"                  shop 403 "$attack"
in_tree sed -i '/^mod = 1$/d' /etc/sallyport/sallyport.toml

. scripts/test-install-units.sh

# The next version, while bodies are sent: each answer names the bytes that came.
in_tree sh -c 'for n in $(seq 400); do curl -s -w " %{http_code}\n" -H "Host: shop.example" -d "{\"text\":\"comment $((100000 + n))\"}" -H "Content-Type: application/json" http://127.0.0.1/comments | tr -d "\n"; echo; done > /root/load.txt' &
load=$!
sleep 1
check "the next version installs under load"          in_tree dpkg -i /root/two.deb
wait "$load"
check "no request was refused and no body lost"       sh -c "[ \$(grep -c '\"25 bytes\".* 201\$' '$tree/root/load.txt') = 400 ] || { sort '$tree/root/load.txt' | uniq -c; false; }"
check "it is the next version"                        in_tree sh -c 'sallyport version | grep -q 0.2.0'
check "a configuration of one's own is kept"          in_tree sh -c 'grep -q "^mode = \"enforce\"" /etc/sallyport/sallyport.toml'
in_tree sh -c 'echo "mod = 1" >> /etc/sallyport/sallyport.toml'
check "an upgrade into a bad configuration"           in_tree dpkg -i /root/one.deb
check "leaves the daemon running"                     shop 403 "$attack"
in_tree sed -i '/^mod = 1$/d' /etc/sallyport/sallyport.toml
in_tree dpkg -i /root/two.deb >/dev/null 2>&1
main_pid() { in_tree systemctl show -p MainPID --value sallyport; }
pid=$(main_pid); [ "$pid" = 0 ] || in_tree kill -SEGV "$pid"
sleep 2
check "a crashed daemon is back"                      in_tree sh -c 'for n in $(seq 20); do systemctl is-active sallyport && exit 0; sleep 0.5; done; exit 1'
before=$(in_tree systemctl show -p NRestarts --value sallyport)
pid=$(main_pid); [ "$pid" = 0 ] || in_tree kill -STOP "$pid"
check "a stuck one is restarted by the watchdog"      in_tree sh -c "for n in \$(seq 60); do sleep 1; [ \"\$(systemctl show -p NRestarts --value sallyport)\" -gt $before ] && exit 0; done; exit 1"
check "setup --remove gives the site back"            in_tree sallyport setup --remove
check "as it was, to the byte"                        cmp "$tree/etc/nginx/sites-enabled/default" "$tree.site"
check "the package is removed"                        in_tree dpkg -r sallyport
check "its configuration is kept"                     test -e "$tree/etc/sallyport/sallyport.toml"
check "and nothing of it runs"                        in_tree sh -c '! pgrep -x sallyport && ! systemctl list-units --no-legend "sallyport*" | grep -v not-found | grep active'
check "NGINX still takes its configuration"           in_tree nginx -t
check "the package is purged"                         in_tree dpkg -P sallyport
check "and purged again"                              in_tree sh -c 'dpkg -P sallyport 2>&1; true'
check "nothing of it is left"                         in_tree sh -c '! ls -d /etc/sallyport /var/lib/sallyport /var/log/sallyport /run/sallyport /etc/nginx/sallyport 2>/dev/null | grep . && ! getent passwd sallyport && ! getent group sallyport-door'
rm -f "$tree.site"

. scripts/test-install-rpm.sh
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
