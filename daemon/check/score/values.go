package score

import (
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Values calls see with every text that the model looks at on a visit: each
// value, and what base64 tokens in it decode to. The model is trained on the
// same. Other encodings are undone by the model itself.
func Values(r *request.Request, phase check.Phase, see func(v *request.Value, text []byte)) {
	if phase&check.Head != 0 {
		each(r, r.HeadValues(), see)
	}
	if phase&check.Body != 0 {
		each(r, r.BodyValues(), see)
	}
}

func each(r *request.Request, values []request.Value, see func(v *request.Value, text []byte)) {
	for i := range values {
		v := &values[i]
		see(v, v.Text)
		if len(v.Text) < decode.MinBase64 {
			continue
		}
		if _, _, ok := decode.Base64Token(v.Text, 0); !ok {
			continue
		}
		for _, l := range r.Layers(v) {
			if l.By == "base64" {
				see(v, l.Text)
			}
		}
	}
}
