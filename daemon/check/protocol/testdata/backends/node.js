// Says what Node reads of each request it is sent.
const http = require('http');
const b64 = s => Buffer.from(s, typeof s === 'string' ? 'utf8' : undefined).toString('base64');
function leaves(where, v, out) {
  if (v && typeof v === 'object') {
    for (const [k, x] of Object.entries(v)) leaves(where + '/' + k, x, out);
  } else if (typeof v === 'string') out.push([where, b64(v)]);
}
const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', c => chunks.push(c));
  req.on('end', async () => {
    const body = Buffer.concat(chunks), out = [];
    let path = req.url;
    try {
      const url = new URL(req.url, 'http://x.org');
      path = url.pathname;
      try { path = decodeURIComponent(path); } catch { /* kept as it is */ }
      for (const [k, v] of url.searchParams) out.push(['query:' + k, b64(v)]);
    } catch { out.push(['error', b64('url')]); }
    for (const piece of (req.headers.cookie || '').split(';')) {
      const eq = piece.indexOf('=');
      if (eq < 0) continue;
      let v = piece.slice(eq + 1).trim();
      try { v = decodeURIComponent(v); } catch { /* kept as it is */ }
      out.push(['cookie:' + piece.slice(0, eq).trim(), b64(v)]);
    }
    const type = req.headers['content-type'] || '';
    try {
      if (type.startsWith('application/json')) leaves('json', JSON.parse(body.toString('utf8')), out);
      else if (type.startsWith('application/x-www-form-urlencoded') || type.startsWith('multipart/form-data')) {
        const form = await new Response(body, { headers: { 'content-type': type } }).formData();
        for (const [k, v] of form) {
          if (typeof v === 'string') { out.push(['form:' + k, b64(v)]); continue; }
          out.push(['filename:' + k, b64(v.name)]);
          out.push(['multipart:' + k, b64(Buffer.from(await v.arrayBuffer()))]);
        }
      }
    } catch (e) { out.push(['error', b64(e.name)]); }
    const answer = JSON.stringify({ path: b64(path), values: out });
    res.writeHead(200, { 'Content-Length': Buffer.byteLength(answer), Connection: 'close' });
    res.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
