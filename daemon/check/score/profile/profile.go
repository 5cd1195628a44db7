// Package profile learns what each parameter of each endpoint normally
// carries, so that a score can be put in context: a value whose suspicious
// signs are what many different clients send there counts for less, a value
// unlike all of them for more.
//
// What counts as normal is a share of distinct clients, never of requests. Of
// each endpoint's clients a panel of up to 64 is kept, chosen by seeded hash: a
// uniform sample of all clients ever seen, which a client cannot get into by
// sending more. Everything learned is one bit per panel member. A few sources
// therefore cannot teach a profile anything: a sign is normal from
// NormalShare of the panel on, and sources of bad reputation teach nothing.
//
// Until MinClients panel members have sent a parameter its profile changes no
// score. Memory is bounded: Options.Max endpoints (see endpoint.Book for who
// gives way), maxParams parameters each, and maxLexicons with signs.
package profile

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Bounds of what is learned.
const (
	panelSize   = 64
	maxParams   = 48 // of an endpoint; later ones are not learned
	maxLexicons = 4  // of an endpoint: parameters whose signs are learned; 5 KB each
	maxName     = 80 // bytes of a parameter's name that are kept for people
)

// Options are a Book's bounds and thresholds.
type Options struct {
	Max         int     // endpoints held at most
	MinClients  int     // panel members that end a parameter's warm-up
	NormalShare float64 // share of the panel from which a sign is normal
	Discount    float64 // most that is taken off a logit
	Raise       float64 // most that is added to a logit
	Seed        uint64
}

// Book holds the profiles. It is safe for concurrent use.
type Book struct {
	o    Options
	book *endpoint.Book[Profile]
	// Changed counts what was learned since the start, for who saves it.
	Changed atomic.Uint64
}

// New makes an empty book.
func New(o Options) *Book {
	return &Book{o: o, book: endpoint.NewBook[Profile](endpoint.Options{Max: o.Max, Seed: o.Seed}, nil)}
}

// Profile is what is known of one endpoint.
type Profile struct {
	panel    [panelSize]uint64 // client hashes
	n        int
	params   map[uint64]*param
	lexicons int
}

// param is what is known of one parameter. Each mask has a bit for each panel
// member that sent it.
type param struct {
	name    string
	seen    uint64
	classes [classes]uint64
	longest uint32
	fired   uint64
	signs   *[model.EvidenceIDs]uint64
}

// classes are the classes of bytes a value is made of.
const classes = 16

// classOf sorts bytes for profiles; 0 to 15 are classes.
var classOf = func() (t [256]uint8) {
	for i := range t {
		switch c := byte(i); {
		case c >= '0' && c <= '9':
			t[i] = 0
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			t[i] = 1
		case c == ' ':
			t[i] = 2
		case c >= 0x80:
			t[i] = 3
		case c < ' ' || c == 0x7f:
			t[i] = 4
		case c == '\'' || c == '"' || c == '`':
			t[i] = 5
		case c == '<' || c == '>':
			t[i] = 6
		case c == '(' || c == ')':
			t[i] = 7
		case c == '{' || c == '}' || c == '[' || c == ']':
			t[i] = 8
		case c == ';' || c == '|' || c == '&':
			t[i] = 9
		case c == '$' || c == '#' || c == '@':
			t[i] = 10
		case c == '/' || c == '\\':
			t[i] = 11
		case c == '%':
			t[i] = 12
		case c == '=' || c == '*' || c == '+':
			t[i] = 13
		case c == '.' || c == ',' || c == ':' || c == '-' || c == '_':
			t[i] = 14
		default:
			t[i] = 15
		}
	}
	return
}()

var classNames = [classes]string{"digits", "letters", "blanks", "non-ASCII text", "control bytes", "quotes", "angle brackets", "parentheses", "braces or brackets",
	"; | or &", "$ # or @", "slashes", "percent signs", "= * or +", "plain punctuation", "other punctuation"}

// maxClassBytes bounds the bytes of a value that are sorted into classes.
const maxClassBytes = 512

// Classes are the classes of bytes in text, a bit each.
func Classes(text []byte) (mask uint16) {
	for _, c := range text[:min(len(text), maxClassBytes)] {
		mask |= 1 << classOf[c]
	}
	return
}

// Seen is one value of a request.
type Seen struct {
	Key     uint64 // of the parameter
	Name    []byte // of the parameter, for people; copied when it is new
	Classes uint16
	Length  int
	// Evidence is set for a value that the model found suspicious, with its
	// Logit. Keep says that nothing may take away from it.
	Evidence []model.Evidence
	Logit    float32
	Keep     bool

	// Change is what the profile adds to the logit, and Why says so in words.
	Change float32
	Why    string
}

// Visit is where and by whom values were sent.
type Visit struct {
	Site, Method string
	Template     []byte
	Client       uint64 // see endpoint.Client
	Now          time.Time
	Reputation   float64 // 0 good to 100 bad
	Teach        bool    // the source may teach
}

// Judge fills in each value's Change and then learns from the visit.
func (b *Book) Judge(v Visit, seen []Seen) {
	e := b.book.Acquire(v.Site, v.Method, v.Template, v.Client, v.Now)
	defer e.Release()
	p := &e.Value
	for i := range seen {
		if seen[i].Evidence != nil {
			b.weigh(p, &seen[i], v.Reputation)
		}
	}
	if !v.Teach {
		return
	}
	slot, ok := p.slot(v.Client)
	if !ok {
		return
	}
	for i := range seen {
		b.learn(p, &seen[i], 1<<slot)
	}
}

// slot is the client's place on the panel. A client whose hash is smaller than
// the largest on a full panel takes that one's place, and what that one taught
// is forgotten.
func (p *Profile) slot(client uint64) (int, bool) {
	largest := 0
	for i, h := range p.panel[:p.n] {
		if h == client {
			return i, true
		}
		if h > p.panel[largest] {
			largest = i
		}
	}
	if p.n < panelSize {
		p.panel[p.n] = client
		p.n++
		return p.n - 1, true
	}
	if client > p.panel[largest] {
		return 0, false
	}
	p.panel[largest] = client
	gone := ^(uint64(1) << largest)
	for _, q := range p.params {
		q.seen &= gone
		q.fired &= gone
		for i := range q.classes {
			q.classes[i] &= gone
		}
		if q.signs != nil {
			for i := range q.signs {
				q.signs[i] &= gone
			}
		}
	}
	return largest, true
}

func (b *Book) learn(p *Profile, s *Seen, bit uint64) {
	q := p.params[s.Key]
	if q == nil {
		if len(p.params) >= maxParams {
			return
		}
		if p.params == nil {
			p.params = make(map[uint64]*param)
		}
		q = &param{name: string(s.Name[:min(len(s.Name), maxName)])}
		p.params[s.Key] = q
	}
	if q.seen&bit == 0 {
		b.Changed.Add(1)
	}
	q.seen |= bit
	for m := s.Classes; m != 0; m &= m - 1 {
		q.classes[bits.TrailingZeros16(m)] |= bit
	}
	q.longest = max(q.longest, uint32(min(s.Length, 1<<31)))
	if s.Evidence == nil || s.Keep {
		return
	}
	if q.signs == nil {
		if p.lexicons >= maxLexicons {
			return
		}
		p.lexicons++
		q.signs = new([model.EvidenceIDs]uint64)
	}
	q.fired |= bit
	for _, e := range s.Evidence {
		q.signs[e.ID] |= bit
	}
}
