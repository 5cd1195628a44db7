#!/bin/bash
# Builds dist/*.deb and dist/*.rpm for amd64 and arm64, with checksums and a
# bill of materials. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${VERSION:-0.1.0}
command -v checkmodule >/dev/null || scripts/need checkpolicy
command -v semodule_package >/dev/null || scripts/need semodule-utils
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1795478400)}
export CGO_ENABLED=0 TZ=UTC
dist=${DIST:-dist}
mkdir -p "$dist" build/tools
rm -f "$dist"/*
GOOS= GOARCH= scripts/go build -C packaging/tools -o "$PWD/build/tools/" github.com/goreleaser/nfpm/v2/cmd/nfpm github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

build() { GOARCH=$1 scripts/go build -trimpath -ldflags "-s -w -buildid= -X main.version=$version" -o "$2" ./daemon/cmd/sallyport; }
build "$(scripts/go env GOHOSTARCH)" build/packages/host/sallyport
for arch in amd64 arm64; do
    export ARCH=$arch VERSION=$version BUILD=build/packages/$arch
    rm -rf "$BUILD"
    mkdir -p "$BUILD/completions" "$BUILD/man"
    build "$arch" "$BUILD/sallyport"
    build/packages/host/sallyport man --out "$BUILD/man"
    build/packages/host/sallyport completion bash >"$BUILD/completions/sallyport.bash"
    build/packages/host/sallyport completion zsh >"$BUILD/completions/_sallyport"
    build/packages/host/sallyport completion fish >"$BUILD/completions/sallyport.fish"
    gzip -9n <packaging/changelog >"$BUILD/changelog.gz"
    checkmodule -M -m -o "$BUILD/sallyport.mod" packaging/selinux/sallyport.te >/dev/null
    semodule_package -o "$BUILD/sallyport.pp" -m "$BUILD/sallyport.mod"
    find "$BUILD" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # nfpm itself fills in variables in few places only.
    sed "s#\${ARCH}#$arch#; s#\${VERSION}#$version#; s#\${BUILD}#$BUILD#" packaging/nfpm.yaml >"$BUILD/nfpm.yaml"
    build/tools/nfpm package -f "$BUILD/nfpm.yaml" -p deb -t "$dist/"
    build/tools/nfpm package -f "$BUILD/nfpm.yaml" -p rpm -t "$dist/"
done
build/tools/cyclonedx-gomod bin -json -noserial -version "v$version" -output "$dist/sallyport-$version.cdx.json" build/packages/amd64/sallyport 2>/dev/null
sed -i '/"timestamp":/d' "$dist/sallyport-$version.cdx.json"
(cd "$dist" && sha256sum -- *.deb *.rpm *.json >SHA256SUMS)
ls -l "$dist"
