#!/bin/sh
# Prints one table of what the attack model alone and all checks together find and deny, by class
# and source, with ROC points, calibration and the worst errors.
# usage: scripts/evaluate.sh [SALLYPORT [DATA]]
# SALLYPORT is the program, built when not given; DATA a folder of labelled requests.
set -eu
cd "$(dirname "$0")/.."
bin=${1:-}
data=${2:-${SALLYPORT_SHARED:-../shared}/data}
[ -d "$data" ] || { echo "no labelled requests in $data: give their folder as the second argument" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ -z "$bin" ]; then
	bin=$tmp/sallyport
	CGO_ENABLED=0 go build -o "$bin" ./daemon/cmd/sallyport
fi
for set in dev dev-recorded; do
	"$bin" inspect "$data/$set.jsonl.gz" >"$tmp/$set.verdicts" 2>"$tmp/$set.errors" || { cat "$tmp/$set.errors" >&2; exit 1; }
done
"$bin" model evaluate --data "$data/dev.jsonl.gz,$data/dev-recorded.jsonl.gz" --verdicts "$tmp/dev.verdicts,$tmp/dev-recorded.verdicts"
