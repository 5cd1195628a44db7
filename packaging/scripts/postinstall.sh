#!/bin/sh
# deb: configure [old version]; rpm: 1 on install, 2 on upgrade. Idempotent.
set -e
upgrade=
case "${1:-}" in
configure) [ -n "${2:-}" ] && upgrade=yes ;;
1) ;;
2) upgrade=yes ;;
*) exit 0 ;; # abort-upgrade and the like: nothing to undo
esac

if command -v semodule >/dev/null 2>&1 && [ -e /usr/share/selinux/packages/sallyport.pp ] && selinuxenabled 2>/dev/null; then
    semodule -i /usr/share/selinux/packages/sallyport.pp || echo "sallyport: the SELinux module could not be loaded; run: semodule -i /usr/share/selinux/packages/sallyport.pp" >&2
fi
[ -d /run/systemd/system ] || exit 0

systemd-tmpfiles --create sallyport.conf >/dev/null 2>&1 || true
systemctl daemon-reload || true
if [ -z "$upgrade" ]; then
    systemctl enable --now sallyport.socket sallyport-control.socket >/dev/null
    systemctl enable --now sallyport.service >/dev/null ||
        echo "sallyport: the daemon did not start; see journalctl -u sallyport" >&2
    exit 0
fi
said=$(mktemp)
# Never restart into a configuration that the new version refuses.
if ! /usr/sbin/sallyport check --config /etc/sallyport/sallyport.toml >/dev/null 2>"$said"; then
    echo "sallyport: the new version refuses the configuration, so the old one keeps running:" >&2
    cat "$said" >&2
    rm -f "$said"
    echo "sallyport: mend it, then: systemctl restart sallyport" >&2
    exit 0
fi
rm -f "$said"
# The sockets stay open meanwhile: requests wait in their queue.
if systemctl is-active --quiet sallyport.service; then
    systemctl restart sallyport.service ||
        echo "sallyport: the new version did not start; see journalctl -u sallyport" >&2
fi
systemctl try-restart sallyport-watch.service >/dev/null 2>&1 || true
exit 0
