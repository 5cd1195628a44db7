#!/bin/sh
# deb: remove keeps the configuration, purge takes it; rpm: 0 on removal.
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload || true
case "${1:-}" in
purge)
    rm -rf /var/lib/sallyport /var/log/sallyport /run/sallyport /etc/sallyport
    for user in www-data nginx; do
        gpasswd -d "$user" sallyport-door >/dev/null 2>&1 || true
    done
    getent passwd sallyport >/dev/null && userdel sallyport || true
    getent group sallyport >/dev/null && groupdel sallyport || true
    getent group sallyport-door >/dev/null && groupdel sallyport-door || true
    ;;
0)
    if command -v semodule >/dev/null 2>&1; then semodule -r sallyport >/dev/null 2>&1 || true; fi
    ;;
esac
exit 0
