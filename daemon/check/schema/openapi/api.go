// Package openapi judges requests by an OpenAPI 3.0 or 3.1 or a Swagger 2.0
// document: is the path documented, the method, each parameter, the body by
// its media type, the credential.
//
// A document is read and compiled once, by Load. Flaws in it are warnings: the
// flawed part says nothing, the rest holds. Judging allocates little and
// compiles nothing, and what a client can make it do is bounded; each bound is
// a constant of this package, and reaching it is a violation of its own.
package openapi

import (
	"fmt"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// Options say how a document is to be read.
type Options struct {
	// BasePath, when set, replaces the paths of the document's servers: "/v2",
	// or "/" for none.
	BasePath string
	// MatchHost asks that the request's host be one of the document's servers.
	// Servers without a host match any.
	MatchHost bool
	// EncodedDelimiters also splits arrays at %2C where the specification
	// splits at a bare comma only (RFC 6570): many clients encode it.
	EncodedDelimiters bool
}

// Warning is a flaw of the document.
type Warning struct {
	At      string // "file:line:column"
	Message string
}

func (w Warning) String() string { return w.At + ": " + w.Message }

// API is a compiled document, safe for concurrent use.
type API struct {
	Name    string // the file's
	Version string // "3.1.0", "2.0"
	Title   string
	// Warnings are the document's flaws, at most MaxWarnings of them.
	Warnings []Warning
	// Operations and Paths count what the document has.
	Operations, Paths int

	options Options
	router  router
	keys    map[string]bool // the query parameters that hold API keys
}

// MaxWarnings is how many flaws of a document are kept.
const MaxWarnings = 200

// path is one path of the document, on one server.
type path struct {
	template string
	at       string
	names    []string      // of the parameters, in order
	kinds    string        // of the segments: "s" for letters alone, "p" with a parameter
	fixed    []string      // pairs that the query must have, where the template has a query
	loose    bool          // the template had a fragment
	hosts    []hostPattern // empty: any
	ops      map[string]*operation
	enums    []serverEnum
}

// serverEnum holds a variable of a server's path to its enum.
type serverEnum struct {
	value  int // index among the matched values
	values map[string]bool
}

// operation is one method of a path.
type operation struct {
	id         string
	method     string
	template   string
	at         string
	params     []*param
	body       *body
	security   [][]*credential // alternatives of sets; nil: none asked for
	deprecated bool
	// unknown: a reference led nowhere, so that nothing is known of it.
	unknown bool
	// openQuery: an object parameter takes every name in the query.
	openQuery bool
}

// param is one parameter.
type param struct {
	name       string
	in         string // "path", "query", "header", "cookie"
	at         string
	required   bool
	allowEmpty bool
	style      style
	explode    bool
	lenient    bool // delimiters may be percent-encoded
	schema     *jsonschema.Schema
	shape      jsonschema.Shape
	content    string // the media type, when the value is a document of its own
	where      string
	members    []string // names of an object in form style with explode
	open       bool
}

// style is how a value is written (Parameter Object, style).
type style uint8

const (
	simple style = iota
	label
	matrix
	form
	spaceDelimited
	pipeDelimited
	deepObject
	tabDelimited // Swagger 2.0, tsv
)

var styleNames = map[string]style{
	"simple": simple, "label": label, "matrix": matrix, "form": form,
	"spaceDelimited": spaceDelimited, "pipeDelimited": pipeDelimited, "deepObject": deepObject,
}

// body is a request body.
type body struct {
	required bool
	at       string
	media    []*media
}

// media is a media type of a body.
type media struct {
	name      string // "application/json", "text/*", "*/*"
	params    map[string]string
	at        string
	schema    *jsonschema.Schema
	encodings map[string]*encoding
	members   map[string]schemas // of the declared properties, for forms
}

// encoding is how one property of a form is written.
type encoding struct {
	types   []string
	styled  bool
	style   style
	explode bool
	headers []*param
}

// loader reads one document.
type loader struct {
	api     *API
	set     *document.Set
	root    *document.Node
	schemas *jsonschema.Compiler
	dialect jsonschema.Dialect
	schemes map[string]*credential
	seen    map[string]bool
}

func (l *loader) warn(at *document.Node, f string, args ...any) {
	w := Warning{at.At(), fmt.Sprintf(f, args...)}
	if l.seen[w.String()] {
		return
	}
	l.seen[w.String()] = true
	if len(l.api.Warnings) < MaxWarnings {
		l.api.Warnings = append(l.api.Warnings, w)
	}
}

// deref follows a Reference Object; nil when it leads nowhere.
func (l *loader) deref(n *document.Node) *document.Node {
	for hops := 0; n.IsObject(); hops++ {
		ref := n.Get("$ref")
		if ref.Str() == "" {
			return n
		}
		if hops == 20 {
			l.warn(n, "$ref %q leads through more than 20 others; what it stands for is left out", ref.Text)
			return nil
		}
		next, err := l.set.Resolve(ref.Text, n, "")
		if err != nil {
			l.warn(n, "%v; what it stands for is left out", err)
			return nil
		}
		n = next
	}
	return n
}
