# Sourced by test-install.sh: the units beside the daemon, in the booted tree.

# The metrics' listener, over which the last proof is told.
check "the metrics' socket is enabled"                in_tree sh -c 'systemctl enable sallyport-metrics.socket && systemctl restart sallyport && systemctl is-active sallyport-metrics.socket'
metric() { in_tree sh -c "for n in \$(seq 20); do curl -s --max-time 2 http://127.0.0.1:9145/metrics >/tmp/metrics && grep -E '^$1 $2\$' /tmp/metrics && exit 0; sleep 0.5; done; grep sallyport_proof /tmp/metrics; exit 1"; }
check "the metrics answer on loopback"                metric sallyport_proof_time_seconds 0
check "the prove timer is enabled"                    in_tree systemctl enable --now sallyport-prove.timer
check "and waits for its next hour"                   in_tree sh -c 'systemctl list-timers --no-pager sallyport-prove.timer | grep sallyport-prove.service'
check "its service proves, in its sandbox"            in_tree systemctl start sallyport-prove.service
check "its exposure is 3 or better"                   exposure sallyport-prove.service 3
check "the last proof is a metric"                    metric sallyport_proof_not_inspected 0
check "and so is its time"                            metric sallyport_proof_time_seconds '[1-9].*'
in_tree sh -c 'printf "server { listen 127.0.0.1:80; server_name raw.example; location / { proxy_pass http://127.0.0.1:9080; } }\n" >/etc/nginx/sites-enabled/raw; nginx -s reload 2>/dev/null; sleep 1'
check "a location without doors fails the service"    in_tree sh -c '! systemctl start sallyport-prove.service'
check "and is in its journal"                         in_tree sh -c 'journalctl -u sallyport-prove --no-pager | grep -q "location / of raw.example: no door"'
check "and in the metric"                             metric sallyport_proof_not_inspected 1
in_tree sh -c 'rm /etc/nginx/sites-enabled/raw; nginx -s reload 2>/dev/null; systemctl reset-failed sallyport-prove.service'

# The five lines of the README, by hand, in a server that setup has not seen.
cat >"$tree/etc/nginx/sites-enabled/hand" <<'CONF'
server {
    listen 127.0.0.1:80;
    server_name hand.example;
    include sallyport/server.conf;
    location / { set $sallyport_to @api; include sallyport/inline-open.conf; }
    location @api {
        include sallyport/proven.conf;
        proxy_pass http://127.0.0.1:9080;
    }
}
CONF
check "NGINX takes the README's lines without a warning" in_tree sh -c 'nginx -t 2>&1 | tee /tmp/said | grep "test is successful" && ! grep -F "[warn]" /tmp/said'
in_tree sh -c 'nginx -s reload; sleep 1'
check "prove finds them inspected"                    in_tree sallyport prove --server hand.example
check "and they deny an attack"                       status 403 -H 'Host: hand.example' "$attack"
check "doctor finds nothing bad in them"              in_tree sallyport doctor
in_tree sh -c 'rm /etc/nginx/sites-enabled/hand; nginx -s reload'

# The watch, with CAP_NET_RAW alone, over a cable to another network namespace.
unshare -n sleep 600 &
peer=$!
inits+=("$peer")
sleep 0.5
cable() {
    nsenter -t "$init" -n ip link add v0 type veth peer name v1 netns "$peer"
    nsenter -t "$init" -n sh -c 'ip link set v0 up; ip addr add 10.9.0.1/24 dev v0; ip addr add fd09::1/64 dev v0 nodad'
    nsenter -t "$peer" -n sh -c 'ip link set v1 up; ip addr add 10.9.0.2/24 dev v1; ip addr add 10.9.0.3/24 dev v1; ip addr add fd09::3/64 dev v1 nodad'
}
if cable 2>"$tree.out"; then
    in_tree sh -c 'printf "server { listen 10.9.0.1:8081; listen [fd09::1]:8081; return 200 backend; }\n" >/etc/nginx/sites-enabled/backend; nginx -s reload 2>/dev/null; sleep 1
        echo "WATCH_OPTIONS=--interface v0 --backend 10.9.0.1:8081,[fd09::1]:8081 --gateway 10.9.0.2" >/etc/sallyport/watch.env'
    check "the watch starts"                          in_tree systemctl enable --now sallyport-watch.service
    check "with CAP_NET_RAW alone"                    in_tree sh -c 'pid=$(systemctl show -p MainPID --value sallyport-watch); grep -E "^(Uid|Cap|Seccomp)" /proc/$pid/status; grep -q "^CapEff:.0000000000002000" /proc/$pid/status && grep -q "^CapBnd:.0000000000002000" /proc/$pid/status && ! grep -q "^Uid:.0" /proc/$pid/status'
    check "its exposure is 2.5 or better"             exposure sallyport-watch.service 2.5
    from() { nsenter -t "$peer" -n curl -s --max-time 5 --interface "$1" "$2" >/dev/null; }
    in_tree sh -c 'for n in $(seq 40); do journalctl -u sallyport-watch --no-pager | grep -q "watching v0" && exit; sleep 0.25; done'
    check "the gateway reaches the backend"           from 10.9.0.2 http://10.9.0.1:8081/gateway
    check "so does another, directly"                 from 10.9.0.3 'http://10.9.0.1:8081/direct?token=s3cret'
    check "and over IPv6"                             from fd09::3 'http://[fd09::1]:8081/direct6'
    said() { in_tree sh -c "for n in \$(seq 20); do journalctl -u sallyport-watch --no-pager | grep -E '$1' && exit 0; sleep 0.5; done; journalctl -u sallyport-watch --no-pager; exit 1"; }
    check "who it was is in the journal"              said '10\.9\.0\.3 .*10\.9\.0\.1:8081 .*GET /direct\?\.\.\. HTTP/1\.1'
    check "over IPv6 too"                             said 'fd09::3 .*GET /direct6'
    check "the gateway is not"                        in_tree sh -c '! journalctl -u sallyport-watch --no-pager | grep -E "10\.9\.0\.2 +10|/gateway|s3cret"'
    check "and it is an event of the daemon's"        in_tree sh -c 'for n in $(seq 20); do sallyport events --json | grep bypass | grep 10.9.0.3 && exit 0; sleep 0.5; done; exit 1'
    in_tree sh -c 'rm /etc/nginx/sites-enabled/backend; nginx -s reload 2>/dev/null'
else
    echo "note  no cable between network namespaces is to be had here: $(cat "$tree.out")"
fi
