package model

// scan counts the signs of a window from its tokens. before and after say
// whether the window is the value's first and last.
func scan(c *counts, win []byte, toks []token) {
	*c = counts{}
	var h hints
	for i := range toks {
		t := &toks[i]
		switch t.kind {
		case kindWord:
			countWord(c, &h, toks, i)
		case kindNumber:
			countNumber(c, &h, toks, i)
		default:
			countMark(c, &h, win, toks, i)
		}
	}
	c.addIf(h.quotes&1 == 1 || h.doubles&1 == 1, signOddQuotes)
	c.addIf(len(win) <= 24, signShortWindow)
	countEnds(c, toks)
}

// hints are what scan remembers on its way through a window.
type hints struct {
	quotes, doubles     int
	sawSelect, sawUnion bool
	logic               int // index past the last AND, OR and the like, 0 for none
	tag                 int // index past the last "<", 0 for none or closed
	template            int // index past the last template delimiter
}

func at(toks []token, i int) *token {
	if i < 0 || i >= len(toks) {
		return &noToken
	}
	return &toks[i]
}

var noToken token

func (t *token) is(c byte) bool { return t.kind == kindMark && t.char == c }

func countFamilies(c *counts, f family) {
	for b := 0; f != 0; b++ {
		if f&1 != 0 {
			c.add(famSigns + sign(b))
		}
		f >>= 1
	}
}

var (
	wordSelect = wordHash([]byte("select"))
	wordUnion  = wordHash([]byte("union"))
	wordFrom   = wordHash([]byte("from"))
	wordAll    = wordHash([]byte("all"))
	wordJndi   = wordHash([]byte("jndi"))
	wordScript = wordHash([]byte("script"))
	wordPhp    = wordHash([]byte("php"))
)

func countWord(c *counts, h *hints, toks []token, i int) {
	t := &toks[i]
	prev, next := at(toks, i-1), at(toks, i+1)
	if t.fam != 0 {
		countFamilies(c, t.fam)
	}
	call := next.is('(') && !(next.blank && t.fam&(famSQLFunc|famSQLClause|famSQLLogic) == 0)
	switch {
	case call && t.fam&famSink != 0:
		c.add(signSinkCall)
	case call:
		c.add(signCall)
	}
	if call && t.fam&famSQLFunc != 0 {
		c.add(signSQLCall)
	}
	if call && t.fam&famPHP != 0 {
		c.add(signPHPCall)
	}
	if next.is('`') && t.fam&famSink != 0 {
		c.add(signSinkTemplate)
	}
	switch t.hash {
	case wordSelect:
		c.addIf(h.sawUnion, signUnionSelect)
		h.sawSelect, h.sawUnion = true, false
	case wordUnion:
		h.sawUnion = true
	case wordFrom:
		c.addIf(h.sawSelect, signSelectFrom)
	case wordJndi:
		c.addIf(next.is(':') || next.is('}') || next.is('$'), signJndi)
	default:
		if h.sawUnion && t.hash != wordAll && t.fam&(famSQLClause|famSQLVerb) == 0 {
			h.sawUnion = false
		}
	}
	if t.fam&famSQLLogic != 0 {
		h.logic = i + 1
		c.addIf(prev.kind == kindNumber, signNumberLogic)
		c.addIf(prev.is('\'') || prev.is('"'), signQuoteLogic)
	} else if t.fam&(famSQLClause|famSQLVerb) != 0 && (prev.is('\'') || prev.is('"') || prev.is(')')) && at(toks, i-1).from <= 24 {
		c.add(signQuoteLogic)
	}
	if t.fam&famSQLVerb != 0 {
		c.addIf(prev.is(';') || prev.is(')') && at(toks, i-2).is(';'), signStacked)
	}
	if t.fam&famHandler != 0 {
		c.addIf(next.is('=') || next.is(markCtl), signHandlerEquals)
		c.addIf(h.tag > 0, signTagHandler)
	}
	if t.fam&famTag != 0 && (prev.is('<') || prev.is('/') && at(toks, i-2).is('<')) && !t.blank {
		c.addIf(t.hash == wordScript, signScriptTag)
	}
	if next.is(':') && t.fam&famScheme != 0 {
		countScheme(c, toks, i)
	}
	if t.fam&famShell != 0 {
		countCommand(c, toks, i)
	}
	if t.fam&famFileTarget != 0 {
		slash := prev.is('/') || prev.is('\\')
		more := (next.is('/') || next.is('\\') || next.is('.')) && at(toks, i+2).fam&famFileTarget != 0
		c.addIf(slash && more, signPathTarget)
		c.addIf(slash && more && (i == 2 || at(toks, i-1).blank), signAbsoluteTarget)
	}
	if t.fam&famShellPath != 0 && prev.is('/') && next.is('/') {
		c.add(signShellPath)
	}
	if t.fam&famJava != 0 && (prev.is('.') || prev.is('@')) && (next.is('.') || next.is('(') || next.is('@')) {
		c.add(signJavaChain)
		c.addIf(next.is('(') && h.template > 0, signJavaExec)
	}
	if t.fam&famTemplate != 0 && h.template > 0 && (next.is('.') || next.is('[') || next.is('(') || prev.is('.')) {
		c.add(signTemplateCall)
	}
	if t.char == '_' && t.to-t.from > 5 {
		c.add(signDunder)
	}
	if t.fam&famNoSQL != 0 && prev.is('$') && !t.blank {
		c.add(signDollarOperator)
		c.addIf(at(toks, i-2).is('['), signBracketOperator)
	}
	if prev.is('$') && !t.blank && t.char == '_' {
		c.add(signPHPVariable)
	}
	if t.fam&famLDAP != 0 && prev.is('(') && (next.is('=') || next.is('*')) {
		c.add(signLDAPFilter)
	}
	if t.fam&famXML != 0 && prev.is('!') && at(toks, i-2).is('<') {
		c.addIf(t.char == 'd', signDoctype)
		c.addIf(t.char == 'e', signEntity)
	}
	if t.fam&famHost != 0 && (prev.is('/') || prev.is('@') || prev.is('.')) {
		c.add(signPrivateHost)
	}
	if t.fam&famHTTP != 0 && next.is(':') && (i <= 1 || t.blank) {
		c.add(signHeaderLine)
	}
}

func countScheme(c *counts, toks []token, i int) {
	t := &toks[i]
	c.add(signScheme)
	url := at(toks, i+2).is('/') && at(toks, i+3).is('/')
	web := t.char == 'h'
	c.addIf(url, signURL)
	c.addIf(url && i == 1, signWholeURL)
	c.addIf(url && !web, signOddScheme)
	if !url && t.char != 'h' && t.fam&(famScript|famTag|famJava) != 0 {
		c.add(signScriptURL)
	}
	if !url {
		return
	}
	for k := i + 4; k < len(toks) && k < i+24; k++ {
		n := &toks[k]
		switch {
		case n.is('@'):
			c.add(signUserinfo)
			return
		case n.is('/') || n.is('?') || n.blank:
			return
		case n.kind == kindNumber && n.shape == 0x17:
			c.add(signPrivateHost)
		case n.kind == kindNumber && k == i+4 && !at(toks, k+1).is('.'), n.is('['), n.kind == kindMark && n.char == markHigh:
			c.add(signOddHost)
		}
	}
}

func countCommand(c *counts, toks []token, i int) {
	t := &toks[i]
	prev, next := at(toks, i-1), at(toks, i+1)
	// A path may stand before the command: skip back over it.
	k := i - 1
	for k > 0 && (toks[k].is('/') || toks[k].is('\\') || toks[k].fam&famShellPath != 0) && i-k < 8 {
		k--
	}
	sep := at(toks, k)
	switch {
	case sep.is('|'), sep.is(';'), sep.is('&'):
		c.add(signSeparatorCommand)
		if sep.is('|') && t.to-t.from <= 4 && t.char != 'c' && t.char != 'l' {
			c.add(signPipeShell)
		}
	case sep.is('(') && at(toks, k-1).is('$'):
		c.add(signSubstitution)
	case sep.is('`'):
		c.add(signBacktickCommand)
	case sep.is(markStart), prev.is('{'):
		c.add(signStartCommand)
	}
	if next.is('-') && next.blank && at(toks, i+2).kind != kindMark && !at(toks, i+2).blank {
		c.add(signFlagArgument)
	}
}

func countNumber(c *counts, h *hints, toks []token, i int) {
	t := &toks[i]
	next := at(toks, i+1)
	if t.shape == 0x17 && t.hash == hexPrefix {
		c.add(signHexNumber)
	}
	if t.shape == 0x17 && next.is('.') && t.hash != hexPrefix && (at(toks, i-1).is('/') || at(toks, i-1).is('@')) {
		c.add(signPrivateHost)
	}
	if h.template > 0 && h.template == i && (next.is('*') || next.is('+') || next.is('-')) {
		c.add(signTemplateMath)
	}
}

var hexPrefix = wordHash([]byte("0x0"))

func countEnds(c *counts, toks []token) {
	if len(toks) < 3 || !toks[0].is(markStart) {
		return
	}
	first, second := &toks[1], at(toks, 2)
	switch {
	case first.is('\''), first.is('"'), first.is('`'):
		c.add(signStartQuote)
		c.addIf(second.kind == kindMark && !second.is(markEnd), signStartBreak)
	case first.is(')'), first.is(']'), first.is('}'), first.is('>'), first.is(';'), first.is('|'), first.is('&'):
		c.add(signStartBreak)
	case first.fam&famSQLVerb != 0:
		c.add(signVerbStart)
	}
	n := len(toks)
	if !toks[n-1].is(markEnd) || n < 4 {
		return
	}
	last, prior := &toks[n-2], at(toks, n-3)
	switch {
	case last.is('-') && prior.is('-'), last.is('#') && n > 5, last.is('*') && prior.is('/'),
		last.is('+') && prior.is('-') && at(toks, n-4).is('-'), last.is('/') && prior.is('/') && n > 6 && !at(toks, n-4).is(':'):
		c.add(signEndComment)
		c.addIf(last.is('#'), signHashEnd)
	case last.is(markNul):
		c.add(signTrailingNul)
	}
}
