package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
)

type checkFinding = check.Finding

// Record is a stored event, and how its request ended if that is known.
type Record struct {
	Event   *event.Event
	JSON    []byte
	Outcome *event.Event // nil when no access log line is stored
	OutJSON []byte
}

// Reader searches a store. It is safe for concurrent use, beside a daemon
// that writes.
type Reader struct {
	db  *sql.DB
	dec *zstd.Decoder
}

// ErrNotFound says that no event has an id.
var ErrNotFound = errors.New("no such event")

// OpenReader opens the store at path for reading.
func OpenReader(path string) (*Reader, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("open event store: %w; run this as root, or ask the daemon through its control socket", err)
		}
		return nil, fmt.Errorf("open event store: %w; the daemon has recorded nothing there: see events.store and server.state_dir in its configuration", err)
	}
	r, err := openReader(path)
	if err != nil {
		// A folder that may not be written to has no place for the index of
		// the write-ahead log; without a log it is not needed.
		if _, statErr := os.Stat(path + "-wal"); errors.Is(statErr, fs.ErrNotExist) {
			r, err = openReader(path, "immutable", "1")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open event store %s: %w", path, err)
	}
	return r, nil
}

func openReader(path string, more ...string) (*Reader, error) {
	db, err := connect(path, true, more...)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(2)
	var v int
	if err := db.QueryRow("PRAGMA user_version").Scan(&v); err != nil {
		_ = db.Close()
		return nil, err
	}
	if v != version {
		_ = db.Close()
		return nil, fmt.Errorf("its format is %d, %d was expected", v, version)
	}
	dec, err := newDecoder()
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &Reader{db, dec}, nil
}

// Close closes the reader.
func (r *Reader) Close() error {
	r.dec.Close()
	return r.db.Close()
}

// Get finds the event of a request id, or of the only one that begins so (at
// least 6 characters). ErrNotFound if there is none.
func (r *Reader) Get(ctx context.Context, id string) (*Record, error) {
	var key int64
	err := r.db.QueryRowContext(ctx, "SELECT key FROM events WHERE id = ? ORDER BY key DESC LIMIT 1", idBytes(id)).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) && len(id) >= 6 && len(id) < 32 {
		key, err = r.byPrefix(ctx, strings.ToLower(id))
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("look up event %s: %w", id, err)
	}
	records, err := r.load(ctx, []int64{key})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return &records[0], nil
}

func (r *Reader) byPrefix(ctx context.Context, id string) (int64, error) {
	low, okLow := idBytes(id + strings.Repeat("0", 32-len(id))).([]byte)
	high, okHigh := idBytes(id + strings.Repeat("f", 32-len(id))).([]byte)
	if !okLow || !okHigh || len(low) != 16 || len(high) != 16 {
		return 0, sql.ErrNoRows
	}
	rows, err := r.db.QueryContext(ctx, "SELECT key FROM events WHERE id BETWEEN ? AND ? LIMIT 2", low, high)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var keys []int64
	for rows.Next() {
		var k int64
		if err := rows.Scan(&k); err != nil {
			return 0, err
		}
		keys = append(keys, k)
	}
	switch {
	case rows.Err() != nil:
		return 0, rows.Err()
	case len(keys) == 0:
		return 0, sql.ErrNoRows
	case len(keys) > 1:
		return 0, errors.New("several events begin so; give more of the id")
	}
	return keys[0], nil
}

// Count is how many events are stored.
func (r *Reader) Count(ctx context.Context) (n int64, err error) {
	err = r.db.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, err
}

// Search returns the newest events that meet the filter, the newest first.
func (r *Reader) Search(ctx context.Context, f Filter) ([]Record, error) {
	keys, err := r.keys(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("search events: %w", err)
	}
	return r.load(ctx, keys)
}

func (r *Reader) load(ctx context.Context, keys []int64) ([]Record, error) {
	stmt, err := r.db.PrepareContext(ctx, "SELECT event, outcome FROM bodies WHERE key = ?")
	if err != nil {
		return nil, err
	}
	defer stmt.Close()
	out := make([]Record, 0, len(keys))
	for _, k := range keys {
		var packed, outcome []byte
		err := stmt.QueryRowContext(ctx, k).Scan(&packed, &outcome)
		if errors.Is(err, sql.ErrNoRows) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		var rec Record
		if rec.Event, rec.JSON, err = r.unpack(packed); err != nil {
			return nil, err
		}
		if outcome != nil {
			if rec.Outcome, rec.OutJSON, err = r.unpack(outcome); err != nil {
				return nil, err
			}
		}
		out = append(out, rec)
	}
	return out, nil
}

func (r *Reader) unpack(packed []byte) (*event.Event, []byte, error) {
	line, err := r.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("unpack event: %w", err)
	}
	e, err := event.Parse(line)
	return e, line, err
}

// few is the number of matches up to which a filter's index is taken at once.
const few = 2000

// keys finds the keys of the newest matches. It asks which filter's index has
// the fewest matches, as far as few tell, and walks that one from its end.
func (r *Reader) keys(ctx context.Context, f Filter) ([]int64, error) {
	limit := min(max(f.Limit, 0), MaxLimit)
	if limit == 0 {
		limit = DefaultLimit
	}
	p, possible, err := r.plan(ctx, f)
	if err != nil || !possible {
		return nil, err
	}
	best, bestCount := -1, few
	for i, w := range p.walks {
		n := 0
		if len(p.walks) > 1 || w.sorts {
			q := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s AND %s BETWEEN ? AND ? LIMIT %d)", w.table, w.where, w.key, bestCount)
			if err := r.db.QueryRowContext(ctx, q, append(append([]any(nil), w.args...), p.low, p.high)...).Scan(&n); err != nil {
				return nil, err
			}
			if n == 0 {
				return nil, nil
			}
		}
		if best < 0 && !w.sorts || n < bestCount {
			best, bestCount = i, min(n, bestCount)
		}
	}
	query, args := p.query(best, limit)
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []int64
	for rows.Next() {
		var k int64
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// walk is one filter as an index to walk along in the order of keys.
type walk struct {
	table string // with its alias and index
	key   string
	where string
	args  []any
	// has are the columns it can answer for other filters without the event's row.
	has map[string]string
	// also is the filter as a condition on the event's row e, when another
	// index is walked.
	also     string
	alsoArgs []any
	column   string // the plain column that also stands for, if it does
	sorts    bool   // its matches come in no order: it is walked only if they are few
}

type plan struct {
	low, high int64
	walks     []walk
	extra     []string // conditions that have no walk of their own
	extraArgs []any
}

// plan lists the filters as walks, the most selective kind first. possible is
// false when a name asked for was never stored.
func (r *Reader) plan(ctx context.Context, f Filter) (p plan, possible bool, err error) {
	p.low, p.high = -1<<63, 1<<63-1
	if !f.Since.IsZero() {
		p.low = keyOf(f.Since)
	}
	if !f.Until.IsZero() {
		p.high = keyOf(f.Until)
	}
	numbers := map[string]int64{}
	for _, name := range []string{f.Rule, f.Check, f.Route, f.Kind} {
		if name == "" {
			continue
		}
		var n int64
		err := r.db.QueryRowContext(ctx, "SELECT n FROM names WHERE name = ?", name).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return p, false, nil
		}
		if err != nil {
			return p, false, err
		}
		numbers[name] = n
	}
	if f.Client.IsValid() {
		p.addClient(f.Client)
	}
	if f.Rule != "" {
		n := numbers[f.Rule]
		p.walks = append(p.walks, walk{table: "rules f", key: "f.key", where: "f.rule = ?", args: []any{n},
			has:  map[string]string{"verdict": "f.verdict", "route": "f.route"},
			also: "EXISTS (SELECT 1 FROM rules WHERE rule = ? AND key = e.key)", alsoArgs: []any{n}})
	}
	if f.Check != "" {
		n := numbers[f.Check]
		p.walks = append(p.walks, walk{table: "checks f", key: "f.key", where: "f.name = ?", args: []any{n},
			has:  map[string]string{"verdict": "f.verdict", "route": "f.route"},
			also: "EXISTS (SELECT 1 FROM checks WHERE name = ? AND key = e.key)", alsoArgs: []any{n}})
	}
	if ok := p.addText(f.Text); !ok {
		return p, false, nil
	}
	if f.Route != "" {
		p.addColumn("route", numbers[f.Route], "by_route")
	}
	if f.Status >= 100 {
		p.addColumn("status", int64(f.Status), "by_status")
	} else if f.Status > 0 {
		if ok, err := r.addStatusClass(ctx, &p, f.Status); !ok {
			return p, false, err
		}
	}
	if f.Verdict != "" {
		p.addColumn("verdict", int64(verdictNumbers[f.Verdict]), "by_verdict")
	}
	if f.Kind != "" {
		p.addColumn("kind", numbers[f.Kind], "by_kind")
	}
	return p, true, nil
}

// addStatusClass adds the statuses of a class that are stored; false says that
// there are none.
func (r *Reader) addStatusClass(ctx context.Context, p *plan, class int) (bool, error) {
	var list []string
	for after := class*100 - 1; after < class*100+99; {
		var next sql.NullInt64
		if err := r.db.QueryRowContext(ctx, "SELECT min(status) FROM events WHERE status > ? AND status < ?", after, class*100+100).Scan(&next); err != nil {
			return false, err
		}
		if !next.Valid {
			break
		}
		list = append(list, strconv.FormatInt(next.Int64, 10))
		after = int(next.Int64)
	}
	if len(list) == 0 {
		return false, nil
	}
	in := "e.status IN (" + strings.Join(list, ",") + ")"
	p.walks = append(p.walks, walk{table: "events e INDEXED BY by_status", key: "e.key", where: in, also: in, sorts: len(list) > 1})
	return true, nil
}

func (p *plan) addColumn(column string, n int64, index string) {
	p.walks = append(p.walks, walk{table: "events e INDEXED BY " + index, key: "e.key", where: "e." + column + " = ?", args: []any{n},
		also: "e." + column + " = ?", alsoArgs: []any{n}, column: column})
}

func (p *plan) addClient(c netip.Prefix) {
	low, high := c.Addr().AsSlice(), lastOf(c)
	if c.IsSingleIP() {
		p.walks = append(p.walks, walk{table: "events e INDEXED BY by_client", key: "e.key", where: "e.client = ?", args: []any{low},
			also: "e.client = ?", alsoArgs: []any{low}})
		return
	}
	length := len(low)
	p.extra = append(p.extra, "e.client BETWEEN ? AND ? AND length(e.client) = ?")
	p.extraArgs = append(p.extraArgs, low, high, length)
}

func lastOf(c netip.Prefix) []byte {
	b := c.Addr().AsSlice()
	for i := c.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return b
}

// addText adds the words; false says that there is no word in the text.
func (p *plan) addText(text string) bool {
	if text == "" {
		return true
	}
	words := tokens(text)
	if len(words) == 0 {
		return false
	}
	for i, w := range words {
		words[i] = `"` + w + `"`
	}
	match := strings.Join(words, " ")
	if strings.HasSuffix(text, "*") {
		match += "*"
	}
	p.walks = append(p.walks, walk{table: "words f", key: "f.rowid", where: "f.words MATCH ?", args: []any{match},
		also: "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND rowid = e.key)", alsoArgs: []any{match}})
	return true
}

// query walks p.walks[best], or all events when best is -1.
func (p *plan) query(best, limit int) (string, []any) {
	w := walk{table: "events e", key: "e.key", where: "1"}
	if best >= 0 {
		w = p.walks[best]
	}
	conditions := []string{w.where, w.key + " BETWEEN ? AND ?"}
	args := append(append([]any(nil), w.args...), p.low, p.high)
	needEvent := len(p.extra) > 0
	for i, o := range p.walks {
		if i == best {
			continue
		}
		cond := o.also
		if own, ok := w.has[o.column]; ok && o.column != "" {
			cond = own + " = ?"
		} else {
			needEvent = true
		}
		conditions = append(conditions, cond)
		args = append(args, o.alsoArgs...)
	}
	conditions = append(conditions, p.extra...)
	args = append(args, p.extraArgs...)
	from := w.table
	if needEvent && !strings.HasPrefix(w.table, "events e") {
		from += " CROSS JOIN events e ON e.key = " + w.key
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s DESC LIMIT %d", w.key, from, strings.Join(conditions, " AND "), w.key, limit), args
}
