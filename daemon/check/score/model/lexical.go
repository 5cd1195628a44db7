package model

// A sign is one thing that the interpreters' view of a window is counted for.
// Each sign is a feature in four bins (once, twice, three or four times,
// more), and each pair of signs present together is one more.
type sign uint8

const (
	signQuote sign = iota
	signDoubleQuote
	signBacktick
	signParens
	signLess
	signGreater
	signSemicolon
	signPipe
	signAmpersand
	signDollar
	signBraces
	signBrackets
	signEquals
	signHash
	signPercent
	signBackslash
	signStar
	signPlus
	signComma
	signBang
	signCtl
	signNul
	signHigh
	signOddQuotes
	signStartQuote
	signStartBreak
	signQuoteLogic
	signQuoteParen
	signQuoteComment
	signQuoteTag
	signQuoteOperator
	signEndComment
	signDashes
	signHashEnd
	signBlockComment
	signStacked
	signUnionSelect
	signSelectFrom
	signLogicCompare
	signCompare
	signSameCompare
	signNumberLogic
	signVerbStart
	signSQLCall
	signAtAt
	signHexNumber
	signTagOpen
	signTagClose
	signTagHandler
	signHandlerEquals
	signScriptURL
	signSinkCall
	signSinkTemplate
	signScriptTag
	signCall
	signIndexCall
	signSpecialTag
	signSeparatorCommand
	signStartCommand
	signSubstitution
	signBacktickCommand
	signRedirect
	signShellVariable
	signGlobPath
	signDevTCP
	signPipeShell
	signShellPath
	signFlagArgument
	signDotDot
	signDotDots
	signPathTarget
	signAbsoluteTarget
	signDrive
	signEncodedLeft
	signPercentLeft
	signScheme
	signURL
	signOddScheme
	signPrivateHost
	signUserinfo
	signOddHost
	signTemplateOpen
	signTemplateCall
	signTemplateMath
	signDunder
	signLookupOpen
	signJndi
	signJavaChain
	signJavaExec
	signPHPOpen
	signPHPCall
	signPHPVariable
	signSerialized
	signDollarOperator
	signBracketOperator
	signLDAPFilter
	signLDAPBreak
	signXPathAxis
	signDoctype
	signEntity
	signXInclude
	signServerInclude
	signHeaderLine
	signMultilineHeader
	signFunctionDef
	signConcat
	signWildcard
	signShortWindow
	signWholeURL
	signTrailingNul
	famSigns // the first of famCount signs, one per word family
)

const signCount = int(famSigns) + famCount

// pairSigns is how many of the signs take part in pairs: all of them.
const lexicalSize = signCount*4 + signCount*(signCount-1)/2

func binOf(n int) int {
	switch {
	case n <= 2:
		return n - 1
	case n <= 4:
		return 2
	}
	return 3
}

// lexicalBin is the feature of n times sign s.
func lexicalBin(s sign, n int) uint16 { return uint16(int(s)*4 + binOf(n)) }

// lexicalPair is the feature of a and b, a < b, being present together.
func lexicalPair(a, b sign) uint16 {
	return uint16(signCount*4 + int(b)*(int(b)-1)/2 + int(a))
}

var signNames = [...]string{
	"a single quote", "a double quote", "a backtick", "parentheses", "<", ">", "a semicolon", "a pipe", "an ampersand", "a dollar sign",
	"braces", "brackets", "an equals sign", "a number sign", "a percent sign", "a backslash", "an asterisk", "a plus sign", "a comma", "an exclamation mark",
	"a control byte", "a NUL byte", "non-ASCII text", "an odd number of quotes", "starts with a quote", "starts by closing something",
	"a quote, then SQL logic", "a quote, then a parenthesis", "a quote, then a comment", "a quote, then a tag's end", "a quote, then an operator",
	"ends in a comment", "a -- comment", "ends in #", "a /* comment", "a second statement", "UNION SELECT", "SELECT ... FROM",
	"AND or OR with a comparison", "a comparison", "a comparison that is always true", "a number, then SQL logic", "starts with an SQL verb",
	"an SQL function call", "an @@ variable", "a hexadecimal number", "an opening tag", "a closing tag", "a tag with a handler", "an event handler",
	"a script URL", "a call that runs script", "a template call that runs script", "a script element", "a call", "a call through an index", "a comment or declaration tag",
	"a separator, then a command", "starts with a command", "a command substitution", "a command in backticks", "a redirection",
	"a shell variable", "a wildcard path", "/dev/tcp", "a pipe into a shell", "a path of system programs", "a command's flag", "a ../ step", "several ../ steps",
	"a sensitive file", "an absolute path to a sensitive file", "a drive letter", "an escape left after decoding", "a percent escape left after decoding", "a URL scheme",
	"a URL", "an unusual URL scheme", "a private or metadata host", "a user name in a URL", "an oddly written host", "a template delimiter", "a call in a template",
	"arithmetic in a template", "a double-underscore name", "a lookup delimiter", "a JNDI lookup", "a Java call chain", "Java that runs a program", "a PHP tag", "a PHP function call",
	"a PHP variable", "a serialised object", "a $ operator", "an operator in brackets", "an LDAP filter", "an LDAP filter's break", "an XPath axis", "a document type",
	"an entity declaration", "an XInclude", "a server-side include", "a header line", "a line break, then a header", "a function definition header", "a concatenation",
	"a wildcard", "a short value", "a whole URL", "a NUL at the end",
	"SQL verbs", "SQL clauses", "SQL logic words", "SQL function names", "SQL schema names", "script words", "script sinks", "HTML elements", "HTML event handlers", "command names",
	"program directories", "sensitive file names", "URL schemes", "PHP names", "Java names", "template names", "query operators", "lookup names", "XML declarations",
	"LDAP attributes", "internal hosts", "HTTP header words",
}

// counts are a window's signs, saturating at 255.
type counts [signCount]uint8

func (c *counts) add(s sign) {
	if c[s] < 255 {
		c[s]++
	}
}

func (c *counts) addIf(cond bool, s sign) {
	if cond {
		c.add(s)
	}
}
