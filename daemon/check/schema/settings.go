package schema

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
	GraphQL GraphQL `toml:"graphql"`
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
	// Mode is "enforce" (the default: a violation denies), "detect" (it is
	// told and never denies) or "off".
	Mode string `toml:"mode"`
	// Routes set another mode for some of the document's operations.
	Routes []Route `toml:"route"`
	// Undeclared is about query parameters that the document does not name:
	// "deny", "report" (the default) or "ignore".
	Undeclared string `toml:"undeclared_query"`
	// Repeated is about a single parameter sent several times: "deny",
	// "report" (the default) or "ignore". Each of its values is judged anyway.
	Repeated string `toml:"repeated_parameter"`
	// UndeclaredBody is about a body where the document has none: "deny",
	// "report" (the default) or "ignore".
	UndeclaredBody string `toml:"undeclared_body"`
	// ReadOnly is about readOnly members in a request: "deny", "report" (the
	// default) or "ignore". They are judged like any other.
	ReadOnly string `toml:"read_only"`
	// Deprecated is about calls of deprecated operations: "deny", "report" or
	// "ignore" (the default).
	Deprecated string `toml:"deprecated"`
	// UnknownPath is about paths that no document has: "deny" (the default),
	// "report" or "ignore".
	UnknownPath string `toml:"unknown_path"`
	// EncodedDelimiters splits arrays at %2C too; OpenAPI 3 splits at the bare
	// comma alone.
	EncodedDelimiters bool `toml:"encoded_delimiters"`

	everyFlaw bool // tell of all flaws, not of the first
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
	// Body is the schema file that a JSON body is held to; there must be one.
	Body string `toml:"body"`
	// Query is the schema file of the query, judged as an object of texts: a
	// number is a text that spells one.
	Query string `toml:"query"`
	// PathParameters is the schema file of the template's parameters, judged
	// as an object of texts.
	PathParameters string `toml:"path_parameters"`
	// Headers is the schema file of the headers, judged as an object of texts
	// with their names in lower case.
	Headers string `toml:"headers"`
	// Mode is "enforce" (the default) or "detect".
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

// GraphQL bounds a query; a bound of 0 is none.
type GraphQL struct {
	// Paths are those that GraphQL is served under; none: no query is looked at.
	Paths []string `toml:"paths"`
	// MaxDepth is how many fields may stand within each other. Fields of the
	// schema itself (introspection) are not counted.
	MaxDepth int `toml:"max_depth"`
	// MaxAliases counts over the whole query, a fragment as often as it is used.
	MaxAliases int `toml:"max_aliases"`
	// MaxDirectives counts as MaxAliases does.
	MaxDirectives int `toml:"max_directives"`
	// MaxFields counts as MaxAliases does.
	MaxFields int `toml:"max_fields"`
	// MaxBatch is how many queries one call may hold.
	MaxBatch int `toml:"max_batch"`
	// MaxTokens bounds the parser.
	MaxTokens int `toml:"max_tokens"`
	// MaxCost bounds the cost: 1 for a field, and what a field holds as often
	// as its page arguments ask for.
	MaxCost int `toml:"max_cost"`
	// PageArguments are arguments that ask for so many things.
	PageArguments []string `toml:"page_arguments"`
	// MaxPage is the most that one of them may ask for.
	MaxPage int `toml:"max_page"`
	// Introspection allows __schema and __type.
	Introspection bool `toml:"introspection"`
}

// Defaults are the settings of a fresh installation: no document, and bounds
// on GraphQL that ordinary clients do not meet.
func Defaults() Settings {
	return Settings{GraphQL: GraphQL{
		Paths: []string{"/graphql"}, MaxDepth: 20, MaxAliases: 100, MaxDirectives: 100, MaxFields: 2000, MaxBatch: 20,
		MaxTokens: 20000, MaxCost: 1000000, PageArguments: []string{"first", "last", "limit"}, MaxPage: 1000, Introspection: true,
	}}
}

// Document are the settings that hold requests to one document alone,
// enforcing, its servers' hosts included: what `sallyport inspect --openapi`
// judges by.
func Document(file string) Settings {
	return Settings{APIs: []API{{File: file, Mode: "enforce", MatchHost: true, everyFlaw: true}}}
}
