#!/bin/sh
# Trains the built-in attack model anew: the same inputs give the same bytes.
# usage: scripts/train-model.sh [OUT [DATA]]
# OUT is the model to write (daemon/check/score/default.model); DATA a folder with the labelled requests
# train.jsonl.gz, train-recorded.jsonl.gz and exploits.jsonl.gz. Beside them it takes generated requests and, as
# ordinary text, the sources of modules that go.mod pins, of a few more pinned below for their samples of other
# languages (shell, PHP, SQL, HTML and what chroma has lexers for), and of the packages that scripts/corpus pins
# (needs npm).
set -eu
cd "$(dirname "$0")/.."
out=${1:-daemon/check/score/default.model}
data=${2:-${SALLYPORT_SHARED:-../shared}/data}
[ -d "$data" ] || { echo "no labelled requests in $data: give their folder as the second argument" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
mkdir "$tmp/go"
for m in getkin/kin-openapi klauspost/compress spf13/cobra spf13/pflag valyala/fastrand valyala/histogram vektah/gqlparser/v2 redis/rueidis \
	andybalholm/brotli gaissmai/bart santhosh-tekuri/jsonschema/v5 BurntSushi/toml VictoriaMetrics/metrics go-jose/go-jose/v4 google/go-cmp \
	google/gopacket google/uuid rogpeppe/go-internal coreos/go-systemd/v22; do
	cp -r "$(go mod download -json "github.com/$m@$(go list -m -f '{{.Version}}' "github.com/$m")" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')" "$tmp/go/$(echo "$m" | tr / _)"
done
for m in github.com/alecthomas/chroma/v2@v2.14.0 github.com/VKCOM/noverify@v0.5.3 github.com/sqlc-dev/sqlc@v1.27.0 \
	github.com/gohugoio/hugo@v0.120.0 mvdan.cc/sh/v3@v3.8.0; do
	cp -r "$(go mod download -json "$m" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')" "$tmp/go/$(echo "$m" | tr / _)"
done
cp scripts/corpus/package.json scripts/corpus/package-lock.json "$tmp/"
(cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
rm -f "$tmp/node_modules/.package-lock.json"
CGO_ENABLED=0 go build -o "$tmp/sallyport" ./daemon/cmd/sallyport
"$tmp/sallyport" model train --data "$data/train.jsonl.gz,$data/train-recorded.jsonl.gz,$data/exploits.jsonl.gz" \
	--text "$tmp/node_modules,$tmp/go" --out "$out"
"$tmp/sallyport" model info "$out"
