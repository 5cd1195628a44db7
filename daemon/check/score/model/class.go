package model

// Classify says which class of attack the hit's window looks most like.
func (m *Model) Classify(s *Scratch, text []byte, hit Hit) Class {
	if hit.Floor != "" {
		return hit.Class
	}
	best, top := SQL, float32(None)
	if !m.window(s, text, hit) {
		return best
	}
	nc, nt := norm(len(s.vec.char)), norm(len(s.vec.token))
	for c := Class(0); c < classCount; c++ {
		w := m.heads[int(c)*classFeatures : (int(c)+1)*classFeatures]
		var char, token, lexical int32
		for _, f := range s.vec.char {
			char += int32(w[f%classBuckets])
		}
		for _, f := range s.vec.token {
			token += int32(w[classBuckets+f%classBuckets])
		}
		for _, f := range s.vec.lexical {
			if int(f) < signCount*4 {
				lexical += int32(w[2*classBuckets+int(f)])
			}
		}
		l := m.headBias[c] + m.headScale[c]*(float32(char)*nc+float32(token)*nt+float32(lexical))
		if l > top {
			best, top = c, l
		}
	}
	return best
}

// window computes the hit's window's features again.
func (m *Model) window(s *Scratch, text []byte, hit Hit) (found bool) {
	if Harmless(text) {
		return false
	}
	s.views(text, func(view View, text []byte) {
		if view != hit.view || found {
			return
		}
		s.windows(text, func(from int, win []byte) {
			if from == hit.from && !found {
				s.vec.of(win)
				found = true
			}
		})
	})
	return found
}
