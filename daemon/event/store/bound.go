package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// bound keeps the store within its size and age. It is called after each
// write and removes at most one chunk of events, which is more than a write adds.
func (s *Store) bound() error {
	if now := s.opts.Now(); s.opts.MaxAge > 0 && now.Sub(s.aged) > time.Minute {
		more, err := s.prune(keyOf(now.Add(-s.opts.MaxAge)))
		if err != nil || more {
			return err
		}
		s.aged = now
	}
	if s.opts.MaxBytes <= 0 {
		return nil
	}
	used, free, size, err := pages(context.Background(), s.db)
	if err != nil {
		return err
	}
	bytes, limit := float64(used*size), float64(s.opts.MaxBytes)
	if bytes > limit*pruneAbove {
		s.tight = true
	} else if bytes < limit*pruneTo {
		s.tight = false
	}
	if s.tight {
		if _, err := s.prune(1<<63 - 1); err != nil {
			return err
		}
	}
	if total := float64((used + free) * size); total > limit && free > 0 {
		_, err = s.db.Exec("PRAGMA incremental_vacuum(2000)")
	}
	return err
}

// prune removes the oldest events before key, at most pruneChunk of them, and
// says whether there may be more.
func (s *Store) prune(before int64) (more bool, err error) {
	var upTo int64
	err = s.db.QueryRow("SELECT key FROM events ORDER BY key LIMIT 1 OFFSET ?", pruneChunk-1).Scan(&upTo)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		upTo = before - 1
	case err != nil:
		return false, err
	case upTo >= before:
		upTo = before - 1
	default:
		more = true
	}
	var any bool
	if err := s.db.QueryRow("SELECT EXISTS (SELECT 1 FROM events WHERE key <= ?)", upTo).Scan(&any); err != nil || !any {
		return false, err
	}
	if before == 1<<63-1 && !more {
		return false, nil // fewer events than one chunk: the newest stay
	}
	tx, err := s.db.Begin()
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	for _, q := range []string{"DELETE FROM words WHERE rowid <= ?", "DELETE FROM bodies WHERE key <= ?", "DELETE FROM events WHERE key <= ?"} {
		if _, err := tx.Exec(q, upTo); err != nil {
			return false, err
		}
	}
	// Findings have no index by key alone: there are few names and each is a
	// short range at the head of its own.
	for n := range s.rules {
		if _, err := tx.Exec("DELETE FROM rules WHERE rule = ? AND key <= ?", n, upTo); err != nil {
			return false, err
		}
	}
	for n := range s.seen {
		if _, err := tx.Exec("DELETE FROM checks WHERE name = ? AND key <= ?", n, upTo); err != nil {
			return false, err
		}
	}
	return more, tx.Commit()
}
