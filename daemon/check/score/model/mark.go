package model

var charSigns = func() (t [256]sign) {
	for i := range t {
		t[i] = famSigns
	}
	for c, s := range map[byte]sign{
		'`': signBacktick, '<': signLess, '>': signGreater, ';': signSemicolon,
		'|': signPipe, '&': signAmpersand, '$': signDollar, '=': signEquals, '#': signHash, '%': signPercent,
		'\\': signBackslash, '*': signStar, '+': signPlus, ',': signComma, '!': signBang, markCtl: signCtl, markNul: signNul, markHigh: signHigh,
		'(': signParens, '{': signBraces, '[': signBrackets, '\'': signQuote, '"': signDoubleQuote,
	} {
		t[c] = s
	}
	return
}()

func countMark(c *counts, h *hints, win []byte, toks []token, i int) {
	t := &toks[i]
	prev, next := at(toks, i-1), at(toks, i+1)
	if s := charSigns[t.char]; s != famSigns {
		c.add(s)
	}
	adjacent := !next.blank
	switch t.char {
	case '\'', '"', '`':
		countQuote(c, h, toks, i)
	case '(':
		c.addIf((prev.is(']') || prev.is(')')) && !t.blank, signIndexCall)
		c.addIf(next.is(')') && at(toks, i+2).is('{'), signFunctionDef)
	case ')':
		c.addIf(next.is('(') && adjacent && at(toks, i+2).is('|'), signLDAPBreak)
		c.addIf(next.is('(') && adjacent && prev.is('*'), signLDAPBreak)
	case '<':
		countLess(c, h, toks, i)
	case '>':
		h.tag = 0
		c.addIf(prev.is('%') || prev.is('?'), signTagClose)
		c.addIf((next.is('/') || next.is('&')) || prev.is('0') && next.is('&'), signRedirect)
	case '=', '!':
		countCompare(c, h, toks, i)
	case '-':
		c.addIf(next.is('-') && adjacent && !prev.is('-') && !(prev.is('!') && at(toks, i-2).is('<')), signDashes)
	case '/':
		c.addIf(next.is('*') && adjacent, signBlockComment)
		if next.fam&famShellPath != 0 && at(toks, i+2).is('/') && at(toks, i+3).fam&famShellPath != 0 && win[next.from] == 'd' {
			c.add(signDevTCP)
		}
		c.addIf(next.is('?') && (at(toks, i+2).is('?') || at(toks, i+2).kind == kindWord && at(toks, i+3).is('?')) && adjacent, signGlobPath)
	case '.':
		if next.is('.') && adjacent && (at(toks, i+2).is('/') || at(toks, i+2).is('\\') || at(toks, i+2).is(';')) && !prev.is('.') {
			c.add(signDotDot)
			c.addIf(at(toks, i+3).is('.') && at(toks, i+4).is('.'), signDotDots)
		}
	case ':':
		if next.is(':') && adjacent && prev.kind == kindWord {
			c.add(signXPathAxis)
		}
		c.addIf((next.is('\\') || next.is('/')) && prev.kind == kindWord && prev.to-prev.from == 1, signDrive)
	case '%':
		c.addIf(adjacent && (next.kind == kindNumber || next.kind == kindWord && next.to-next.from <= 4), signPercentLeft)
		c.addIf(prev.is('<'), signTemplateOpen)
	case '\\':
		c.addIf(adjacent && (next.char == 'x' || next.char == 'u' || next.kind == kindNumber), signEncodedLeft)
	case '$', '#', '*', '@', '~':
		countSigil(c, h, toks, i)
	case '{':
		if next.is('{') && adjacent || next.is('%') && adjacent || next.is('#') && adjacent {
			c.add(signTemplateOpen)
			h.template = i + 2
		}
	case '}':
		c.addIf(prev.is('}') && !t.blank, signTagClose)
	case '|':
		c.addIf(next.is('|') && adjacent && (at(toks, i+2).is('\'') || prev.is('\'')), signConcat)
	case '+':
		c.addIf(prev.is('\'') || prev.is('"') || next.is('\'') || next.is('"'), signConcat)
	case markCtl, markNul:
		c.addIf(next.fam&famHTTP != 0, signMultilineHeader)
	}
}

func countQuote(c *counts, h *hints, toks []token, i int) {
	t := &toks[i]
	next := at(toks, i+1)
	if t.char == '\'' {
		h.quotes++
	} else if t.char == '"' {
		h.doubles++
	}
	switch {
	case next.is(')'), next.is(']') && t.char == '\'':
		c.add(signQuoteParen)
	case next.is('-') && at(toks, i+2).is('-'), next.is('#'), next.is('/') && at(toks, i+2).is('*'):
		c.add(signQuoteComment)
	case next.is('>'), next.is('/') && at(toks, i+2).is('>'):
		c.addIf(at(toks, i+2).is('<') || at(toks, i+3).is('<'), signQuoteTag)
	case next.is('|'), next.is('+'), next.is('='), next.is('^'), next.is('*'), next.is('&'), next.is('%'), next.is('<'):
		c.add(signQuoteOperator)
	}
}

func countLess(c *counts, h *hints, toks []token, i int) {
	next := at(toks, i+1)
	if next.blank {
		return
	}
	switch {
	case next.is('?'):
		c.addIf(at(toks, i+2).is('=') || at(toks, i+2).hash == wordPhp, signPHPOpen)
		c.add(signSpecialTag)
	case next.is('%'):
		c.add(signSpecialTag)
		h.template = i + 2
	case next.is('!'):
		c.add(signSpecialTag)
		if at(toks, i+2).is('-') && at(toks, i+3).is('-') && at(toks, i+4).is('#') {
			c.add(signServerInclude)
		}
	case next.is('/'):
		c.add(signTagClose)
	case next.kind == kindWord:
		c.add(signTagOpen)
		h.tag = i + 1
		// xi:include
		c.addIf(at(toks, i+2).is(':') && at(toks, i+3).fam&famXML != 0 && next.to-next.from == 2, signXInclude)
	}
}

func countCompare(c *counts, h *hints, toks []token, i int) {
	t := &toks[i]
	prev, next := at(toks, i-1), at(toks, i+1)
	if t.char == '!' && !next.is('=') {
		return
	}
	k := i + 1
	if at(toks, k).is('=') {
		k++
	}
	right := at(toks, k)
	if right.is('\'') || right.is('"') || right.is('(') {
		right = at(toks, k+1)
	}
	left := prev
	if left.is('\'') || left.is('"') || left.is(')') {
		left = at(toks, i-2)
	}
	operand := func(t *token) bool { return t.kind == kindNumber || t.kind == kindWord }
	if !operand(left) || !operand(right) {
		return
	}
	c.add(signCompare)
	c.addIf(left.hash == right.hash, signSameCompare)
	c.addIf(h.logic > 0 && i-h.logic <= 6, signLogicCompare)
}

// countSigil counts what stands behind $, #, *, @ and ~: template and lookup
// delimiters, variables, annotations.
func countSigil(c *counts, h *hints, toks []token, i int) {
	t := &toks[i]
	next := at(toks, i+1)
	if next.blank {
		return
	}
	switch {
	case next.is('{'):
		c.add(signTemplateOpen)
		h.template = i + 2
		inner := at(toks, i+2)
		c.addIf(t.char == '$' && (inner.fam&famLookup != 0 || inner.is(':') || inner.is('$')), signLookupOpen)
	case next.is('@') && t.char == '@':
		c.add(signAtAt)
	case next.is('(') && t.char == '$':
		c.add(signSubstitution)
	case t.char == '$' && next.kind == kindWord:
		c.add(signShellVariable)
	case t.char == '*' && (next.is('/') || next.is('.') || next.is(')')):
		c.add(signWildcard)
	}
}
