#!/bin/sh
# Runs one capture and one set of rules through Suricata, where installed, and
# through "sallyport replay", in turn, and prints the time of each, ROUNDS times.
#   PCAP=FILE RULES=DIR ROUNDS=3 scripts/bench-engines.sh
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
shared=${SALLYPORT_SHARED:-$here/../shared}
PCAP=${PCAP:-$shared/snort/oracle/dev.pcap}
RULES=${RULES:-$shared/snort/corpora/et-open-suri5-2021}
ROUNDS=${ROUNDS:-3}
for f in "$PCAP" "$RULES"; do
	[ -e "$f" ] || { echo "bench-engines: $f is not there; set PCAP and RULES, or SALLYPORT_SHARED" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$RULES" ]; then cat "$RULES"/*.rules >"$work/all.rules"; else cat "$RULES" >"$work/all.rules"; fi
none=$work/none.rules
echo 'alert http any any -> any any (http.uri; content:"never-to-be-seen-4711"; sid:1;)' >"$none"

timed() { # label command...
	label=$1
	shift
	/usr/bin/env bash -c 'TIMEFORMAT="%U user %S system %R elapsed (s)"; time "$@" >/dev/null 2>&1' timed "$@" 2>&1 | sed "s/^/$label: /"
}
i=0
while [ $i -lt "$ROUNDS" ]; do
	i=$((i + 1))
	echo "round $i"
	timed "sallyport, all rules" "$here/build/sallyport" replay "$PCAP" --rules "$work/all.rules" --json
	timed "sallyport, one rule" "$here/build/sallyport" replay "$PCAP" --rules "$none" --json
	if command -v suricata >/dev/null; then
		timed "suricata, all rules" suricata -r "$PCAP" -S "$work/all.rules" -l "$work" -k none --runmode single
		timed "suricata, one rule" suricata -r "$PCAP" -S "$none" -l "$work" -k none --runmode single
	else
		echo "suricata is not installed: apt-get install -t bookworm-backports suricata"
	fi
done
