package schema

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/schema/openapi"
)

// judgeCaps holds numbers that ask for many things to their caps.
func (c *Check) judgeCaps(v *check.Visit, parts openapi.Part) {
	for i := range c.caps {
		one := &c.caps[i]
		if one.Path != "" && !bytes.HasPrefix(v.Request.Path(), []byte(one.Path)) {
			continue
		}
		for _, name := range one.Names {
			openapi.Texts(v.Request, parts, name, func(where string, text []byte) {
				c.cap(v, one, where, text)
			})
		}
	}
}

func (c *Check) cap(v *check.Visit, one *Cap, where string, text []byte) {
	text = bytes.TrimSpace(text)
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n <= float64(one.Max) {
		return
	}
	v.Add(check.Finding{
		Check: Name, ID: "asks_too_much", Where: where, Severity: check.High, Deny: true, Status: 422,
		Message: clip(fmt.Sprintf("%s: want at most %d, got %s", where, one.Max, text), 300), Excerpt: clip(string(text), 64),
	})
}
