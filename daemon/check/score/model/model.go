// Package model is the attack model: what a value looks like to the
// interpreters that attacks are written for, as features, and one linear
// model over them.
//
// A value is looked at in up to four views (as it is, with encodings undone,
// with an interpreter's no-ops removed, as a path), each brought to a normal
// form and cut into windows. A window's features are its hashed runs of bytes
// and of tokens, L2-normalised, and what a scan in the manner of SQL, shell,
// HTML, script and path tokenizers counted, in bins and pairs. The value's
// logit is the highest of its windows'. Nothing here allocates once a
// Scratch has grown, and the work is linear in the value's length, bounded by
// maxViewText and maxWindows.
package model

import "math"

// Class is a kind of attack.
type Class uint8

// Classes of attack. Their order is part of the model file's format.
const (
	SQL Class = iota
	XSS
	Command
	Path
	Template
	NoSQL
	LDAP
	XPath
	XXE
	SSRF
	Code
	Lookup
	Deserialization
	Header
	Upload
	classCount
)

var classNames = [...]string{"sqli", "xss", "cmdi", "path", "ssti", "nosql", "ldap", "xpath", "xxe", "ssrf", "code", "lookup",
	"deserialization", "header", "upload"}

var classTitles = [...]string{"SQL injection", "cross-site scripting", "OS command injection", "path traversal or file inclusion",
	"template or expression injection", "NoSQL injection", "LDAP injection", "XPath injection", "XML external entity",
	"server-side request forgery", "code injection", "lookup expression", "unsafe deserialization", "header injection", "hostile upload"}

var classCWE = [...]string{"CWE-89", "CWE-79", "CWE-78", "CWE-22", "CWE-1336", "CWE-943", "CWE-90", "CWE-643", "CWE-611", "CWE-918", "CWE-94",
	"CWE-917", "CWE-502", "CWE-113", "CWE-434"}

// String is the class's name, as findings and data files have it.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Title is the class in words.
func (c Class) Title() string { return classTitles[min(c, classCount-1)] }

// CWE is the weakness that the class's attacks use.
func (c Class) CWE() string { return classCWE[min(c, classCount-1)] }

// Classes lists all classes.
func Classes() []Class {
	all := make([]Class, classCount)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// classBuckets is the hashed features' space in the heads that tell classes
// apart: a bucket's number modulo this.
const classBuckets = 1 << 11

const classFeatures = 2*classBuckets + signCount*4

// Model is a trained model. It never changes after it is made and may be used
// by many goroutines at once.
type Model struct {
	Info Info

	weights []int8 // by feature
	scale   [3]float32
	bias    float32
	// heads tell an attack's class, classFeatures weights each, hashed and
	// lexical features worth the same as in the decision.
	heads     []int8
	headScale [classCount]float32
	headBias  [classCount]float32
	cut       float32 // the logit that scores 80
	slope     float32
}

// Info says where a model comes from.
type Info struct {
	Version int      `json:"version"` // of the features and the format
	Seed    uint64   `json:"seed"`
	Data    []string `json:"data"` // names and checksums of what it was trained on
	Benign  int      `json:"benign_windows"`
	Hostile int      `json:"hostile_windows"`
	Cut     float64  `json:"cut"`   // the logit that scores 80
	Slope   float64  `json:"slope"` // of the score's logistic curve
	Sum     string   `json:"-"`     // the file's checksum
	Size    int      `json:"-"`     // the file's bytes
}

// featureVersion changes when the same text no longer has the same features.
const featureVersion = 2

// Hit is what was found of a value.
type Hit struct {
	// Logit is the decision's log odds, above 0 for what the training data
	// calls an attack; Score is it on the policy's scale, 0 to 100.
	Logit float32
	Score float32
	// Floor names the exact signature that set Score, if one did.
	Floor string
	Class Class
	// Lowered is what was taken off Logit, and Why says for what.
	Lowered float32
	Why     string
	view    View
	from    int // the window's offset in the view's normal form
}

// View says how a text was looked at.
type View uint8

// The views of a value.
const (
	Raw     View = iota // as it is
	Decoded             // encodings undone
	Plain               // an interpreter's no-ops removed
	AsPath              // as a path
)

var viewNames = [...]string{"as sent", "decoded", "decoded, comments and seams removed", "as a path"}

func (v View) String() string { return viewNames[v] }

// Scratch is the memory that one look needs. Not for concurrent use.
type Scratch struct {
	vec     vector
	decoded [2][]byte
	plain   []byte
	path    []byte
	form    []byte
}

// None is the logit of what was not looked at.
const None = -30

// views calls see with the text in each view that differs from the last. A
// text with percent escapes is not shown as it is: programs that escape what
// they send twice are as common as attackers who do, and what is hostile about
// a text stands in what it decodes to.
func (s *Scratch) views(text []byte, see func(v View, text []byte)) {
	if len(text) > maxViewText {
		text = text[:maxViewText]
	}
	canon, escaped := text, false
	if hasAny(text, &viewTrigger) {
		for round := 0; round < maxDecodeRounds; round++ {
			buf := s.decoded[round%2][:0]
			out, changed := decode(buf, canon)
			s.decoded[round%2] = out
			if !changed {
				break
			}
			escaped = escaped || percentEscaped(canon)
			canon = out
		}
	}
	if escaped {
		plusAsBlank(canon)
	} else {
		see(Raw, text)
	}
	if len(canon) > 0 && (len(canon) != len(text) || &canon[0] != &text[0]) {
		see(Decoded, canon)
	}
	if hasAny(canon, &plainTrigger) {
		out, changed := simplify(s.plain[:0], canon)
		s.plain = out
		if changed && len(out) > 0 {
			see(Plain, out)
		}
		if dotted(canon) {
			out, changed := pathView(s.path[:0], canon)
			s.path = out
			if changed && len(out) > 0 {
				see(AsPath, out)
			}
		}
	}
}

func dotted(text []byte) bool {
	for i := 1; i < len(text); i++ {
		if text[i] == '.' && text[i-1] == '.' {
			return true
		}
	}
	return false
}

// windows calls see with each window of the text's normal form.
func (s *Scratch) windows(text []byte, see func(from int, win []byte)) {
	s.form, _ = normal(s.form[:0], text, nil)
	form := s.form
	for n, from := 0, 0; n < maxWindows; n++ {
		end := min(from+windowSize, len(form))
		see(from, form[from:end])
		if end == len(form) {
			return
		}
		from = end - windowOverlap
	}
}

// logit is the decision over the features in v.
func (m *Model) logit(v *vector) float32 {
	var char, token, lexical int32
	w := m.weights[:charBuckets]
	for _, f := range v.char {
		char += int32(w[f])
	}
	w = m.weights[charBuckets : charBuckets+tokenBuckets]
	for _, f := range v.token {
		token += int32(w[f])
	}
	w = m.weights[lexicalBase:]
	for _, f := range v.lexical {
		lexical += int32(w[f])
	}
	return m.bias + float32(char)*m.scale[0]*norm(len(v.char)) + float32(token)*m.scale[1]*norm(len(v.token)) + float32(lexical)*m.scale[2]
}

// norm is the worth of each of n hashed features.
func norm(n int) float32 {
	if n == 0 {
		return 0
	}
	return 1 / float32(math.Sqrt(float64(n)))
}

// Score looks at one value.
func (m *Model) Score(s *Scratch, text []byte) Hit {
	hit := Hit{Logit: None}
	if Harmless(text) {
		return hit
	}
	words := 0
	s.views(text, func(view View, text []byte) {
		n := 0
		s.windows(text, func(from int, win []byte) {
			s.vec.of(win)
			n += plainWords(s.vec.toks)
			l := m.logit(&s.vec)
			if l > hit.Logit {
				hit.Logit, hit.view, hit.from = l, view, from
			}
		})
		words = max(words, n)
		if hit.Floor == "" {
			if name, class := floor(text); name != "" {
				hit.Floor, hit.Class = name, class
			}
		}
	})
	hit.Score = m.Calibrate(hit.Logit)
	m.Lower(&hit, longText(words), "a long text of ordinary words")
	if hit.Floor != "" {
		hit.Score = max(hit.Score, floorScore)
	}
	return hit
}

// Lower takes by off the hit's log odds, for the reason why. What a floor made
// certain stays so.
func (m *Model) Lower(hit *Hit, by float32, why string) {
	if by <= 0 {
		return
	}
	hit.Logit -= by
	hit.Lowered += by
	if hit.Why != "" {
		hit.Why += ", "
	}
	hit.Why += why
	hit.Score = m.Calibrate(hit.Logit)
	if hit.Floor != "" {
		hit.Score = max(hit.Score, floorScore)
	}
}

// A long text of ordinary words (a prompt, a post, a page of code) shows
// something of every kind somewhere: each doubling of its words beyond
// proseWords takes proseStep off the log odds, up to proseMost, so that whoever
// buries an attack in prose gains no more than that.
const (
	proseWords = 8
	proseStep  = 0.75
	proseMost  = 3
)

// longText is what the log odds of a value with that many ordinary words are
// lowered by.
func longText(words int) float32 {
	if words <= proseWords {
		return 0
	}
	return min(proseMost, proseStep*float32(math.Log2(float64(words)/proseWords)))
}

// plainWords counts the words of two letters or more behind a blank that no
// interpreter knows: those of natural language, and names in code.
func plainWords(toks []token) (n int) {
	for i := range toks {
		if t := &toks[i]; t.kind == kindWord && t.fam == 0 && t.blank && t.to-t.from > 1 {
			n++
		}
	}
	return
}

// Calibrate puts a logit on the policy's scale: 80 at the operating point
// that was fixed on held-out benign requests, approaching 100 above it.
func (m *Model) Calibrate(logit float32) float32 {
	const at80 = 1.3862944 // ln(0.8/0.2)
	return float32(100 / (1 + math.Exp(-float64((logit-m.cut)*m.slope+at80))))
}
