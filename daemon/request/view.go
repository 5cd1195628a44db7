package request

// Kind says where in a request a value stands. Its name is the first part of
// a value's where.
type Kind uint8

// The places a client's value can stand.
const (
	Path       Kind = iota + 1 // path:3, counted from 1
	Query                      // query:q
	Form                       // form:comment
	JSON                       // json:/user/name, a JSON pointer (RFC 6901)
	Multipart                  // multipart:file
	Cookie                     // cookie:sid
	HeaderKind                 // header:referer
	XML                        // xml:/a/b
	GraphQL                    // graphql:/query/argument
	Protobuf                   // protobuf:1.2
	BodyText                   // body
)

// Value is one value that a client chose.
type Value struct {
	Kind Kind
	// Name is the parameter's name, the JSON pointer, the header's name in
	// lower case, and so on.
	Name []byte
	// Part names a part of the value that is a value of its own: "name" for
	// the name itself, "filename" and "type" for a multipart file, "url" for
	// a URL's own parameters, "json" for JSON inside a string, "base64".
	Part string
	// Raw is the value as it stands in the request.
	Raw []byte
	// Text is the value as a backend reads it after the one decoding that its
	// place demands: percent and plus in a query, string escapes in JSON.
	Text []byte
	// Inner says where inside Part this value stands: a JSON pointer, or the
	// name of a URL's parameter. It may be empty.
	Inner []byte
	// Parent is the index, in the slice this value came with, of the value
	// this one was found inside, or -1.
	Parent int

	id    int32 // numbers the values of a request from 1; 0 for a value made elsewhere
	depth uint8 // how many values this one stands inside of
}

// Layer is a value's text after one more decoding.
type Layer struct {
	// By names what was undone: "percent", "html", "js", "utf8", "base64", ...
	By   string
	Text []byte
}
