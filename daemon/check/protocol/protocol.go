// Package protocol finds requests that two parsers would read differently:
// what the proxy, a filter and the backend each make of the same bytes is where
// attacks hide. It finds form, not meaning; the values are for other checks.
//
// Its default severities do not deny what browsers and common clients send:
// see the README for each finding, what an attacker has of it, and who does it
// in good faith.
package protocol

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// Name is the check's name in the configuration and in findings.
const Name = "protocol"

// Settings is the table [check.protocol].
type Settings struct {
	// Hosts are the names that are served here, "*.example.com" for all below
	// one. Another one in the Host header is a finding. With none listed they
	// are the hosts of the sites, if every site names its own.
	Hosts []string `toml:"hosts"`
	// MaxURIBytes is the length of the URI, in bytes, past which it is a finding.
	MaxURIBytes int `toml:"max_uri_bytes"`
	// MaxHeaders is the number of headers past which it is a finding.
	MaxHeaders int `toml:"max_headers"`
	// MaxHeaderBytes is the length of one header's value, in bytes, past which it is a finding.
	MaxHeaderBytes int `toml:"max_header_bytes"`
	// Severity gives findings, by their id, another severity: "info", "low",
	// "medium", "high", "critical", or "off" for none at all.
	Severity map[string]string `toml:"severity"`
}

// Defaults are the settings of a fresh installation.
func Defaults() Settings {
	return Settings{MaxURIBytes: 8 << 10, MaxHeaders: 100, MaxHeaderBytes: 16 << 10}
}

// Check is the check.
type Check struct {
	s        Settings
	severity [numIDs]check.Severity
	off      [numIDs]bool
	hosts    map[string]bool
	suffixes [][]byte
}

// New makes the check, or says which setting is wrong.
func New(s Settings, env check.Env) (check.Check, error) {
	if len(s.Hosts) == 0 {
		s.Hosts = env.Hosts
	}
	c := &Check{s: s, hosts: map[string]bool{}}
	for key, n := range map[string]int{"max_uri_bytes": s.MaxURIBytes, "max_headers": s.MaxHeaders, "max_header_bytes": s.MaxHeaderBytes} {
		if n <= 0 {
			return nil, &check.SettingError{Key: key, Err: fmt.Errorf("%d, expected a positive number", n)}
		}
	}
	for i := range kinds {
		c.severity[i] = kinds[i].severity
	}
	for name, to := range s.Severity {
		i := slices.IndexFunc(kinds[:], func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, &check.SettingError{Key: "severity." + name, Err: fmt.Errorf("unknown finding %q, expected one of the ids in this check's README", name)}
		}
		if to == "off" {
			c.off[i] = true
			continue
		}
		found := false
		for v := check.Info; v <= check.Critical; v++ {
			if v.String() == to {
				c.severity[i], found = v, true
			}
		}
		if !found {
			return nil, &check.SettingError{Key: "severity." + name, Err: fmt.Errorf("%q, expected one of info, low, medium, high, critical, off", to)}
		}
	}
	for i, h := range s.Hosts {
		h = strings.ToLower(h)
		switch {
		case strings.HasPrefix(h, "*.") && len(h) > 2:
			c.suffixes = append(c.suffixes, []byte(h[1:]))
		case h == "" || strings.ContainsAny(h, "*/ "):
			return nil, &check.SettingError{Key: fmt.Sprintf("hosts.%d", i), Err: fmt.Errorf("%q, expected a name such as api.example.com or *.example.com", h)}
		default:
			c.hosts[h] = true
		}
	}
	return c, nil
}

// Name is the check's name.
func (c *Check) Name() string { return Name }

// Needs asks for both visits.
func (c *Check) Needs() check.Phase { return check.Head | check.Body }

// look is one visit: each finding is made once, where it is met first.
type look struct {
	c    *Check
	v    *check.Visit
	r    *request.Request
	seen [numIDs]bool
}

// Judge adds a finding for each thing that parsers would read differently.
func (c *Check) Judge(v *check.Visit) {
	l := look{c: c, v: v, r: v.Request}
	if v.Phase&check.Head != 0 {
		l.requestLine()
		l.path()
		l.headers()
		l.values(l.r.HeadValues())
		l.override(l.r.Query(), request.Query)
		l.marks(false)
	}
	if v.Phase&check.Body != 0 {
		l.body()
		l.values(l.r.BodyValues())
		l.override(l.r.Form(), request.Form)
		l.both()
		l.marks(true)
	}
	if v.Explain != nil {
		v.Note(Name, fmt.Sprintf("%d head values, %d body values, %d marks", len(l.r.HeadValues()), len(l.r.BodyValues()), len(l.r.Markers())))
	}
}

// find reports a finding the first time it is met.
func (l *look) find(i id, where string, excerpt []byte) {
	if l.seen[i] || l.c.off[i] {
		return
	}
	l.seen[i] = true
	k := &kinds[i]
	l.v.Add(check.Finding{
		Check: Name, ID: k.name, Message: k.message, Where: where, Severity: l.c.severity[i],
		Excerpt: string(excerpt[:min(len(excerpt), check.MaxExcerpt)]), Detail: k.why,
	})
}

func (l *look) body() {
	if !l.r.Body.Present || l.r.Body.Length == 0 && len(l.r.Body.Bytes) == 0 {
		return
	}
	switch l.r.Method {
	case "GET", "HEAD", "TRACE", "OPTIONS":
		l.find(bodyUnexpected, "body", nil)
	}
	if len(l.r.MediaType()) == 0 {
		l.find(mediaMissing, "header:content-type", nil)
	}
}

// override looks for the parameter that names another method.
func (l *look) override(ps []request.Param, k request.Kind) {
	for i := range ps {
		if p := &ps[i]; len(p.Name) == len("_method") && string(p.Name) == "_method" && !bytes.EqualFold(p.Value, []byte(l.r.Method)) {
			l.find(methodParameter, k.String()+":_method", p.RawValue)
		}
	}
}

// maxBoth bounds the parameters of the form, and those of the query, that are
// compared with each other.
const maxBoth = 64

func (l *look) both() {
	query, form := l.r.Query(), l.r.Form()
	if len(query) > maxBoth || len(form) > maxBoth {
		return
	}
	for i := range form {
		for k := range query {
			if len(form[i].Name) > 0 && bytes.Equal(form[i].Name, query[k].Name) {
				v := request.Value{Kind: request.Form, Name: form[i].Name}
				l.find(paramBoth, v.Where(), form[i].RawValue)
				return
			}
		}
	}
}

// byteClass sorts bytes for one pass over a value.
var byteClass = func() (t [256]uint8) {
	for i := range t {
		switch {
		case i == 0:
			t[i] = classNUL
		case i < 0x20 && i != '\t' && i != '\n' && i != '\r' || i == 0x7f:
			t[i] = classControl
		case i >= 0x80:
			t[i] = classHigh
		case i == '%' || i == '&' || i == '\\':
			t[i] = classWrapped
		}
	}
	return
}()

const (
	classNUL = 1 << iota
	classControl
	classHigh
	classWrapped // could begin an escape
)

// values looks at the bytes of the values themselves, not at what was found
// inside of them.
func (l *look) values(vs []request.Value) {
	for i := range vs {
		v := &vs[i]
		if v.Parent >= 0 || v.Kind == request.HeaderKind || v.Kind == request.BodyText || v.Part == "raw" {
			continue
		}
		var class uint8
		for _, c := range v.Text {
			class |= byteClass[c]
		}
		if class&classWrapped != 0 {
			l.r.Layers(v) // they mark what is encoded too deep, and are kept for the next check
		}
		if class&^classWrapped != 0 {
			l.oddBytes(v, class)
		}
	}
}

func (l *look) oddBytes(v *request.Value, class uint8) {
	path := v.Kind == request.Path
	if class&classNUL != 0 {
		if path {
			l.find(nulPath, v.Where(), v.Raw)
		} else {
			l.find(nulValue, v.Where(), v.Raw)
		}
	}
	if class&classControl != 0 && !path {
		l.find(controlValue, v.Where(), v.Raw)
	}
	if class&classHigh != 0 {
		l.malformed(v, path)
	}
}

// markIDs are the findings that marks of the reading become; a mark without
// one has a finding of its own elsewhere, or is nothing by itself.
var markIDs = map[request.Mark]id{
	request.MarkParams: paramMany, request.MarkValues: valuesMany, request.MarkNesting: layersMany, request.MarkLayers: layersMany,
	request.MarkTokens: tokensMany, request.MarkDecoded: bodyLarge, request.MarkRatio: bodyBomb, request.MarkSegments: tooManySegments,
	request.MarkJSONDeep: jsonDeep, request.MarkJSONKeys: valuesMany, request.MarkXMLDeep: xmlDeep, request.MarkParts: partMany,
	request.MarkDuplicateParam: paramTwice, request.MarkDuplicateCookie: cookieTwice, request.MarkCookieSyntax: cookieSyntax,
	request.MarkCookieLegacy: cookieLegacy, request.MarkPartSplit: partSplit, request.MarkPartSingle: partSingle,
	request.MarkEncodingUnknown: encodingUnknown, request.MarkEncodingBroken: encodingBroken,
	request.MarkEncodingStacked: encodingStacked, request.MarkEncodingTail: encodingTail, request.MarkCharset: charset, request.MarkCharsetUnknown: charsetUnknown,
	request.MarkMediaTwice: mediaTwice, request.MarkMediaSyntax: mediaSyntax, request.MarkMismatch: mediaMismatch,
	request.MarkBoundaryTwice: boundaryTwice, request.MarkBoundarySyntax: boundarySyntax,
	request.MarkJSONSyntax: jsonSyntax, request.MarkJSONDuplicate: jsonDuplicate, request.MarkJSONNumber: jsonNumber,
	request.MarkJSONComment: jsonComment, request.MarkJSONTrailing: jsonTrailing, request.MarkJSONSurrogate: jsonSurrogate,
	request.MarkJSONControl: jsonControl, request.MarkJSONCut: jsonSyntax,
	request.MarkPartNoBoundary: partNoBoundary, request.MarkPartNoEnd: partNoEnd, request.MarkPartPreamble: partPreamble,
	request.MarkPartEpilogue: partEpilogue, request.MarkPartBareLF: partBareLF, request.MarkPartFolded: partFolded,
	request.MarkPartTwice: partTwice, request.MarkPartNoName: partNoName, request.MarkPartHead: partHead,
	request.MarkPartTransfer: partTransfer,
	request.MarkXMLSyntax:    xmlSyntax, request.MarkXMLDoctype: xmlDoctype, request.MarkXMLEntity: xmlEntity,
	request.MarkXMLExternal: xmlExternal,
}

func (l *look) marks(body bool) {
	for i := range l.r.Markers() {
		m := &l.r.Markers()[i]
		if m.Body != body {
			continue
		}
		if m.Mark == request.MarkPercent {
			if m.Kind == request.Path {
				l.find(pathPercent, "path", nil)
			} else {
				l.find(badPercent, m.Where(), nil)
			}
			continue
		}
		if m.Mark == request.MarkJSONCut && l.r.Body.Cut {
			continue // we cut it
		}
		if i, ok := markIDs[m.Mark]; ok {
			l.find(i, m.Where(), nil)
		}
	}
}

// knowsHost says whether a host is among the setting's.
func (c *Check) knowsHost(host []byte) bool {
	if c.hosts[string(host)] {
		return true
	}
	for _, s := range c.suffixes {
		if bytes.HasSuffix(host, s) {
			return true
		}
	}
	return false
}
