package keyword

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Limit counts a rule's matches in windows that begin with a match, as both
// engines count them.
type Limit struct {
	Type    string // limit, threshold, both, backoff, filter, rate
	Track   string // by_src, by_dst, by_rule, by_both, by_flow
	Count   uint64
	Seconds uint64
	// Multiplier is by how much the count to the next alert grows (backoff).
	Multiplier uint64
	ID         uint64 // gid and sid, so that rules do not share counts
}

// counting guards read-modify-write of a counter; striped by key.
var counting [64]sync.Mutex

// Allow counts a match and says whether it passes.
func (l *Limit) Allow(e *Env) bool {
	if e.Store == nil || l.Count == 0 {
		return true
	}
	b := e.scratch[:0]
	for i := 0; i < 8; i++ {
		b = append(b, byte(l.ID>>(8*i)))
	}
	b = append(b, l.Type...)
	switch l.Track {
	case "by_src":
		a := e.Client.Addr().As16()
		b = append(b, a[:]...)
	case "by_dst":
		a := e.Server.Addr().As16()
		b = append(b, a[:]...)
	case "by_both":
		a, c := e.Client.Addr().As16(), e.Server.Addr().As16()
		b = append(append(b, a[:]...), c[:]...)
	case "by_flow":
		b = append(b, e.Flow...)
	}
	e.scratch = b
	k := e.Store.Key("signature limit", b)
	m := &counting[uint64(k)%64]
	m.Lock()
	defer m.Unlock()
	// The high half is the second the window began in, plus one; the low half
	// the count.
	v := e.Store.Bits(k, e.Now)
	now := uint64(e.Now.Unix()) & 0xffffffff
	start, n := v>>32, v&0xffffffff
	if start == 0 || now-(start-1) >= l.Seconds && l.Seconds > 0 {
		start, n = now+1, 0
	}
	n++
	pass := false
	switch l.Type {
	case "limit":
		pass = n <= l.Count
	case "threshold":
		if pass = n >= l.Count; pass {
			start, n = 0, 0
		}
	case "both":
		pass = n == l.Count
	case "backoff":
		at := l.Count
		for at < n && l.Multiplier > 1 {
			at *= l.Multiplier
		}
		pass = n == at
	default:
		pass = n > l.Count
	}
	life := time.Duration(l.Seconds) * 2 * time.Second
	if l.Seconds == 0 {
		life = flowLife
	}
	e.Store.SetBits(k, e.Now, life, ^uint64(0), start<<32|n)
	return pass
}

func parseLimit(o rule.Option, filter bool) (*Limit, error) {
	l := &Limit{}
	if filter {
		l.Type = "filter"
	}
	for _, p := range strings.Split(o.Value, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), " ")
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "type":
			if filter || value != "limit" && value != "threshold" && value != "both" && value != "backoff" {
				return nil, fmt.Errorf("unknown type %q", clip(value))
			}
			l.Type = value
		case "track":
			switch value {
			case "by_src", "by_dst", "by_rule", "by_both", "by_flow":
				l.Track = value
			default:
				return nil, fmt.Errorf("unknown track %q", clip(value))
			}
		case "count":
			l.Count, err = strconv.ParseUint(value, 10, 31)
		case "seconds":
			l.Seconds, err = strconv.ParseUint(value, 10, 31)
		case "multiplier":
			l.Multiplier, err = strconv.ParseUint(value, 10, 31)
		default:
			return nil, fmt.Errorf("unknown parameter %q", clip(key))
		}
		if err != nil {
			return nil, fmt.Errorf("%s %q is no number", key, clip(value))
		}
	}
	if l.Type == "" || l.Track == "" || l.Count == 0 {
		return nil, fmt.Errorf("expected type, track, count and seconds")
	}
	return l, nil
}

var thresholdKeyword = &Keyword{
	Name: "threshold",
	Help: "threshold:type limit|threshold|both|backoff,track by_src|by_dst|...,count N,seconds S[,multiplier M]: how often the rule alerts",
	Parse: func(b *Builder, o rule.Option) error {
		l, err := parseLimit(o, false)
		if err != nil {
			return err
		}
		b.Prog.Limits = append(b.Prog.Limits, l)
		return nil
	},
}

var detectionFilterKeyword = &Keyword{
	Name: "detection_filter",
	Help: "detection_filter:track by_src|by_dst,count N,seconds S: the rule matches from the next match after the count on",
	Parse: func(b *Builder, o rule.Option) error {
		l, err := parseLimit(o, true)
		if err != nil {
			return err
		}
		b.Prog.Filter = l
		return nil
	},
}
