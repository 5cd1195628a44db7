package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// version is PRAGMA user_version of a store with this schema.
const version = 1

// An event's key is its time in microseconds, raised until it is its own, so
// that every index ends in the order of time. The columns that filters ask
// for are repeated in the indexes: a filter that is met by nothing must not
// look up a million rows.
const schema = `
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE names (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE events (
	key INTEGER PRIMARY KEY, id BLOB, kind INTEGER NOT NULL, client BLOB,
	route INTEGER NOT NULL, verdict INTEGER NOT NULL, status INTEGER NOT NULL);
CREATE INDEX by_id ON events (id) WHERE id IS NOT NULL;
CREATE INDEX by_client ON events (client, key, verdict, route, status, kind);
CREATE INDEX by_route ON events (route, key, verdict, status, kind);
CREATE INDEX by_verdict ON events (verdict, key, status, kind);
CREATE INDEX by_status ON events (status, key, verdict, route, kind);
CREATE INDEX by_kind ON events (kind, key);
CREATE TABLE rules (
	rule INTEGER NOT NULL, key INTEGER NOT NULL, verdict INTEGER NOT NULL, route INTEGER NOT NULL,
	PRIMARY KEY (rule, key)) WITHOUT ROWID;
CREATE TABLE checks (
	name INTEGER NOT NULL, key INTEGER NOT NULL, verdict INTEGER NOT NULL, route INTEGER NOT NULL,
	PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE TABLE bodies (key INTEGER PRIMARY KEY, event BLOB NOT NULL, outcome BLOB);
CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, detail=none, tokenize="unicode61 remove_diacritics 0 tokenchars '_'");
PRAGMA user_version = 1;
`

// verdicts as stored.
var verdictNumbers = map[string]int{"": 0, "allow": 1, "deny": 2, "would deny": 3}

func connect(path string, readOnly bool, more ...string) (*sql.DB, error) {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(5000)")
	if readOnly {
		q.Add("mode", "ro")
		q.Add("_pragma", "query_only(1)")
		q.Add("_pragma", "cache_size(-8192)")
	} else {
		q.Add("_pragma", "synchronous(NORMAL)")
		q.Add("_pragma", "journal_size_limit(16777216)")
		q.Add("_pragma", "cache_size(-4096)")
		q.Add("_pragma", "temp_store(MEMORY)")
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Add(more[i], more[i+1])
	}
	u := url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// prepare makes the schema in an empty file and checks it in another.
func prepare(db *sql.DB) error {
	var v int
	if err := db.QueryRow("PRAGMA user_version").Scan(&v); err != nil {
		return err
	}
	if v == 0 {
		var tables int
		if err := db.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
			return err
		}
		if tables > 0 {
			return errors.New("it is a database of something else")
		}
		_, err := db.Exec(schema)
		return err
	}
	if v != version {
		return fmt.Errorf("its format is %d, %d was expected", v, version)
	}
	var ok string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&ok); err != nil {
		return err
	}
	if ok != "ok" {
		return errors.New(ok)
	}
	return nil
}

// setAside renames a store that cannot be used and says where to.
func setAside(path string) (string, error) {
	aside := path + ".corrupt"
	for _, tail := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+tail, aside+tail)
		if err != nil && !(tail != "" && errors.Is(err, fs.ErrNotExist)) {
			return "", err
		}
	}
	return aside, nil
}

func idBytes(id string) any {
	if id == "" {
		return nil
	}
	if len(id) == 32 {
		if b, err := hex.DecodeString(id); err == nil {
			return b
		}
	}
	return []byte(id)
}

func clientBytes(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	return a.Unmap().AsSlice()
}

func keyOf(t time.Time) int64 { return t.UnixMicro() }

// sample is the dictionary that events are compressed with. It is part of the
// format: a change needs a new version.
const sample = `{"@timestamp":"2026-01-01T00:00:00.000000Z","message":"would deny POST ","ecs":{"version":"8.11.0"},"log":{"level":"info"},"event":{"kind":"event","category":["configuration"],"type":["change"],"action":"audit","kind":"alert","category":["web"],"type":["allowed"],"action":"outcome","module":"sallyport","dataset":"sallyport.event","id":"","reason":"no finding"},"http":{"version":"2.0","request":{"id":"","method":"PUT","method":"GET","method":"POST","bytes":1,"body":{"bytes":2,"content":"{\"user\":\"[redacted]"}},"response":{"status_code":200,"bytes":1}},"url":{"original":"/api/v1/users?id=1","domain":"api.example.com","path":"/api"},"client":{"ip":"10.0.0.1","port":4},"server":{"ip":"10.0.0.1","port":443},"tls":{"version":"1.3","version_protocol":"tls"},"user_agent":{"original":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"},"sallyport":{"schema":1,"site":"","route":"","mode":"detect","mode":"enforce","door":"enter","door":"leave","door":"body","verdict":"allow","would_deny":true,"policy":"","findings":[{"check":"score","id":"attack","message":"","where":"query:q","severity":"critical","severity":"high","severity":"medium","score":80,"deny":true,"excerpt":"' or 1=1-- <script>alert(1)</script> ../../etc/passwd union select","mark":[1,2],"detail":"","rule":"/etc/sallyport/rules/","tags":["CVE-20","CWE-89"]},{"check":"signature","id":"1:100001","message":"SQL injection"}],"excepted":[],"headers":[{"name":"Content-Type","value":"application/json"},{"name":"Accept-Encoding","value":"gzip, deflate, br"},{"name":"Accept-Language","value":"en-US,en;q=0.9"},{"name":"Accept","value":"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},{"name":"Authorization","value":"Bearer [redacted]"},{"name":"Cookie","value":"sid=[redacted]"},{"name":"User-Agent","value":"Mozilla/5.0"},{"name":"Content-Length","value":"1"},{"name":"Referer","value":"https://"}],"outcome":{"state":"known","request_ms":1,"upstream_status":200,"upstream_ms":1,"upstream_address":"127.0.0.1:8080"}}}`

const sampleID = 0x5a11

// maxStored bounds an event's size when it is read back, in bytes.
const maxStored = 8 << 20

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderDictRaw(sampleID, []byte(sample)), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(64<<10))
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderDictRaw(sampleID, []byte(sample)), zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxStored))
}

// pages tells the pages in use and their size.
func pages(ctx context.Context, db *sql.DB) (used, free, size int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT page_count - freelist_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size").Scan(&used, &free, &size)
	return used, free, size, err
}
