package score

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of what is scored of one long text, in bytes: its first and its last
// part, each less than the model looks at in one text. Padding in front of an
// attack or behind it hides nothing; a finding "partial" says that the middle
// was not scored.
const (
	scoredFirst = 64 << 10
	scoredLast  = 32 << 10
)

// Values calls see with every text that the model looks at on a visit: each
// value, and what base64 tokens in it decode to, the long ones in two parts.
// The model is trained on the same. Other encodings are undone by the model
// itself.
func Values(r *request.Request, phase check.Phase, see func(v *request.Value, text []byte)) {
	if phase&check.Head != 0 {
		each(r, r.HeadValues(), see)
	}
	if phase&check.Body != 0 {
		each(r, r.BodyValues(), see)
	}
}

// Look scores a text of a value: what the model says of it, and what is known
// of the place it stands in.
func Look(m *model.Model, s *model.Scratch, v *request.Value, text []byte) model.Hit {
	if plainPath(v, text) || plainHeader(v, text) || nameLike(text) {
		return model.Hit{Logit: model.None}
	}
	hit := m.Score(s, text)
	if hit.Score > 0 && len(text) <= maxPassword && secret(v) {
		m.Lower(&hit, secretLowered, "a password may be any text")
	}
	return hit
}

// What stands in a password's field is made of marks and words at random, and
// is compared, not run: more evidence is asked for. A query that is broken out
// of has more than enough.
const (
	maxPassword   = 64 // bytes
	secretLowered = 2  // off the log odds
)

// secretNames are parts of the names, in lower case, of fields for passwords.
var secretNames = [...]string{"passw", "pwd", "passphrase", "secret", "passcode"}

// secret says that a value is a form's or a JSON body's field for a password.
func secret(v *request.Value) bool {
	if v.Kind != request.Form && v.Kind != request.JSON || v.Part == "name" {
		return false
	}
	name := v.Name[bytes.LastIndexByte(v.Name, '/')+1:]
	for _, s := range secretNames {
		if containsFolded(name, s) {
			return true
		}
	}
	return false
}

// containsFolded says that name holds part, which is of lower case.
func containsFolded(name []byte, part string) bool {
	for i := 0; i+len(part) <= len(name); i++ {
		k := 0
		for k < len(part) && name[i+k]|0x20 == part[k] {
			k++
		}
		if k == len(part) {
			return true
		}
	}
	return false
}

func each(r *request.Request, values []request.Value, see func(v *request.Value, text []byte)) {
	for i := range values {
		v := &values[i]
		parts(v, v.Text, see)
		if len(v.Text) < decode.MinBase64 {
			continue
		}
		if _, _, ok := decode.Base64Token(v.Text, 0); !ok {
			continue
		}
		for _, l := range r.Layers(v) {
			if l.By == "base64" {
				parts(v, l.Text, see)
			}
		}
	}
}

func parts(v *request.Value, text []byte, see func(v *request.Value, text []byte)) {
	if !long(text) {
		see(v, text)
		return
	}
	see(v, text[:scoredFirst])
	see(v, text[len(text)-scoredLast:])
}

func long(text []byte) bool { return len(text) > scoredFirst+scoredLast }
