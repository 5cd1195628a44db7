"""Says what Python's standard library reads of each request it is sent."""
import base64, email, http.cookies, http.server, json, sys, urllib.parse


def b64(s):
    if isinstance(s, str):
        s = s.encode("utf-8", "surrogateescape" if s.isascii() or not any(0xD800 <= ord(c) < 0xDC80 or ord(c) > 0xDCFF and ord(c) < 0xE000 for c in s) else "surrogatepass")
    return base64.b64encode(s).decode()


def leaves(where, v, out):
    if isinstance(v, dict):
        for k, x in v.items():
            leaves(where + "/" + k, x, out)
    elif isinstance(v, list):
        for i, x in enumerate(v):
            leaves(where + "/" + str(i), x, out)
    elif isinstance(v, str):
        out.append([where, b64(v)])


def pairs(where, text, out):
    for k, v in urllib.parse.parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=None):
        out.append([where + ":" + k, b64(v)])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self):
        out = []
        parts = urllib.parse.urlsplit(self.path)
        pairs("query", parts.query, out)
        for name, m in http.cookies.SimpleCookie(self.headers.get("cookie", "")).items():
            out.append(["cookie:" + name, b64(m.value)])
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        media = self.headers.get_content_type() if self.headers.get("content-type") else ""
        try:
            if media == "application/json":
                leaves("json", json.loads(body), out)
            elif media == "application/x-www-form-urlencoded":
                pairs("form", body.decode("utf-8", "surrogateescape"), out)
            elif media.startswith("multipart/"):
                head = b"Content-Type: " + self.headers["content-type"].encode("latin-1") + b"\r\n\r\n"
                for part in email.message_from_bytes(head + body).walk():
                    if part.is_multipart():
                        continue
                    name = part.get_param("name", header="content-disposition") or ""
                    if part.get_filename():
                        out.append(["filename:" + str(name), b64(part.get_filename())])
                    out.append(["multipart:" + str(name), b64(part.get_payload(decode=True) or b"")])
        except Exception as e:
            out.append(["error", b64(type(e).__name__)])
        answer = json.dumps({"path": b64(urllib.parse.unquote_to_bytes(parts.path)), "values": out}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
