#!/bin/sh
# Measures the attack model on sources it never saw: two models, each trained without half of the sources of
# the labelled requests (the recorded sites and APIs, and the payload collections) and measured on that half.
# usage: scripts/blind-splits.sh [TEXT...]
# TEXT are folders of ordinary text, as scripts/train-model.sh takes them. SALLYPORT_SHARED names the labelled
# requests' folder; MADE (40000) is how many requests of each kind are generated.
set -eu
cd "$(dirname "$0")/.."
data=${SALLYPORT_SHARED:-../shared}/data
files=$data/train.jsonl.gz,$data/train-recorded.jsonl.gz,$data/exploits.jsonl.gz
[ -d "$data" ] || { echo "no labelled requests in $data: name their folder with SALLYPORT_SHARED" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CGO_ENABLED=0 go build -o "$tmp/sallyport" ./daemon/cmd/sallyport
text=$(echo "$*" | tr ' ' ,)
for out in browsing-pagexray,recorded-datadog,libinjection,libinjection-fp,fuzzdb,exploits-afrog \
	browsing-ghostery,browsing,recorded-easypost,octokit-webhooks,fwaf,patt,payloadbox,ssrf-testing,exploits-vulhub; do
	echo "== never seen: $out"
	"$tmp/sallyport" model train --data "$files" --without "$out" ${text:+--text "$text"} --text-pieces 30000 \
		--made-benign "${MADE:-40000}" --made-attacks "${MADE:-40000}" --epochs 6 --out "$tmp/blind.model" 2>/dev/null
	"$tmp/sallyport" model evaluate --model "$tmp/blind.model" --data "$files" --only "$out" --worst "${WORST:-20}"
done
