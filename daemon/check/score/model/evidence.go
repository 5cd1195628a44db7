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

// Ids of how a value is written rather than what it says: the view that the
// hit was found in, unless that is the value as it is, and letters of mixed
// case inside words.
const (
	idView  = signCount + wordIDs
	idMixed = idView + int(AsPath) + 1
)

// EvidenceIDs bounds Evidence.ID.
const EvidenceIDs = idMixed + 1

// writtenLogit is what a way of writing weighs as evidence: the model does
// not score it, but a value written otherwise than all others is unlike them.
const writtenLogit = 2

// MaxEvidence bounds the evidence of one hit.
const MaxEvidence = signCount + 66

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
		if t.fam == 0 || words == MaxEvidence-signCount-2 {
			continue
		}
		words++
		b := uint16((t.hash ^ 0x51) * hashMultiplier >> 48)
		dst = append(dst, Evidence{ID: uint16(signCount + int(t.hash>>8%wordIDs)), Logit: float32(m.weights[charBuckets+int(b)]) * worth})
	}
	if hit.view != Raw {
		dst = append(dst, Evidence{ID: uint16(idView + int(hit.view)), Logit: writtenLogit})
	}
	if mixedCase(text[:min(len(text), maxMixed)]) {
		dst = append(dst, Evidence{ID: uint16(idMixed), Logit: writtenLogit})
	}
	return dst
}

// maxMixed bounds the bytes that are looked through for mixed case.
const maxMixed = 4 << 10

// mixedCase finds a word such as ScRiPt: of four letters or more, a third of
// them capitals behind small ones. Names in camel case have fewer.
func mixedCase(text []byte) bool {
	letters, turns := 0, 0
	last := uint8(classOther)
	for i := 0; i <= len(text); i++ {
		k := uint8(classOther)
		if i < len(text) {
			k = byteClass[text[i]]
		}
		if k != classLower && k != classUpper {
			if letters >= 4 && turns*3 >= letters {
				return true
			}
			letters, turns = 0, 0
		} else {
			letters++
			if k == classUpper && last == classLower {
				turns++
			}
		}
		last = k
	}
	return false
}

// EvidenceName is what an id stands for, in words.
func EvidenceName(id uint16) string {
	if int(id) < len(signNames) {
		return signNames[id]
	}
	switch {
	case int(id) == idMixed:
		return "mixed case"
	case int(id) >= idView && int(id) < idMixed:
		return "read " + View(int(id)-idView).String()
	}
	return "a word"
}
