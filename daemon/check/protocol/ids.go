package protocol

import "github.com/sallyport/sallyport/daemon/check"

// id numbers the findings of this check.
type id int

// kind is what is known of a finding before a request is seen.
type kind struct {
	name     string
	severity check.Severity
	message  string // what was seen
	why      string // what an attacker has of it, or who does it in good faith
}

// The findings. Their order is the README's.
const (
	pathPercent id = iota
	badPercent
	nulPath
	nulValue
	controlPath
	controlValue
	controlHeader
	invalidUTF8
	hiddenUTF8
	hiddenUTF8Path
	rawURI
	encodedDots
	dotsSlash
	pathDots
	dotsParam
	backslashPath
	encodedSlash
	doubleSlash
	twiceEncodedPath
	uriForm
	absoluteURI
	absoluteHost
	fragment
	longURI
	tooManySegments
	methodToken
	methodUnusual
	methodOverride
	methodParameter
	bodyUnexpected
	hostMissing
	hostTwice
	hostInvalid
	hostUnknown
	lengthConflict
	lengthInvalid
	transferOdd
	headerName
	headerTwice
	headerMany
	headerLarge
	connectionNames
	httpoxy
	rewriteHeader
	rangeMany
	expectOdd
	paramTwice
	paramBoth
	paramMany
	cookieTwice
	cookieSyntax
	cookieLegacy
	cookieHeaders
	encodingUnknown
	encodingBroken
	encodingStacked
	encodingTail
	bodyBomb
	bodyLarge
	charset
	charsetUnknown
	mediaTwice
	mediaSyntax
	mediaMissing
	mediaMismatch
	boundaryTwice
	boundarySyntax
	partNoBoundary
	partNoEnd
	partPreamble
	partEpilogue
	partBareLF
	partFolded
	partTwice
	partNoName
	partHead
	partTransfer
	partSplit
	partSingle
	partMany
	jsonSyntax
	jsonDuplicate
	jsonDeep
	jsonNumber
	jsonComment
	jsonTrailing
	jsonSurrogate
	jsonControl
	xmlSyntax
	xmlDeep
	xmlDoctype
	xmlEntity
	xmlExternal
	valuesMany
	layersMany
	tokensMany
	numIDs
)

var kinds = [numIDs]kind{
	pathPercent:      {"path_bad_percent", check.Low, "a percent sign in the path begins no escape", "Servers refuse it, keep it, or decode the next one differently. No common client sends it."},
	badPercent:       {"bad_percent", check.Info, "a percent sign in a parameter begins no escape", "Backends keep, drop or refuse it. People type 100% into forms that do not encode."},
	nulPath:          {"nul_in_path", check.High, "a NUL byte in the path", "C libraries end the name there, others do not. No client sends it."},
	nulValue:         {"nul_in_value", check.Low, "a NUL byte in a value", "C libraries and some databases end the value there; filters may look past it. Binary tokens hold it, too."},
	controlPath:      {"control_in_path", check.Medium, "a control character in the path", "A line break that is copied into a header splits the response. No common client sends it."},
	controlValue:     {"control_in_value", check.Info, "a control character in a parameter", "Terminals and logs act on it. Pasted text may hold it."},
	controlHeader:    {"control_in_header", check.Medium, "a control character in a header", "RFC 9110 section 5.5 forbids it; parsers end the value there, fold it or keep it."},
	invalidUTF8:      {"invalid_utf8", check.Info, "a value is no UTF-8", "Backends refuse it, drop bytes or replace them, and filters that do otherwise see another text. Legacy charsets look like that."},
	hiddenUTF8:       {"overlong_utf8", check.Medium, "an overlong UTF-8 sequence stands for an ASCII character", "RFC 3629 section 3 forbids it since decoders that take it let an attack pass filters that do not. Some legacy charsets look like that."},
	hiddenUTF8Path:   {"overlong_utf8_in_path", check.High, "an overlong UTF-8 sequence in the path stands for an ASCII character", "The way past path checks of old IIS and Tomcat (%c0%af). No client sends it."},
	rawURI:           {"raw_byte_in_uri", check.Info, "the URI holds a byte that must be encoded", "RFC 3986 allows ASCII without spaces alone; servers refuse or guess. Careless clients send UTF-8 as it is."},
	encodedDots:      {"encoded_dot_segment", check.High, "a dot segment of the path is percent-encoded", "It climbs out of a folder behind a proxy that does not decode before it normalises. Browsers and libraries resolve it before they send."},
	dotsSlash:        {"dot_segment_encoded_slash", check.Medium, "two dots of the path are followed by an encoded slash or backslash", "A dot segment to a backend that decodes before it splits. Careless programs that encode a whole relative path as one segment send it."},
	pathDots:         {"dot_segment", check.Low, "the path holds a dot segment", "NGINX resolves it, and a backend that is sent the original may not. Browsers resolve it before they send; some libraries do not."},
	dotsParam:        {"dot_segment_parameter", check.High, "a dot segment of the path carries a parameter (/..;/)", "Servers that strip path parameters (Tomcat, Jetty) see a dot segment, a proxy in front does not."},
	backslashPath:    {"backslash_in_path", check.Medium, "a backslash in the path", "Windows servers take it for a slash, NGINX does not. Browsers turn it into a slash before they send."},
	encodedSlash:     {"encoded_slash", check.Info, "an encoded slash in the path", "Some backends split there, some do not, so that rules by path can miss. APIs with names in paths send it."},
	doubleSlash:      {"doubled_slash", check.Info, "the path has doubled slashes", "NGINX merges them for its rules, most backends do not. Joined base URLs look like that."},
	twiceEncodedPath: {"double_encoded_path", check.Low, "the path is percent-encoded twice", "A backend that decodes again sees another path than the proxy. A few applications encode titles twice."},
	uriForm:          {"uri_form", check.Low, "the request target is neither a path nor an absolute URI", "RFC 9112 section 3.2 knows no other for this method; servers guess."},
	absoluteURI:      {"absolute_uri", check.Info, "the request target is an absolute URI", "Clients send it to proxies. A backend that trusts it instead of Host, or the other way, serves another site."},
	absoluteHost:     {"absolute_uri_host", check.Medium, "the absolute URI names another host than the Host header", "RFC 9112 section 3.2.2 says that the URI counts; what routes by Host sends it elsewhere."},
	fragment:         {"fragment", check.Low, "the request target holds a #", "Browsers never send it. NGINX ends the path there, other servers take it for a character."},
	longURI:          {"uri_long", check.Low, "the URI is longer than max_uri_bytes", "Servers cut or refuse it at different lengths."},
	tooManySegments:  {"path_segments", check.Medium, "the path has more segments than are told apart", "The rest was inspected as one value."},

	methodToken:     {"method_syntax", check.High, "the method is no token", "RFC 9110 section 9.1; servers that read on past it are steered by what follows."},
	methodUnusual:   {"method_unusual", check.Low, "a method that APIs do not serve", "TRACE echoes secrets, CONNECT opens tunnels, DEBUG and TRACK are IIS's own; lower case is another method to some servers and the same to others."},
	methodOverride:  {"method_override", check.Low, "a header asks for another method", "Rules by method see the one, the application serves the other. Some API clients use it on purpose."},
	methodParameter: {"method_parameter", check.Info, "a parameter asks for another method", "Rails, Laravel and others serve the method that _method names, rules by method see the other. Their own forms send it."},
	bodyUnexpected:  {"body_unexpected", check.Info, "a body with a method that seldom has one", "Servers that do not read it take it for the next request. Search APIs use it on purpose."},
	hostMissing:     {"host_missing", check.Info, "no Host header", "RFC 9112 section 3.2 demands one from HTTP/1.1 on. Scripts and health checks omit it."},
	hostTwice:       {"host_twice", check.Medium, "more than one Host header", "Proxy and backend may choose different ones, so caches and routes are poisoned."},
	hostInvalid:     {"host_syntax", check.Medium, "the Host header is no host", "It ends up in links, in password mails and in routes."},
	hostUnknown:     {"host_unknown", check.Low, "the Host header names no host that is served here", "Scanners that go by address, and DNS rebinding."},
	lengthConflict:  {"length_conflict", check.High, "Content-Length and Transfer-Encoding stand together, or lengths differ", "Request smuggling (RFC 9112 section 6.1): front and back end the request at different places."},
	lengthInvalid:   {"length_syntax", check.Medium, "Content-Length is no number", "Parsers read signs, spaces and lists differently, and end the body elsewhere."},
	transferOdd:     {"transfer_encoding", check.Medium, "a Transfer-Encoding other than chunked", "What one server knows and the other ignores moves the end of the request."},
	headerName:      {"header_name", check.Low, "a header's name is no token", "Parsers skip such a line, end the headers there, or read it as another header. NGINX drops it by default; some recordings of browsers hold request lines there."},
	headerTwice:     {"header_twice", check.Low, "a header that may come once comes twice with two values", "The first counts for some, the last for others."},
	headerMany:      {"headers_many", check.Low, "more headers than max_headers", "Servers drop or refuse what is behind their own bound."},
	headerLarge:     {"header_large", check.Low, "a header larger than max_header_bytes", "Servers cut or refuse it at different lengths."},
	connectionNames: {"connection_names_header", check.Medium, "Connection names an end-to-end header", "A proxy strips what Connection names: authentication or client address are lost before the backend."},
	httpoxy:         {"proxy_header", check.High, "a Proxy header", "CGI passes it as HTTP_PROXY, and libraries send their requests through it (CVE-2016-5385). No client sends it."},
	rewriteHeader:   {"rewrite_header", check.Medium, "a header that names another URL", "X-Original-URL and X-Rewrite-URL make some frameworks serve that path past the proxy's rules. Clients do not send them."},
	rangeMany:       {"range_many", check.Medium, "more byte ranges than a player asks for", "Each range costs the server a part of the answer (CVE-2011-3192)."},
	expectOdd:       {"expect_unknown", check.Low, "an Expect other than 100-continue", "RFC 9110 section 10.1.1 knows no other; some servers reflect it."},

	paramTwice:    {"parameter_twice", check.Info, "a parameter comes twice", "PHP takes the last, Java the first, ASP joins them: an attack in two halves. Lists in queries look like that."},
	paramBoth:     {"parameter_in_query_and_form", check.Info, "a parameter stands in the query and in the form", "PHP and others let one hide the other, servlets list both: an attack in two halves. Forms that post to their own address look like that."},
	paramMany:     {"parameters_many", check.Medium, "more parameters than are told apart", "Frameworks stop at a bound of their own (PHP at 1000). The rest was inspected as one value."},
	cookieTwice:   {"cookie_twice", check.Info, "a cookie comes twice", "The first counts for some, the last for others. Cookies of a domain and its parent look like that."},
	cookieHeaders: {"cookie_headers", check.Info, "more than one Cookie header", "Some backends join them with commas, so that a cookie's value goes on in the next. HTTP/2 splits them in good faith, and NGINX joins those again."},
	cookieSyntax:  {"cookie_syntax", check.Info, "text between cookies that is none, or a quoted value with semicolons", "Parsers drop it, take it for part of the cookie before, or read on to the closing quote."},
	cookieLegacy:  {"cookie_legacy", check.Low, "a cookie named $Version", "It makes Tomcat, Jetty and others read all cookies by RFC 2109, with quotes, escapes and semicolons inside of values. Old Java clients send it."},

	encodingUnknown: {"encoding_unknown", check.Medium, "a Content-Encoding that nobody knows", "The body was inspected as sent; a backend may undo what was not undone here."},
	encodingBroken:  {"encoding_broken", check.Medium, "the body is not what its Content-Encoding says", "Backends that ignore the header, or that are lenient, see another body."},
	encodingStacked: {"encoding_stacked", check.Medium, "more than one Content-Encoding", "Backends undo one, all or none."},
	encodingTail:    {"encoding_tail", check.Medium, "bytes behind the end of the compressed body", "Decoders drop them, fail, or go on reading."},
	bodyBomb:        {"body_bomb", check.High, "the body grows more than 200 times when decompressed", "A few kilobytes fill the backend's memory."},
	bodyLarge:       {"body_decoded_large", check.Medium, "the decompressed body is larger than can be inspected", "What is behind the bound was not inspected."},
	charset:         {"charset", check.Low, "the body, or a part of it, is in UTF-16, UTF-32, UTF-7, EBCDIC or ISO 2022", "Filters that expect ASCII see nothing in it. It was inspected as UTF-8. Windows clients send XML in UTF-16."},
	charsetUnknown:  {"charset_unknown", check.Medium, "the body is in a charset that nobody knows", "It was inspected as ASCII; a backend that knows the charset reads another text."},
	mediaTwice:      {"media_type_twice", check.Medium, "two different Content-Types, or two charsets in one", "The first counts for some, the last for others, and the body is another thing to each."},
	mediaSyntax:     {"media_type_syntax", check.Low, "the Content-Type is no media type", "Frameworks fall back to different parsers."},
	mediaMissing:    {"media_type_missing", check.Info, "a body without Content-Type", "Frameworks guess. It was inspected as what it looks like."},
	mediaMismatch:   {"media_type_mismatch", check.Low, "the body is something else than its Content-Type says", "A filter that trusts the header looks at nothing. It was inspected as both. Some clients send JSON as a form."},

	boundaryTwice:  {"boundary_twice", check.High, "the Content-Type names two boundaries", "Each parser sees other parts: one an upload, the other plain text. No client sends it."},
	boundarySyntax: {"boundary_syntax", check.Low, "the boundary is missing or not of RFC 2046's characters", "Parsers cut it at different places and see other parts."},
	partNoBoundary: {"multipart_no_boundary", check.Medium, "the multipart body does not hold its boundary", "Lenient parsers find parts all the same."},
	partNoEnd:      {"multipart_no_end", check.Low, "the multipart body has no closing delimiter", "Some parsers keep the last part, some refuse the body."},
	partPreamble:   {"multipart_preamble", check.Low, "text before the first part", "RFC 2046 says to ignore it; a parser with another boundary does not."},
	partEpilogue:   {"multipart_epilogue", check.Low, "text behind the last part", "RFC 2046 says to ignore it; a parser with another boundary does not."},
	partBareLF:     {"multipart_bare_lf", check.Low, "a line of the multipart body ends without CR", "Lenient parsers see a boundary or a header there, strict ones do not."},
	partFolded:     {"multipart_folded_header", check.Medium, "a folded header line in a part", "Some parsers join the lines, others drop the second: the file name is there or not."},
	partTwice:      {"multipart_twice", check.High, "a name, file name or header comes twice in one part", "One parser takes the harmless name, the other the dangerous one. No client sends it."},
	partNoName:     {"multipart_no_name", check.Low, "a form part without a name", "Frameworks drop it, or give it an empty name."},
	partHead:       {"multipart_head", check.Medium, "the head of a part cannot be read", "Parsers skip the part or take its head for content."},
	partTransfer:   {"multipart_transfer_encoding", check.Low, "a part has a Content-Transfer-Encoding", "RFC 7578 section 4.7 drops it; some frameworks undo it, others keep the encoded text. It was inspected undone."},
	partSplit:      {"multipart_split_name", check.Medium, "a file name is spread over several parameters", "RFC 2231 pieces: mail libraries and Flask join them to a file name, others see no file. No browser sends them."},
	partSingle:     {"multipart_single_quotes", check.Low, "a name or file name of a part in single quotes", "PHP takes them for quotes, others for part of the name, and split it at a semicolon inside. No browser sends them."},
	partMany:       {"multipart_many", check.Medium, "more parts than are told apart", "Frameworks stop at bounds of their own. The rest was inspected as one value."},

	jsonSyntax:    {"json_syntax", check.Low, "JSON that strict parsers refuse", "Lenient parsers read on and see values where a filter saw an error. What could be read was inspected."},
	jsonDuplicate: {"json_duplicate_name", check.Medium, "a name twice in one JSON object", "Some parsers take the first, most the last: what a check saw is not what the application uses."},
	jsonDeep:      {"json_deep", check.Medium, "JSON nested deeper than 256", "Recursive parsers run out of stack; others refuse it."},
	jsonNumber:    {"json_number", check.Info, "a JSON number that 64 bits do not hold", "It is rounded, infinite or refused, depending on the parser."},
	jsonComment:   {"json_comment", check.Low, "a comment in JSON", "Lenient parsers skip it, strict ones refuse the body."},
	jsonTrailing:  {"json_trailing", check.Low, "more than one JSON document in the body", "Parsers read the first and ignore the rest, or refuse it. Bulk APIs send lines of documents."},
	jsonSurrogate: {"json_surrogate", check.Info, "half a surrogate pair in a JSON string", "It is replaced, dropped or kept, so names compare differently. Emoji cut in two look like that."},
	jsonControl:   {"json_control", check.Low, "a raw control character in a JSON string", "RFC 8259 section 7 forbids it; lenient parsers take it."},
	xmlSyntax:     {"xml_syntax", check.Low, "XML that is not well-formed", "Lenient parsers read on. What could be read was inspected."},
	xmlDeep:       {"xml_deep", check.Medium, "XML nested deeper than 128", "Recursive parsers run out of stack."},
	xmlDoctype:    {"xml_doctype", check.Info, "a document type declaration", "Parsers may fetch it. Some formats carry one."},
	xmlEntity:     {"xml_entity", check.Medium, "an entity is declared", "Entities that hold entities grow without end, and hide text from filters."},
	xmlExternal:   {"xml_external_entity", check.High, "an entity is fetched from elsewhere", "It reads files and calls addresses that only the backend can reach."},
	valuesMany:    {"values_many", check.Low, "more values than are told apart", "The rest was inspected as one value."},
	tokensMany:    {"base64_many", check.Info, "more base64 tokens in one value than are undone", "What is in the rest was inspected as it stands. Certificates, image data and lists of identifiers look like that."},
	layersMany:    {"encoded_deep", check.Medium, "a value inside values, or encoded, deeper than is undone", "Nobody encodes like that in good faith; what is deeper was not inspected."},
}
