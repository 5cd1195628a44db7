package store

import "database/sql"

// Statements that each event runs. They are compiled once: compiling is a third of
// what an insert costs.
const (
	findByID     = "SELECT key FROM events WHERE id = ? ORDER BY key DESC LIMIT 1"
	insertEvent  = "INSERT OR IGNORE INTO events (key, id, kind, client, route, verdict, status) VALUES (?,?,?,?,?,?,?)"
	insertBody   = "INSERT INTO bodies (key, event) VALUES (?,?) ON CONFLICT (key) DO UPDATE SET event = excluded.event"
	insertWords  = "INSERT INTO words (rowid, text) VALUES (?,?)"
	insertRule   = "INSERT OR IGNORE INTO rules (rule, key, verdict, route) VALUES (?,?,?,?)"
	insertCheck  = "INSERT OR IGNORE INTO checks (name, key, verdict, route) VALUES (?,?,?,?)"
	setOutcome   = "UPDATE bodies SET outcome = ? WHERE key = ?"
	updateStatus = "UPDATE events SET status = ? WHERE key = ?"
)

func (s *Store) prepareAll() error {
	s.stmts = map[string]*sql.Stmt{}
	for _, q := range []string{findByID, insertEvent, insertBody, insertWords, insertRule, insertCheck, setOutcome, updateStatus} {
		stmt, err := s.db.Prepare(q)
		if err != nil {
			return err
		}
		s.stmts[q] = stmt
	}
	return nil
}

// txn is a transaction that runs compiled statements where there are some.
type txn struct {
	*sql.Tx
	stmts map[string]*sql.Stmt
	bound map[string]*sql.Stmt
}

func (s *Store) begin() (*txn, error) {
	tx, err := s.db.Begin()
	if err != nil {
		return nil, err
	}
	return &txn{tx, s.stmts, map[string]*sql.Stmt{}}, nil
}

func (t *txn) stmt(query string) *sql.Stmt {
	if b := t.bound[query]; b != nil {
		return b
	}
	s := t.stmts[query]
	if s == nil {
		return nil
	}
	b := t.Stmt(s)
	t.bound[query] = b
	return b
}

// Exec runs a statement, compiled if it is one of those known.
func (t *txn) Exec(query string, args ...any) (sql.Result, error) {
	if s := t.stmt(query); s != nil {
		return s.Exec(args...)
	}
	return t.Tx.Exec(query, args...)
}

// QueryRow asks for one row in the same way.
func (t *txn) QueryRow(query string, args ...any) *sql.Row {
	if s := t.stmt(query); s != nil {
		return s.QueryRow(args...)
	}
	return t.Tx.QueryRow(query, args...)
}
