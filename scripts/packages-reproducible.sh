#!/bin/bash
# Builds the packages here and again from a copy of the sources elsewhere, under
# another umask, time zone, language, user's folder and file dates, and compares
# every byte.
set -euo pipefail
cd "$(dirname "$0")/.."
one=$PWD/build/reproducible
copy=$(mktemp -d "${TMPDIR:-/tmp}/another place.XXXXXX")
trap 'rm -rf "$copy"' EXIT
(umask 077 && tar -c --exclude=./.git --exclude=./build --exclude=./dist --exclude=./.cache . | tar -x -m --no-same-permissions -C "$copy")
DIST=$one scripts/packages.sh >/dev/null
cache=$(scripts/go env GOCACHE) modules=$(scripts/go env GOMODCACHE)
(
    umask 077
    cd "$copy"
    mkdir home
    env -u SOURCE_DATE_EPOCH HOME="$copy/home" GOCACHE="$cache" GOMODCACHE="$modules" TZ=Pacific/Auckland LC_ALL=C.UTF-8 \
        VERSION="${VERSION:-0.1.0}" DIST="$copy/two" scripts/packages.sh >/dev/null
)
failed=0
for file in "$one"/*; do
    if cmp -s "$file" "$copy/two/$(basename "$file")"; then
        echo "same      $(basename "$file")"
    else
        echo "DIFFERENT $(basename "$file")"
        failed=1
    fi
done
[ "$(ls "$one")" = "$(ls "$copy/two")" ] || { echo "other files were built"; failed=1; }
exit "$failed"
