#!/bin/bash
# What the doors cost, side by side in one run: requests/s, p50, p99 (of wrk; of
# h2load the mean and the greatest), and CPU of NGINX and the daemon per request.
#   BENCH_SECONDS=3  how long each row runs
#   BENCH_ROWS=1     whether the rows are run at all
#   BENCH_PAIRS=0    so many pairs of a GET answered by the minimal Go server and by
#                    Sallyport, in turn: the median of their ratios in CPU a request
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || "$here/scripts/need" nginx-light
command -v wrk >/dev/null || "$here/scripts/need" wrk
command -v h2load >/dev/null || "$here/scripts/need" nghttp2-client
PATH=$PATH:/usr/sbin
seconds=${BENCH_SECONDS:-3}
dir=$(mktemp -d /tmp/sallyport-bench.XXXXXX)
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
mkdir -p "$dir/sallyport" "$dir/state" "$dir/www"
for f in "$here"/nginx/*.conf; do
    sed "s#/run/sallyport#$dir#g; s#/var/log/nginx#$dir#g" "$f" >"$dir/sallyport/$(basename "$f")"
done
free_port() { local port=$1; while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done; echo "$port"; }
port=$(free_port 8188)
h2port=$(free_port 8288)
back=$(free_port 9188)
cat >"$dir/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/error.log error;
$([ "$(id -u)" -eq 0 ] && echo "user root;")
events { worker_connections 2048; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    client_body_buffer_size 128k;
    include sallyport/http.conf;
    upstream back { server 127.0.0.1:$back; keepalive 64; }
    upstream floor { server unix:$dir/floor.sock; keepalive 64; }
    server { listen 127.0.0.1:$back; location / { return 200 "$(head -c 1024 /dev/zero | tr '\0' a)"; } }
    server {
        listen 127.0.0.1:$port; listen 127.0.0.1:$h2port http2;
        include sallyport/server.conf;
        access_log off;
        proxy_http_version 1.1; proxy_set_header Connection "";
        location /plain { proxy_pass http://back; }
        location /return { auth_request /yes; proxy_pass http://back; }
        location = /yes { internal; return 204; }
        location /floor { auth_request /_floor; proxy_pass http://back; }
        location = /_floor { internal; include sallyport/door.conf; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://floor/enter; }
        location /enter { auth_request /_enter; proxy_pass http://back; }
        location = /_enter { internal; include sallyport/door.conf; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://sallyport/enter; }
        location /inline { set \$sallyport_to @back; include sallyport/inline-closed.conf; }
        location /relay { set \$sallyport_to @back; include sallyport/relay-closed.conf; }
        location /metadata { set \$sallyport_to @back; include sallyport/metadata-closed.conf; }
        location @back { include sallyport/proven.conf; proxy_pass http://back; }
    }
}
CONF
cat >"$dir/sallyport.toml" <<CONF
[server]
door = "$dir/door.sock"
access = ""
control = ""
state_dir = "$dir/state"
[defaults]
mode = "enforce"
${BENCH_CONFIG:-}
CONF
"$here/build/doorfloor" -socket "$dir/floor.sock" &
floor=$!; pids+=("$floor")
"${SALLYPORT:-$here/build/sallyport}" serve --config "$dir/sallyport.toml" 2>"$dir/daemon.log" &
daemon=$!; pids+=("$daemon")
nginx -p "$dir" -c "$dir/nginx.conf" &
pids+=($!)
for _ in $(seq 200); do [ -S "$dir/door.sock" ] && curl -s -o /dev/null "http://127.0.0.1:$port/plain" && break; sleep 0.05; done
worker=$(pgrep -P "$(cat "$dir/nginx.pid")" | head -n 1)

for size in 2 64; do
    { printf '{"text":"'; head -c $((size * 1024 - 12)) /dev/zero | tr '\0' a; printf '"}'; } >"$dir/body$size.json"
    cat >"$dir/post$size.lua" <<LUA
local f = io.open("$dir/body$size.json"); wrk.body = f:read("*a"); f:close()
wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"
LUA
done
cpu() { # clock ticks so far of NGINX's worker, and of the daemon or the floor
    local p a t=()
    for p in "$worker" "$floor" "$daemon"; do a=($(sed 's/.*) //' "/proc/$p/stat")); t+=($((a[11] + a[12]))); done
    echo "${t[0]} $((t[1] + t[2]))"
}
per() { # per BEFORE AFTER REQUESTS: microseconds of each a request
    awk -v b="$1" -v a="$2" -v n="$3" -v hz="$hz" 'BEGIN { split(b, x, " "); split(a, y, " "); f = n ? 1e6 / hz / n : 0
        printf "%8.1f %8.1f", (y[1] - x[1]) * f, (y[2] - x[2]) * f }'
}
hz=$(getconf CLK_TCK)
row() { # row TITLE PATH [wrk script]
    local title=$1 path=$2 script=${3:-} before after out n
    before=$(cpu)
    out=$(wrk -t1 -c8 -d"${seconds}s" --latency ${script:+-s "$script"} "http://127.0.0.1:$port$path")
    after=$(cpu)
    n=$(sed -n 's/ *\([0-9]*\) requests in.*/\1/p' <<<"$out")
    local errors; errors=$(sed -n 's/ *Non-2xx or 3xx responses: *//p' <<<"$out")
    printf '%-44s %10s %10s %10s %s %s\n' "$title" "$(sed -n 's/Requests\/sec: *//p' <<<"$out")" \
        "$(awk '$1=="50%"{print $2}' <<<"$out")" "$(awk '$1=="99%"{print $2}' <<<"$out")" \
        "$(per "$before" "$after" "$n")" "${errors:+($errors refused)}"
}
h2row() { # h2row TITLE PATH [body]
    local title=$1 path=$2 body=${3:-} before after out n
    before=$(cpu)
    out=$(h2load -t1 -c8 -m4 -D"$seconds" ${body:+-d "$body" -H "content-type: application/json"} "http://127.0.0.1:$h2port$path")
    after=$(cpu)
    n=$(sed -n 's/^requests: .* \([0-9]*\) done.*/\1/p' <<<"$out")
    local mean; mean=$(awk '/^time for request:/ {print $6}' <<<"$out"); local most; most=$(awk '/^time for request:/ {print $5}' <<<"$out")
    printf '%-44s %10s %10s %10s %s\n' "$title" "$(sed -n 's/^finished in.*, \([0-9.]*\) req\/s.*/\1/p' <<<"$out")" "$mean" "$most" \
        "$(per "$before" "$after" "$n")"
}
rows() {
    printf '%-44s %10s %10s %10s %s\n' "" "requests/s" "p50" "p99" "CPU us/req:"
    printf '%-77s %8s %8s\n' "" "NGINX" "daemon"
    row "GET  NGINX alone" /plain
    row "GET  auth_request, return 204 (the floor)" /return
    row "GET  auth_request, minimal Go server" /floor
    row "GET  Sallyport inline" /inline
    row "GET  Sallyport relay" /relay
    for size in 2 64; do
        row "POST ${size} KB  NGINX alone" /plain "$dir/post$size.lua"
        row "POST ${size} KB  Sallyport metadata" /metadata "$dir/post$size.lua"
        row "POST ${size} KB  Sallyport inline" /inline "$dir/post$size.lua"
        row "POST ${size} KB  Sallyport relay" /relay "$dir/post$size.lua"
    done
    echo "HTTP/2 (h2load: mean and greatest time instead of p50 and p99)"
    h2row "GET  NGINX alone" /plain
    h2row "GET  Sallyport inline" /inline
    h2row "GET  Sallyport relay" /relay
    h2row "POST 2 KB  Sallyport inline" /inline "$dir/body2.json"
    h2row "POST 2 KB  Sallyport relay" /relay "$dir/body2.json"
}

# On a machine that others use, figures of two rows differ by what happened
# meanwhile. Pairs in turn, and the median of their ratios, hold better.
cpu_ns() { cat /proc/"$1"/task/*/schedstat 2>/dev/null | awk '{n += $1} END {printf "%.0f", n}'; }
half() { # half PATH PID: nanoseconds of that process, and of NGINX's worker, a request
    local w=$(cpu_ns "$worker") d=$(cpu_ns "$2") n
    n=$(wrk -t1 -c8 -d1s "http://127.0.0.1:$port$1" | sed -n 's/ *\([0-9]*\) requests in.*/\1/p')
    echo "$(( ($(cpu_ns "$2") - d) / n )) $(( ($(cpu_ns "$worker") - w) / n ))"
}
pairs() { # pairs N PATH TITLE
    local f i
    half /floor "$floor" >/dev/null; half "$2" "$daemon" >/dev/null
    for _ in $(seq "$1"); do
        f=$(half /floor "$floor"); i=$(half "$2" "$daemon")
        echo "$f $i"; i=$(half "$2" "$daemon"); f=$(half /floor "$floor"); echo "$f $i"
    done | awk -v title="$3" '
        function median(a, n,    i, j, t) { for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t }
            return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
        function least(a, n,    i, m) { m = a[1]; for (i = 2; i <= n; i++) if (a[i] < m) m = a[i]; return m }
        { f[NR] = $1 / 1000; s[NR] = $3 / 1000; fn[NR] = ($1 + $2) / 1000; sn[NR] = ($3 + $4) / 1000; r[NR] = $3 / $1; both[NR] = sn[NR] / fn[NR] }
        END { print title " against a minimal Go server that answers 204, CPU us/req in " NR " pairs:"
            printf "  daemon      medians %.1f and %.1f, median of the ratios %.3f; least %.1f and %.1f, ratio %.3f\n", median(s, NR), median(f, NR), median(r, NR), least(s, NR), least(f, NR), least(s, NR) / least(f, NR)
            printf "  with NGINX  medians %.1f and %.1f, median of the ratios %.3f; least %.1f and %.1f, ratio %.3f\n", median(sn, NR), median(fn, NR), median(both, NR), least(sn, NR), least(fn, NR), least(sn, NR) / least(fn, NR) }'
}
[ "${BENCH_ROWS:-1}" = 0 ] || rows
if [ "${BENCH_PAIRS:-0}" != 0 ]; then
    pairs "$BENCH_PAIRS" /enter "GET, Sallyport behind the same auth_request,"
    pairs "$BENCH_PAIRS" /inline "GET, Sallyport inline,"
fi
[ ! -s "$dir/error.log" ] || { echo "NGINX complained:"; sort "$dir/error.log" | uniq -c | tail -n 5; }
