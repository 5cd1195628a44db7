package train

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// set holds the distinct windows of the training data and the requests that
// they stand in.
type set struct {
	scratch model.Scratch // for features
	outer   model.Scratch // for views
	byText  map[uint64]int32

	features []uint32 // of all windows, one after another
	windows  []window
	// bags are the hostile requests: the windows any of which may be what
	// makes it hostile.
	bags []bag
	vec  model.Vector
}

type window struct {
	from          uint64 // into features
	hashed, chars uint16
	lexical       uint16
	benign        bool
	count         uint32 // of benign requests it stands in
	text          string // the first bytes, for the list of errors
	charW, tokenW float32
}

type bag struct {
	windows []int32
	class   int8
	weight  float32
	source  string
	chosen  int32
}

// maxListed bounds the text of a window that is kept for people.
const maxListed = 120

func newSet() *set { return &set{byText: make(map[uint64]int32)} }

func (s *set) window(win []byte) int32 {
	h := xxhash.Sum64(win)
	if i, ok := s.byText[h]; ok {
		return i
	}
	s.scratch.Vector(win, &s.vec)
	w := window{
		from: uint64(len(s.features)), hashed: uint16(len(s.vec.Hashed)), chars: uint16(s.vec.Chars), lexical: uint16(len(s.vec.Lexical)),
		text: string(win[:min(len(win), maxListed)]),
	}
	w.charW, w.tokenW, _ = s.vec.Worths()
	s.features = append(append(s.features, s.vec.Hashed...), s.vec.Lexical...)
	i := int32(len(s.windows))
	s.windows = append(s.windows, w)
	s.byText[h] = i
	return i
}

// exploitWeight is the weight of a request of an exploit: many of them only
// prepare or look at what another one left behind.
const exploitWeight = 0.4

// add takes a sample in.
func (s *set) add(m *Sample) {
	var found []int32
	seen := map[int32]bool{}
	scratch := &s.outer
	score.Values(m.Request, check.Head|check.Body, func(_ *request.Value, text []byte) {
		scratch.Each(text, func(_ model.View, win []byte) {
			i := s.window(win)
			if !seen[i] {
				seen[i] = true
				found = append(found, i)
			}
		})
	})
	if !m.Malicious {
		for _, i := range found {
			s.windows[i].benign = true
			s.windows[i].count++
		}
		return
	}
	class := int8(-1)
	if c, ok := classOf(m.Class); ok {
		class = int8(c)
	}
	weight := float32(1)
	if strings.HasPrefix(m.Source, "exploits") {
		weight = exploitWeight
	}
	s.bags = append(s.bags, bag{windows: found, class: class, weight: weight, source: m.Source, chosen: -1})
}
