#!/bin/bash
# Builds dist/*.deb and dist/*.rpm for amd64 and arm64, with checksums and a
# bill of materials. The same sources give the same bytes, whatever the folder,
# umask, time zone, language or clock of the machine that builds them.
# COMPRESSION=gzip is quicker than the packages' xz.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export CGO_ENABLED=0 TZ=UTC LC_ALL=C
unset GOFLAGS GOAMD64 GOARM64 GOEXPERIMENT
version=${VERSION:-0.1.0}
command -v checkmodule >/dev/null || scripts/need checkpolicy
command -v semodule_package >/dev/null || scripts/need semodule-utils
# Every file is dated as the changelog's last entry.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -d "$(sed -n 's/^ -- .*>  //p' packaging/changelog | head -n 1)" +%s)}
mkdir -p "${DIST:=dist}" build/tools
dist=$(cd "$DIST" && pwd)
rm -f "$dist"/*
tools=$PWD/build/tools
GOOS= GOARCH= scripts/go build -C packaging/tools -trimpath -buildvcs=false -o "$tools/" github.com/goreleaser/nfpm/v2/cmd/nfpm github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

build() { GOARCH=$1 scripts/go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$2" ./daemon/cmd/sallyport; }
build "$(scripts/go env GOHOSTARCH)" build/packages/host/sallyport
for arch in amd64 arm64; do
    # What goes in is staged under fixed rights and dates.
    stage=build/packages/$arch
    rm -rf "$stage"
    mkdir -p "$stage/completions" "$stage/man"
    cp -R packaging rules nginx systemd README.md LICENSE "$stage/"
    rm -rf "$stage/packaging/tools"
    build "$arch" "$stage/sallyport"
    build/packages/host/sallyport man --out "$stage/man"
    build/packages/host/sallyport completion bash >"$stage/completions/sallyport.bash"
    build/packages/host/sallyport completion zsh >"$stage/completions/_sallyport"
    build/packages/host/sallyport completion fish >"$stage/completions/sallyport.fish"
    gzip -9n <packaging/changelog >"$stage/changelog.gz"
    checkmodule -M -m -o "$stage/sallyport.mod" packaging/selinux/sallyport.te >/dev/null
    semodule_package -o "$stage/sallyport.pp" -m "$stage/sallyport.mod"
    # nfpm itself fills in variables in few places only.
    sed "s#\${ARCH}#$arch#; s#\${VERSION}#$version#; s#compression: xz#compression: ${COMPRESSION:-xz}#" packaging/nfpm.yaml >"$stage/nfpm.yaml"
    find "$stage" -type d -exec chmod 755 {} +
    find "$stage" -type f -exec chmod 644 {} +
    chmod 755 "$stage/sallyport" "$stage"/packaging/scripts/*
    find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    for packager in deb rpm; do
        (cd "$stage" && "$tools/nfpm" package -f nfpm.yaml -p "$packager" -t "$dist/")
    done
done
"$tools/cyclonedx-gomod" bin -json -noserial -version "v$version" -output "$dist/sallyport-$version.cdx.json" build/packages/amd64/sallyport 2>/dev/null
sed -i '/"timestamp":/d' "$dist/sallyport-$version.cdx.json"
(cd "$dist" && sha256sum -- *.deb *.rpm *.json >SHA256SUMS)
ls -l "$dist"
