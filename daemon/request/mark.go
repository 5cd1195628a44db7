package request

// Mark names something unusual that was met while reading a request: a bound
// hit, or a place where two parsers would read it differently.
type Mark uint8

// The marks. Those from MarkParams to MarkDerived are bounds.
const (
	MarkParams   Mark = iota // more than MaxParams parameters; the rest is one value, Part "rest"
	MarkValues               // more than MaxValues values; the rest of the body is one value, Part "rest"
	MarkNesting              // values inside values deeper than MaxNesting
	MarkLayers               // more than MaxLayers decodings of one value
	MarkTokens               // more than MaxTokens base64 tokens in one value
	MarkDerived              // more than MaxDerived bytes of decoded text
	MarkDecoded              // a compressed body larger than MaxDecoded bytes
	MarkRatio                // a compressed body that grew more than MaxRatio times
	MarkSegments             // more than MaxSegments path segments
	MarkJSONDeep             // JSON deeper than decode.MaxJSONDepth
	MarkJSONKeys             // more keys than are compared for duplicates
	MarkXMLDeep              // XML deeper than decode.MaxXMLDepth
	MarkParts                // more than decode.MaxParts multipart parts

	MarkPercent         // a percent sign that begins no escape
	MarkDuplicateParam  // a parameter twice, without []
	MarkDuplicateCookie // a cookie twice
	MarkCookieSyntax    // a cookie that is no name=value pair, or quotes that reach past its end
	MarkCookieLegacy    // $Version, which makes some servers read all cookies by RFC 2109
	MarkEncodingUnknown // a Content-Encoding that nobody knows
	MarkEncodingBroken  // a body that is not what its Content-Encoding says
	MarkEncodingStacked // more than one Content-Encoding
	MarkEncodingTail    // bytes after the end of a compressed body
	MarkCharset         // a body in a charset that is no superset of ASCII, read as such
	MarkCharsetUnknown  // a charset that nobody knows
	MarkMediaTwice      // two different Content-Types, or two charsets in one
	MarkMediaSyntax     // a Content-Type that is no media type
	MarkMismatch        // a body that is something else than its Content-Type says
	MarkBoundaryTwice   // two boundaries in one Content-Type
	MarkBoundarySyntax  // a boundary with characters that RFC 2046 forbids, or none
	MarkJSONSyntax      // JSON that some parsers refuse and others don't
	MarkJSONDuplicate   // a name twice in a JSON object
	MarkJSONNumber      // a number that 64 bits do not hold
	MarkJSONComment     // a comment in JSON
	MarkJSONTrailing    // more than one document
	MarkJSONSurrogate   // half a surrogate pair
	MarkJSONControl     // a raw control character in a JSON string
	MarkJSONCut         // a JSON document that ends too early
	MarkPartNoBoundary  // a multipart body without its boundary
	MarkPartNoEnd       // a multipart body without its closing delimiter
	MarkPartPreamble    // text before the first part
	MarkPartEpilogue    // text after the last part
	MarkPartBareLF      // a line break of LF alone in a multipart body's structure
	MarkPartFolded      // a folded header line in a part
	MarkPartEscaped     // a backslash in a quoted name or file name
	MarkPartTwice       // a header or parameter twice in one part
	MarkPartNoName      // a form part without a name
	MarkPartHead        // a part whose head cannot be read
	MarkPartUnquoted    // a name without quotes
	MarkPartExtended    // filename*
	MarkPartTransfer    // a Content-Transfer-Encoding
	MarkPartSplit       // a file name spread over several parameters
	MarkPartSingle      // a name in single quotes
	MarkXMLSyntax       // XML that is not well-formed
	MarkXMLDoctype      // a document type declaration
	MarkXMLEntity       // an entity declaration
	MarkXMLExternal     // an entity from elsewhere
	MarkCut             // the body was cut for inspection
	numMarks
)

// Bound says that m is a bound of the reading rather than a flaw of the request.
func (m Mark) Bound() bool { return m < MarkPercent }

// Marker is the first time a mark was met in the head, or in the body.
type Marker struct {
	Mark Mark
	Body bool
	Kind Kind
	Name []byte // the value's, where there is one
}

// Where is the place the marker is about, in the form of Value.Where.
func (m *Marker) Where() string {
	v := Value{Kind: m.Kind, Name: m.Name}
	return v.Where()
}

// Markers are the marks met so far, each once for the head and once for the
// body, in the order they were met. They are complete for the head after
// HeadValues, for the body after BodyValues; decoding layers can add more.
func (r *Request) Markers() []Marker { return r.marks }

// Marked says whether m was met in the head or in the body.
func (r *Request) Marked(m Mark) bool { return (r.markSeen[0]|r.markSeen[1])>>m&1 != 0 }

// mark notes m. The name is copied: it may stand in a buffer.
func (r *Request) mark(m Mark, body bool, k Kind, name []byte) {
	i := 0
	if body {
		i = 1
	}
	if r.markSeen[i]>>m&1 != 0 {
		return
	}
	r.markSeen[i] |= 1 << m
	r.marks = append(r.marks, Marker{Mark: m, Body: body, Kind: k, Name: r.arena.copy(name[:min(len(name), maxWhere)])})
}

// markSeen has a bit for each mark.
var _ [64 - int(numMarks)]struct{}

var markNames = [numMarks]string{
	MarkParams:          "params",
	MarkValues:          "values",
	MarkNesting:         "nesting",
	MarkLayers:          "layers",
	MarkTokens:          "tokens",
	MarkDerived:         "derived",
	MarkDecoded:         "decoded",
	MarkRatio:           "ratio",
	MarkSegments:        "segments",
	MarkJSONDeep:        "json_deep",
	MarkJSONKeys:        "json_keys",
	MarkXMLDeep:         "xml_deep",
	MarkParts:           "parts",
	MarkPercent:         "percent",
	MarkDuplicateParam:  "duplicate_param",
	MarkDuplicateCookie: "duplicate_cookie",
	MarkCookieSyntax:    "cookie_syntax",
	MarkCookieLegacy:    "cookie_legacy",
	MarkEncodingUnknown: "encoding_unknown",
	MarkEncodingBroken:  "encoding_broken",
	MarkEncodingStacked: "encoding_stacked",
	MarkEncodingTail:    "encoding_tail",
	MarkCharset:         "charset",
	MarkCharsetUnknown:  "charset_unknown",
	MarkMediaTwice:      "media_twice",
	MarkMediaSyntax:     "media_syntax",
	MarkMismatch:        "mismatch",
	MarkBoundaryTwice:   "boundary_twice",
	MarkBoundarySyntax:  "boundary_syntax",
	MarkJSONSyntax:      "json_syntax",
	MarkJSONDuplicate:   "json_duplicate",
	MarkJSONNumber:      "json_number",
	MarkJSONComment:     "json_comment",
	MarkJSONTrailing:    "json_trailing",
	MarkJSONSurrogate:   "json_surrogate",
	MarkJSONControl:     "json_control",
	MarkJSONCut:         "json_cut",
	MarkPartNoBoundary:  "part_no_boundary",
	MarkPartNoEnd:       "part_no_end",
	MarkPartPreamble:    "part_preamble",
	MarkPartEpilogue:    "part_epilogue",
	MarkPartBareLF:      "part_bare_lf",
	MarkPartFolded:      "part_folded",
	MarkPartEscaped:     "part_escaped",
	MarkPartTwice:       "part_twice",
	MarkPartNoName:      "part_no_name",
	MarkPartHead:        "part_head",
	MarkPartUnquoted:    "part_unquoted",
	MarkPartExtended:    "part_extended",
	MarkPartTransfer:    "part_transfer",
	MarkPartSplit:       "part_split",
	MarkPartSingle:      "part_single",
	MarkXMLSyntax:       "xml_syntax",
	MarkXMLDoctype:      "xml_doctype",
	MarkXMLEntity:       "xml_entity",
	MarkXMLExternal:     "xml_external",
	MarkCut:             "cut",
}

// String is the mark's name in lower case, "json_duplicate".
func (m Mark) String() string {
	if m < numMarks {
		return markNames[m]
	}
	return ""
}
