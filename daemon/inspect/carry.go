package inspect

import (
	"encoding/base64"
	"encoding/json"

	"github.com/sallyport/sallyport/daemon/check"
)

// MaxCarry bounds what ENTER hands on in its answer, in bytes: NGINX reads a
// door's answer into one buffer of 4 KiB.
const MaxCarry = 2 << 10

// EncodeCarry writes findings for the answer's X-Sallyport-Carry. When they
// don't fit, excerpts and details go first, then the findings of least score.
func EncodeCarry(findings []check.Finding) string {
	if len(findings) == 0 {
		return ""
	}
	fs := append([]check.Finding(nil), findings...)
	if s := encodeCarry(fs); len(s) <= MaxCarry {
		return s
	}
	for i := range fs {
		fs[i].Excerpt, fs[i].Detail, fs[i].Tags, fs[i].Mark = "", "", nil, [2]int{}
	}
	for len(fs) > 0 {
		if s := encodeCarry(fs); len(s) <= MaxCarry {
			return s
		}
		least := 0
		for i := range fs {
			if fs[i].Score < fs[least].Score {
				least = i
			}
		}
		fs = append(fs[:least], fs[least+1:]...)
	}
	return ""
}

func encodeCarry(fs []check.Finding) string {
	b, err := json.Marshal(fs)
	if err != nil {
		return "" // no field of a finding can fail to be written
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodeCarry reads what EncodeCarry wrote. Only NGINX's own answer to us can
// stand there, so anything else is dropped.
func DecodeCarry(s []byte) []check.Finding {
	if len(s) == 0 || len(s) > MaxCarry {
		return nil
	}
	b, err := base64.RawURLEncoding.AppendDecode(nil, s)
	if err != nil {
		return nil
	}
	var fs []check.Finding
	if json.Unmarshal(b, &fs) != nil {
		return nil
	}
	return fs[:min(len(fs), check.MaxFindings)]
}
