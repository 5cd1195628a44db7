package schema

import (
	"github.com/sallyport/sallyport/daemon/check/schema/graphql"
)

// Settings are the table [check.schema].
type Settings struct {
	// APIs are the OpenAPI and Swagger documents that requests are held to.
	// A request is judged by the first whose hosts fit and which documents its
	// path; one that none documents is an unknown path of the first that fits.
	APIs []API `toml:"api"`
	// Schemas are JSON Schemas attached to paths.
	Schemas []Attached `toml:"json"`
	// Caps bound how much a call may ask for, whatever the documents say.
	Caps []Cap `toml:"cap"`
	// GraphQL bounds what a GraphQL query may ask for.
	GraphQL graphql.Settings `toml:"graphql"`
}

// API is one document.
type API struct {
	// File is the document: OpenAPI 3.0 or 3.1 or Swagger 2.0, in YAML or JSON.
	File string `toml:"file"`
	// Hosts are the names it is served under; none: every host.
	Hosts []string `toml:"hosts"`
	// BasePath replaces the paths of the document's servers, "/v2"; "/" is
	// none, and empty keeps the document's.
	BasePath string `toml:"base_path"`
	// MatchHost asks that the request's host be one of the document's servers.
	MatchHost bool `toml:"match_host"`
	// Mode is "enforce" (a violation denies), "detect" (it is told and never
	// denies) or "off".
	Mode string `toml:"mode"`
	// Routes set another mode for some of the document's operations.
	Routes []Route `toml:"route"`
	// The rest is what a document leaves open and a strict reader refuses:
	// each is "deny", "report" or "ignore". Undeclared is about query
	// parameters that the document does not name.
	Undeclared string `toml:"undeclared_query"`
	// Repeated is about a single parameter sent several times.
	Repeated string `toml:"repeated_parameter"`
	// UndeclaredBody is about a body where the document has none.
	UndeclaredBody string `toml:"undeclared_body"`
	// UnknownPath is about paths that no document has.
	UnknownPath string `toml:"unknown_path"`
	// EncodedDelimiters splits arrays at %2C too; OpenAPI 3 splits at the bare
	// comma alone.
	EncodedDelimiters bool `toml:"encoded_delimiters"`
}

// Route is a set of operations with a mode of their own.
type Route struct {
	// Operations are operation ids, or "GET /users/{id}" as documented.
	Operations []string `toml:"operations"`
	// Mode is "enforce", "detect" or "off".
	Mode string `toml:"mode"`
}

// Attached holds the requests for a path to JSON Schemas, drafts 4 to 2020-12.
type Attached struct {
	// Path is a template, "/orders/{id}".
	Path string `toml:"path"`
	// Methods are those it is about; none: all.
	Methods []string `toml:"methods"`
	// Body, Query, PathParameters and Headers name schema files. All but the
	// body are judged as objects of texts: a number is what spells one. Header
	// names are in lower case.
	Body           string `toml:"body"`
	Query          string `toml:"query"`
	PathParameters string `toml:"path_parameters"`
	Headers        string `toml:"headers"`
	// Mode is "enforce" or "detect".
	Mode string `toml:"mode"`
}

// Cap bounds a number that asks for so many things.
type Cap struct {
	// Names are the parameters in the query, the fields of a form and the top
	// members of a JSON body that it is about. GraphQL has max_page for it.
	Names []string `toml:"names"`
	// Max is the largest number that may be asked for.
	Max int64 `toml:"max"`
	// Path is where it holds: a prefix of the path, empty for everywhere.
	Path string `toml:"path"`
}

// Defaults are the settings of a fresh installation: no document, and bounds
// on GraphQL that ordinary clients do not meet.
func Defaults() Settings { return Settings{GraphQL: graphql.Defaults()} }

// Document are the settings that hold requests to one document alone,
// enforcing, its servers' hosts included: what `sallyport inspect --openapi`
// judges by.
func Document(file string) Settings {
	return Settings{APIs: []API{{File: file, Mode: "enforce", MatchHost: true}}}
}
