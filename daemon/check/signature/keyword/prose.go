package keyword

import (
	"bytes"
	"fmt"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// prose asks whether the buffer holds sentences or the lines of a file: an
// article, a comment, a question about code, a source. Code in a parameter is an attack; the same code among
// them is somebody writing about it, and no rule can tell the two apart
// by the code alone.
type prose struct{ want bool }

func (n prose) Match(c *Cursor) bool {
	c.Env.Steps -= len(c.Buf) >> 3
	return isProse(c.Buf) == n.want
}

const (
	proseWords   = 4 // words in a row, punctuation and one space apart, make a sentence
	proseCommon  = 2 // how many of those are words that sentences cannot do without
	proseScatter = 4 // so many different ones anywhere make the text prose, too
	proseLooked  = 4096
	proseLong    = 400 // bytes from which sentences count wherever they stand
	pageLines    = 5   // lines with a word on them
)

// fence opens a block of code in Markdown, paragraph one of text in HTML.
var fence, paragraph = []byte("```"), []byte("<p>")

// isProse looks at the first bytes of a text for a run of words with common
// ones among them. Words of SQL, shells and markup do not count as common.
func isProse(b []byte) bool {
	if len(b) < 24 {
		return false
	}
	b = b[:min(len(b), proseLooked)]
	if isPage(b) || bytes.Contains(b, fence) {
		return true
	}
	opens := len(b) >= proseLong || opensWithWords(b)
	if !opens {
		return false
	}
	run, common, scattered, distinct := 0, 0, uint64(0), 0
	for i := 0; i < len(b); {
		start := i
		foreign := 0
		for i < len(b) && (isLetter(b[i]) || b[i] >= 0x80) {
			if b[i] >= 0x80 {
				foreign++
			}
			i++
		}
		word := b[start:i]
		switch {
		case len(word) == 0:
			run, common = 0, 0
			i++
			continue
		case foreign >= 3 && foreign*3 >= len(word)*2:
			// Scripts without ASCII: three bytes a letter and no spaces in some.
			run += 1 + len(word)/9
			common++
		case len(word) > 16:
			run, common = 0, 0
		default:
			run++
			if at := commonWord(word); at >= 0 && bounded(b, start, i) {
				common++
				if scattered&(1<<(at&63)) == 0 {
					scattered |= 1 << (at & 63)
					distinct++
				}
			}
		}
		if run >= proseWords && common >= proseCommon || distinct >= proseScatter {
			return true
		}
		i = gap(b, i, &run, &common)
	}
	return false
}

// opensWithWords says whether a text begins with three words. A short one that
// begins with code has its sentence behind it: a payload with words appended.
func opensWithWords(b []byte) bool {
	b = bytes.TrimPrefix(b, paragraph)
	i, words := 0, 0
	for i < len(b) && i < 4 && !isLetter(b[i]) && b[i] < 0x80 && b[i] != '\'' && b[i] != ';' && b[i] != '|' && b[i] != ')' {
		i++
	}
	for words < 3 && i < len(b) {
		from := i
		for i < len(b) && (isLetter(b[i]) || b[i] >= 0x80) {
			i++
		}
		if i == from {
			return false
		}
		words += 1 + (i-from)/24
		for i < len(b) && (b[i] == ' ' || b[i] == ',' || b[i] == ':' || b[i] == '.' ||
			b[i] == '(' || b[i] == ')' || '0' <= b[i] && b[i] <= '9' || b[i] == '\'' && i+1 < len(b) && isLetter(b[i+1])) {
			i++
		}
	}
	return words >= 3
}

// isPage says whether a text has the lines of a file: a parameter has few, and
// none that is longer than a person writes.
func isPage(b []byte) bool {
	lines, letters := 0, 0
	for len(b) > 0 && lines < pageLines {
		line := b
		if at := bytes.IndexByte(b, '\n'); at >= 0 {
			line, b = b[:at], b[at+1:]
		} else {
			b = nil
		}
		if len(line) > 400 {
			return false
		}
		letters = 0
		for _, c := range line {
			if isLetter(c) {
				letters++
			}
		}
		if letters >= 3 {
			lines++
		}
	}
	return lines >= pageLines
}

// gap walks over what stands between two words of a sentence; anything else
// ends the run.
func gap(b []byte, i int, run, common *int) int {
	from := i
	for i < len(b) && i-from < 3 && (b[i] == ',' || b[i] == '.' || b[i] == '\'' && i+1 < len(b) && isLetter(b[i+1]) || b[i] == '?' || b[i] == ':' || b[i] == ' ') {
		i++
	}
	if i < len(b) && !(isLetter(b[i]) || b[i] >= 0x80) {
		*run, *common = 0, 0
	}
	return i
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// bounded says whether the word b[from:to] stands between spaces or the
// punctuation of sentences.
func bounded(b []byte, from, to int) bool {
	before := from == 0 || b[from-1] == ' ' || b[from-1] == '\n' || b[from-1] == '>' || b[from-1] == '"'
	after := to == len(b) || b[to] == ' ' || b[to] == '\n' || b[to] == '.' || b[to] == ',' || b[to] == '?' || b[to] == ':' || b[to] == '<'
	return before && after
}

// commonWord is the number of a word in the list, or -1.
func commonWord(w []byte) int {
	var low [8]byte
	if len(w) < 2 || len(w) > len(low) {
		return -1
	}
	for i, c := range w {
		low[i] = c | 0x20
	}
	if at, ok := commonWords[string(low[:len(w)])]; ok {
		return at
	}
	return -1
}

// commonWords are words without which no longer text of its language can be
// written; none of them is a word of SQL, of a shell or of markup.
var commonWords = func() map[string]int {
	m := map[string]int{}
	for i, w := range [...]string{
		"the", "this", "that", "these", "those", "there", "of", "to", "are", "was", "were", "be", "been", "it", "its", "you", "your", "we", "our", "they",
		"how", "why", "what", "when", "which", "does", "do", "can", "could", "should", "would", "will", "have", "has", "had", "but", "with", "about", "because",
		"my", "me", "please", "explain", "using", "works", "so", "an", "at", "just", "only",
		"der", "die", "das", "und", "ist", "nicht", "ein", "eine", "mit", "auf", "den", "dem", "wie", "wird", "wenn",
		"le", "la", "les", "des", "est", "pas", "que", "une", "pour", "dans", "sur", "avec", "qui",
		"el", "los", "las", "es", "un", "una", "para", "por", "con", "del", "como", "se",
		"il", "di", "che", "per", "non", "sono", "da", "uma", "os", "nao", "em",
		"het", "een", "van", "dat", "niet", "og", "att", "som", "och", "jest", "nie", "na",
	} {
		m[w] = i
	}
	return m
}()

var proseKeyword = &Keyword{
	Name: "sallyport.prose",
	Help: "sallyport.prose:yes|no: whether the buffer holds sentences, or many lines of text",
	Parse: func(b *Builder, o rule.Option) error {
		switch o.Value {
		case "yes", "no":
			b.add(b.spec(false), prose{want: o.Value == "yes"})
			return nil
		}
		return fmt.Errorf("expected yes or no")
	},
}
