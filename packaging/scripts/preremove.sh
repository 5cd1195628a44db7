#!/bin/sh
# deb: remove or upgrade; rpm: 0 on removal, 1 on upgrade.
set -e
case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now sallyport-prove.timer sallyport-watch.service sallyport.service sallyport.socket sallyport-control.socket sallyport-metrics.socket >/dev/null 2>&1 || true
exit 0
