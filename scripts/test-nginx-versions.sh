#!/bin/bash
# The doors' tests against the NGINX of each of Debian's suites: 1.18, 1.22,
# 1.26 and 1.30. Each suite's NGINX runs from a tree of its own, with that
# tree's libraries, and needs no chroot. VERSIONS chooses suites, RUN tests.
#
#   scripts/test-nginx-versions.sh
#   VERSIONS="bullseye sid" RUN=EachMode scripts/test-nginx-versions.sh
set -euo pipefail
cd "$(dirname "$0")/.."
suites=${VERSIONS:-bullseye bookworm trixie sid}
run=${RUN:-EachMode|Beside|Surrounding|OneName|Upgrades|Noted|Denial|Status|Cache|FastCGI|Expect|Own}
trees=${NGINX_TREES:-build/nginx}
command -v mmdebstrap >/dev/null || scripts/need mmdebstrap
mkdir -p "$trees"
trees=$(cd "$trees" && pwd)
status=0
results=
for suite in $suites; do
    tree=$trees/$suite
    if [ ! -x "$tree/usr/sbin/nginx" ]; then
        echo "fetching NGINX of $suite" >&2
        rm -rf "$tree"
        # A mirror's copy of sid may be older than its index says it may be.
        mmdebstrap --quiet --variant=minbase --include=nginx-light \
            --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$tree" >/dev/null
    fi
    # Not lib64's: that link is absolute and leads to the host's.
    loader=$(find "$tree"/lib/*-linux-gnu*/ -maxdepth 1 -name 'ld-linux*.so.*' | head -n 1)
    libraries=$(find "$tree/lib/" "$tree/usr/lib/" -maxdepth 1 -type d -name '*-linux-gnu*' | paste -sd:)
    nginx=$trees/nginx-$suite
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$tree/usr/sbin/nginx" >"$nginx"
    chmod +x "$nginx"
    version=$("$nginx" -v 2>&1 | sed 's/.*nginx\///; s/ .*//')
    log=$trees/$suite.log
    NGINX=$nginx scripts/go test -count=1 -v -run "$run" ./daemon/door >"$log" 2>&1 || status=1
    count() { grep -c -- "^ *--- $1: .*/.*" "$log" || true; }
    results+=$(printf '%-10s %-8s %6d %6d %7d' "$suite" "$version" "$(count PASS)" "$(count FAIL)" "$(count SKIP)")$'\n'
    grep -E '^ *--- FAIL' "$log" | head -n 20 || true
done
printf '%-10s %-8s %6s %6s %7s\n' suite NGINX passed failed skipped
printf '%s' "$results"
[ $status -eq 0 ] || echo "what failed stands in $trees/SUITE.log" >&2
exit $status
