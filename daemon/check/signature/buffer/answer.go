package buffer

// Both says that answers have such a buffer as well as requests. A rule of
// Suricata's that names no direction, and no buffer that only one side has,
// is about either.
func (id ID) Both() bool {
	switch id {
	case SProtocol, SHeader, SHeaderRaw, SHeaderNames, SCookie, SContentType, SContentLen, SStart, SFileData, SFileName:
		return true
	}
	return false
}

// answer is a buffer of an answer.
func (s *Set) answer(id ID) Value {
	switch {
	case !id.Both():
		return Value{}
	case id == SCookie:
		return s.mergedHeader("set-cookie")
	case len(s.Req.Body) == 0 && (id == SFileData || id == SFileName):
		return Value{}
	case id == SFileData:
		return one(s.decoded())
	case id == SFileName:
		return s.pathName()
	}
	return s.suricata(id)
}
