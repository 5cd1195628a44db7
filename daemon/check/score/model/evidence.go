package model

// Evidence is one thing seen in a hit's window and its part of the logit. Ids
// below EvidenceIDs stand for signs and for words of an interpreter's
// vocabulary; they mean the same in every model of a feature version.
type Evidence struct {
	ID    uint16
	Logit float32
}

// wordIDs is how many ids the vocabulary's words share.
const wordIDs = 512

// EvidenceIDs bounds Evidence.ID.
const EvidenceIDs = signCount + wordIDs

// MaxEvidence bounds the evidence of one hit.
const MaxEvidence = signCount + 64

// Evidence appends what was seen in the hit's window to dst.
func (m *Model) Evidence(dst []Evidence, s *Scratch, text []byte, hit Hit) []Evidence {
	if !m.window(s, text, hit) {
		return dst
	}
	v := &s.vec
	w := m.weights[lexicalBase:]
	from := len(dst)
	for id, n := range v.counts {
		if n == 0 {
			continue
		}
		e := Evidence{ID: uint16(id), Logit: float32(w[lexicalBin(sign(id), int(n))]) * m.scale[2]}
		for k := range dst[from:] {
			a := &dst[from+k]
			half := float32(w[lexicalPair(sign(a.ID), sign(id))]) * m.scale[2] / 2
			a.Logit += half
			e.Logit += half
		}
		dst = append(dst, e)
	}
	worth := m.scale[1] * norm(len(v.token))
	words := 0
	for i := range v.toks {
		t := &v.toks[i]
		if t.fam == 0 || words == MaxEvidence-signCount {
			continue
		}
		words++
		b := uint16((t.hash ^ 0x51) * hashMultiplier >> 48)
		dst = append(dst, Evidence{ID: uint16(signCount + int(t.hash>>8%wordIDs)), Logit: float32(m.weights[charBuckets+int(b)]) * worth})
	}
	return dst
}

// EvidenceName is what an id stands for, in words.
func EvidenceName(id uint16) string {
	if int(id) < len(signNames) {
		return signNames[id]
	}
	return "a word"
}
