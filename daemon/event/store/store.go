// Package store keeps recent events in an SQLite file and searches it. The
// daemon writes through a Store, which is a sink of the recorder; verbs read
// through a Reader, from the daemon's file while it runs or not.
//
// The file is bounded by size and by age: past either the oldest events go, a
// few thousand at a time, in the goroutine that writes. Beside it lie SQLite's
// write-ahead log, up to about 16 MiB, and its index.
//
// The record of a request's body, and that of how it ended, are joined to the
// event of the same request id: findings of both are kept, the later verdict
// holds.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
)

// Options bound a store.
type Options struct {
	MaxBytes int64         // of the file, in bytes
	MaxAge   time.Duration // of an event
	// Now is the clock; nil takes time.Now.
	Now func() time.Time
}

// Bounds. Rule and route names past maxNames are stored as "other".
const (
	maxNames   = 1 << 16
	pruneChunk = 2000
	// Pruning begins at 7/8 of the bound and goes on to 13/16: what is left is
	// room for one batch of the largest events.
	pruneAbove = 7.0 / 8
	pruneTo    = 13.0 / 16
)

// Store writes events. It is used by one goroutine.
type Store struct {
	path  string
	opts  Options
	db    *sql.DB
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	names map[string]int64
	rules map[int64]bool // names that stand in the table rules
	seen  map[int64]bool // names that stand in the table checks
	aged  time.Time
	last  int64 // the key given last
	tight bool  // pruning until well below the bound
	stmts map[string]*sql.Stmt
}

// Open opens the store at path for writing, or makes it. A file that is not
// whole, or of another format, is renamed to path.corrupt and a new one is
// begun: note then says so, for an event.
func Open(path string, o Options) (s *Store, note string, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, "", fmt.Errorf("open event store: %w", err)
	}
	s, err = open(path, o)
	if err == nil {
		return s, "", nil
	}
	if _, statErr := os.Stat(path); statErr != nil {
		return nil, "", fmt.Errorf("open event store %s: %w", path, err)
	}
	aside, moveErr := setAside(path)
	if moveErr != nil {
		return nil, "", fmt.Errorf("open event store %s: %w; and it cannot be moved away: %w", path, err, moveErr)
	}
	note = fmt.Sprintf("the event store %s could not be used (%v); it was moved to %s and a new one begun", path, err, aside)
	if s, err = open(path, o); err != nil {
		return nil, "", fmt.Errorf("begin event store %s: %w", path, err)
	}
	return s, note, nil
}

func open(path string, o Options) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	db, err := connect(path, false)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Store{path: path, opts: o, db: db, names: map[string]int64{}, rules: map[int64]bool{}, seen: map[int64]bool{}}
	if err := s.load(); err != nil {
		_ = db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) load() (err error) {
	if err = prepare(s.db); err != nil {
		return err
	}
	if s.enc, err = newEncoder(); err != nil {
		return err
	}
	if s.dec, err = newDecoder(); err != nil {
		return err
	}
	if err = s.prepareAll(); err != nil {
		return err
	}
	if err = s.loadNames("SELECT n, name FROM names", func(n int64, name string) { s.names[name] = n }); err != nil {
		return err
	}
	if err = s.loadNames("SELECT DISTINCT n, name FROM names WHERE n IN (SELECT DISTINCT rule FROM rules)", func(n int64, _ string) { s.rules[n] = true }); err != nil {
		return err
	}
	return s.loadNames("SELECT n, name FROM names WHERE n IN (SELECT DISTINCT name FROM checks)", func(n int64, _ string) { s.seen[n] = true })
}

func (s *Store) loadNames(query string, take func(int64, string)) error {
	rows, err := s.db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var name string
		if err := rows.Scan(&n, &name); err != nil {
			return err
		}
		take(n, name)
	}
	return rows.Err()
}

// Name is "store".
func (s *Store) Name() string { return "store" }

// Path is the file's name.
func (s *Store) Path() string { return s.path }

// Write stores entries in one transaction: all or none.
func (s *Store) Write(entries []event.Entry) (int, error) {
	tx, err := s.begin()
	if err != nil {
		return 0, fmt.Errorf("write to event store %s: %w", s.path, err)
	}
	for _, e := range entries {
		if err := s.put(tx, e); err != nil {
			_ = tx.Rollback()
			s.forgetNames()
			return 0, fmt.Errorf("write to event store %s: %w", s.path, err)
		}
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		s.forgetNames()
		return 0, fmt.Errorf("write to event store %s: %w", s.path, err)
	}
	if err := s.bound(); err != nil {
		return len(entries), fmt.Errorf("keep event store %s within its bound: %w", s.path, err)
	}
	return len(entries), nil
}

// forgetNames reads the names again: those of the failed transaction are not there.
func (s *Store) forgetNames() {
	clear(s.names)
	_ = s.loadNames("SELECT n, name FROM names", func(n int64, name string) { s.names[name] = n })
}

func (s *Store) put(tx *txn, e event.Entry) error {
	if e.Event.ID != "" {
		key, found, err := s.find(tx, e.Event.ID)
		if err != nil {
			return err
		}
		if e.Event.Kind == event.KindOutcome {
			if !found {
				return s.insert(tx, e)
			}
			_, err := tx.Exec(setOutcome, s.enc.EncodeAll(e.JSON, nil), key)
			if err != nil || e.Event.Outcome == nil {
				return err
			}
			return s.setStatus(tx, key, e.Event.Outcome.Status)
		}
		if found {
			return s.merge(tx, key, e)
		}
	}
	return s.insert(tx, e)
}

func (s *Store) find(tx *txn, id string) (key int64, found bool, err error) {
	err = tx.QueryRow(findByID, idBytes(id)).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return key, err == nil, err
}

// setStatus notes the status the client got; the verdict's own stays in the event.
func (s *Store) setStatus(tx *txn, key int64, status int) error {
	_, err := tx.Exec(updateStatus, status, key)
	return err
}

type columns struct {
	kind, route, verdict, status int64
}

func (s *Store) columns(tx *txn, e *event.Event) (c columns, err error) {
	if c.kind, err = s.name(tx, string(e.Kind)); err != nil {
		return c, err
	}
	if c.route, err = s.name(tx, e.Route); err != nil {
		return c, err
	}
	c.verdict = int64(verdictNumbers[e.VerdictWord()])
	c.status = int64(e.Status)
	if e.Outcome != nil {
		c.status = int64(e.Outcome.Status)
	}
	return c, nil
}

func (s *Store) insert(tx *txn, e event.Entry) error {
	c, err := s.columns(tx, e.Event)
	if err != nil {
		return err
	}
	key := keyOf(e.Event.Time)
	for tries := 0; ; tries++ {
		res, err := tx.Exec(insertEvent,
			key, idBytes(e.Event.ID), c.kind, clientBytes(e.Event.Client.Addr()), c.route, c.verdict, c.status)
		if err != nil {
			return err
		}
		if n, _ := res.RowsAffected(); n == 1 {
			break
		}
		if tries > 10000 {
			return fmt.Errorf("%d events in the microsecond of %v", tries, e.Event.Time)
		}
		key++
		if s.last >= key && s.last-key < int64(time.Minute/time.Microsecond) {
			key = s.last + 1 // a burst: what lies between is taken, too
		}
	}
	s.last = key
	return s.attach(tx, key, e, c)
}

// attach writes what hangs on an event's row: its text, findings and words.
func (s *Store) attach(tx *txn, key int64, e event.Entry, c columns) error {
	if _, err := tx.Exec(insertBody, key, s.enc.EncodeAll(e.JSON, nil)); err != nil {
		return err
	}
	for i := range e.Event.Findings {
		if err := s.addFinding(tx, key, &e.Event.Findings[i], c); err != nil {
			return err
		}
	}
	_, err := tx.Exec(insertWords, key, words(e.Event))
	return err
}

func (s *Store) addFinding(tx *txn, key int64, f *check.Finding, c columns) error {
	rule, err := s.name(tx, f.ID)
	if err != nil {
		return err
	}
	name, err := s.name(tx, f.Check)
	if err != nil {
		return err
	}
	s.rules[rule], s.seen[name] = true, true
	if _, err := tx.Exec(insertRule, rule, key, c.verdict, c.route); err != nil {
		return err
	}
	_, err = tx.Exec(insertCheck, name, key, c.verdict, c.route)
	return err
}

// merge joins an event to the one of the same request that is stored.
func (s *Store) merge(tx *txn, key int64, e event.Entry) error {
	var packed []byte
	if err := tx.QueryRow("SELECT event FROM bodies WHERE key = ?", key).Scan(&packed); err != nil {
		return err
	}
	old, err := s.unpack(packed)
	if err != nil {
		return err
	}
	joined := Join(old, e.Event)
	c, err := s.columns(tx, joined)
	if err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM rules WHERE key = ? AND rule = ?", "DELETE FROM checks WHERE key = ? AND name = ?"} {
		for i := range old.Findings {
			name := old.Findings[i].ID
			if strings.Contains(q, "checks") {
				name = old.Findings[i].Check
			}
			n, err := s.name(tx, name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(q, key, n); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec("UPDATE events SET kind = ?, client = ?, route = ?, verdict = ?, status = ? WHERE key = ?",
		c.kind, clientBytes(joined.Client.Addr()), c.route, c.verdict, c.status, key); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM words WHERE rowid = ?", key); err != nil {
		return err
	}
	return s.attach(tx, key, event.Entry{Event: joined, JSON: event.AppendJSON(nil, joined)}, c)
}

// Join is the later record of a request with what the earlier one knew: both
// their findings, and the request's parts that the later lacks.
func Join(earlier, later *event.Event) *event.Event {
	if later.Kind == event.KindOutcome {
		return earlier
	}
	j := *later
	if earlier.Kind == event.KindOutcome {
		return &j
	}
	j.Time = earlier.Time
	j.Findings = joinFindings(earlier.Findings, later.Findings)
	j.Excepted = joinFindings(earlier.Excepted, later.Excepted)
	j.Score = max(earlier.Score, later.Score)
	j.Dropped = max(earlier.Dropped, later.Dropped)
	j.Duration += earlier.Duration
	if later.Verdict == "" {
		j.Verdict, j.WouldDeny, j.Status, j.Why = earlier.Verdict, earlier.WouldDeny, earlier.Status, earlier.Why
		j.Kind = earlier.Kind
	}
	if j.Message == "" {
		j.Message = earlier.Message
	} else if earlier.Message != "" && earlier.Message != j.Message {
		j.Message = earlier.Message + "; " + j.Message
	}
	if len(j.Headers) == 0 {
		j.Headers, j.HeadersCut = earlier.Headers, earlier.HeadersCut
	}
	if len(j.Body) == 0 && j.BodyOmitted == "" {
		j.Body, j.BodyOmitted, j.BodyBytes = earlier.Body, earlier.BodyOmitted, max(earlier.BodyBytes, j.BodyBytes)
		j.BodyCut = earlier.BodyCut
	}
	fill := func(dst *string, v string) {
		if *dst == "" {
			*dst = v
		}
	}
	fill(&j.Method, earlier.Method)
	fill(&j.Host, earlier.Host)
	fill(&j.URI, earlier.URI)
	fill(&j.Protocol, earlier.Protocol)
	fill(&j.Site, earlier.Site)
	fill(&j.Route, earlier.Route)
	fill(&j.Mode, earlier.Mode)
	fill(&j.Door, earlier.Door)
	if !j.Client.IsValid() {
		j.Client = earlier.Client
	}
	return &j
}

// joinFindings keeps each finding once; one is the same if it says the same of
// the same place.
func joinFindings(a, b []check.Finding) []check.Finding {
	type same struct{ check, id, where string }
	have := make(map[same]bool, len(a)+len(b))
	var out []check.Finding
	for _, fs := range [2][]check.Finding{a, b} {
		for _, f := range fs {
			k := same{f.Check, f.ID, f.Where}
			if have[k] || len(out) >= check.MaxFindings {
				continue
			}
			have[k] = true
			out = append(out, f)
		}
	}
	return out
}

func (s *Store) unpack(packed []byte) (*event.Event, error) {
	line, err := s.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, err
	}
	return event.Parse(line)
}

// name is the number of a name, made if need be.
func (s *Store) name(tx *txn, name string) (int64, error) {
	if n, ok := s.names[name]; ok {
		return n, nil
	}
	if len(s.names) >= maxNames {
		if n, ok := s.names["other"]; ok {
			return n, nil
		}
		name = "other"
	}
	res, err := tx.Exec("INSERT INTO names (name) VALUES (?)", name)
	if err != nil {
		return 0, err
	}
	n, err := res.LastInsertId()
	if err == nil {
		s.names[name] = n
	}
	return n, err
}

// maxWords bounds the text of an event that is searched by word, in bytes.
const maxWords = 4 << 10

// words is the text that is searched by word.
func words(e *event.Event) string {
	var b strings.Builder
	add := func(s string) {
		if b.Len() < maxWords && s != "" {
			b.WriteString(s[:min(len(s), maxWords)])
			b.WriteByte(' ')
		}
	}
	add(e.ID)
	add(e.Method)
	add(e.Host)
	add(e.URI)
	add(e.Message)
	add(e.Why)
	add(e.Actor)
	for i := range e.Findings {
		f := &e.Findings[i]
		add(f.Check)
		add(f.ID)
		add(f.Message)
		add(f.Where)
		add(f.Excerpt)
		for _, t := range f.Tags {
			add(t)
		}
	}
	add(e.Header("User-Agent"))
	return b.String()
}

// Close writes the log back into the file and closes it.
func (s *Store) Close() error {
	_, _ = s.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	s.dec.Close()
	return errors.Join(s.enc.Close(), s.db.Close())
}
