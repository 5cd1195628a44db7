#!/bin/bash
# Runs the tests of the arm64 build under qemu-user, and the packaged arm64
# binary itself. Emulation is some ten times slower, so tests run with -short.
set -euo pipefail
cd "$(dirname "$0")/.."
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
[ -n "$qemu" ] || { scripts/need qemu-user; qemu=$(command -v qemu-aarch64); }
export CGO_ENABLED=0
# Left out: what drives other programs built for this machine (a real NGINX,
# Redis, the go command) or measures, and so tells nothing of arm64.
left_out='daemon$|cmd/|door$|host$|keyed/shared$|nginxtest$|redistest$|score/(train|tune|generate)$|event/sink$'
all=$(scripts/go list ./daemon/...)
echo "left out: $(echo "$all" | grep -E "/($left_out)" | sed 's#.*/daemon#daemon#' | tr '\n' ' ')"
# shellcheck disable=SC2046
GOARCH=arm64 scripts/go test -short -vet=off -count=1 -timeout 30m -exec "$qemu" ${PACKAGES:-$(echo "$all" | grep -vE "/($left_out)")}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${DEB:=$(ls dist/*_arm64.deb 2>/dev/null | head -n 1)}" ]; then
    scripts/packages.sh >/dev/null
    DEB=$(ls dist/*_arm64.deb)
fi
dpkg-deb -x "$DEB" "$work"
run() { "$qemu" "$work/usr/sbin/sallyport" "$@"; }
run version | grep -q 'linux/arm64'
echo "ok  the packaged arm64 binary: version"
sed -i "s#/usr/share/sallyport#$work/usr/share/sallyport#; s#/etc/sallyport/rules#$work/etc/sallyport/rules#" "$work/etc/sallyport/sallyport.toml"
run check --config "$work/etc/sallyport/sallyport.toml"
echo "ok  the packaged arm64 binary: check, with the shipped configuration and rules"
printf '%s\n' '{"method":"GET","uri":"/items?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-","headers":[["Host","a.example"]]}' \
    '{"method":"GET","uri":"/items?q=shoes","headers":[["Host","a.example"]]}' >"$work/requests"
for binary in "run" "build/packages/host/sallyport"; do
    $binary inspect --config "$work/etc/sallyport/sallyport.toml" "$work/requests" >"$work/verdicts.$(basename "$binary")"
done
cmp "$work/verdicts.run" "$work/verdicts.sallyport"
cat "$work/verdicts.run"
echo "ok  the packaged arm64 binary: inspect, with the verdicts of this machine's own"
