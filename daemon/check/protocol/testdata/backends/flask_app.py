"""Says what Flask reads of each request it is sent."""
import base64, json, logging
from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)
logging.getLogger("werkzeug").disabled = True


def b64(s):
    if isinstance(s, str):
        s = s.encode("utf-8", "surrogatepass")
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


@app.before_request
def read():
    out = []
    for where, d in (("query", request.args), ("form", request.form)):
        for k, v in d.items(multi=True):
            out.append([where + ":" + k, b64(v)])
    for k, v in request.cookies.items(multi=True):
        out.append(["cookie:" + k, b64(v)])
    for k, f in request.files.items(multi=True):
        out.append(["filename:" + k, b64(f.filename or "")])
        out.append(["multipart:" + k, b64(f.read())])
    if request.is_json:
        v = request.get_json(silent=True)
        leaves("json", v, out)
    return json.dumps({"path": b64(request.path), "values": out})


server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
