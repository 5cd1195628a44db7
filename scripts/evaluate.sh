#!/bin/sh
# Prints what the shipped rules cover of known exploits, by class with every miss, and every false
# alarm; then one table of what the attack model alone and all checks together find and deny, by class
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

failed=0
echo "== the shipped rules alone: known exploits, then benign requests and payload lists"
"$bin" rules evaluate --rules 'rules/*.rules' --misses --min-covered 85 "$data/exploits.jsonl.gz" || failed=1
"$bin" rules evaluate --rules 'rules/*.rules' --max-false 0.05 "$data/dev-recorded.jsonl.gz" "$data/train-recorded.jsonl.gz" \
	"$data/dev.jsonl.gz" "$data/train.jsonl.gz" || failed=1
"$bin" rules evaluate --rules 'rules/*.rules' --max-false 0 daemon/cmd/sallyport/testdata/benign.jsonl || failed=1

echo "== the model alone, and all checks together with the shipped rules"
printf '[defaults]\nmode = "enforce"\n[check.signature]\nrules = ["%s/rules/*.rules"]\n' "$PWD" >"$tmp/sallyport.toml"
for set in dev dev-recorded; do
	"$bin" inspect --config "$tmp/sallyport.toml" "$data/$set.jsonl.gz" >"$tmp/$set.verdicts" 2>"$tmp/$set.errors" || { cat "$tmp/$set.errors" >&2; exit 1; }
done
"$bin" model evaluate --mutations 10 --data "$data/dev.jsonl.gz,$data/dev-recorded.jsonl.gz" --verdicts "$tmp/dev.verdicts,$tmp/dev-recorded.verdicts"
exit $failed
