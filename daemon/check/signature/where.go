package signature

import (
	"bytes"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/request"
)

// valueBuffer is how a rule names the buffer of the values that a client chose.
const valueBuffer = "sallyport.value"

// whereOf names the value that a match in the buffer of values stands in, so
// that an exception can be made for it: the value whose text, or a further
// decoding of it, the rule looked at. It is asked for hits alone.
func whereOf(r *request.Request, h *Hit) string {
	if !strings.HasPrefix(h.Where, valueBuffer) {
		return h.Where
	}
	for _, values := range [2][]request.Value{r.HeadValues(), bodyValues(r)} {
		for i := range values {
			v := &values[i]
			if bytes.Equal(v.Text, h.Text) || bytes.Equal(v.Raw, h.Text) {
				return v.Where()
			}
			for _, l := range r.Layers(v) {
				if bytes.Equal(l.Text, h.Text) {
					return v.Where()
				}
			}
		}
	}
	return h.Where
}

func bodyValues(r *request.Request) []request.Value {
	if !r.Body.Present {
		return nil
	}
	return r.BodyValues()
}

// Inventory maps each loaded rule to a hash of its text.
func (c *Check) Inventory() (noun string, prints map[string]uint64) {
	prints = make(map[string]uint64, len(c.set.rules))
	for i := range c.set.rules {
		p := c.set.rules[i].Program
		prints[ruleID(p)] = xxhash.Sum64String(p.Rule.Text)
	}
	return "rules", prints
}

// Files are the rule files that were read.
func (c *Check) Files() []string {
	seen := map[string]bool{}
	var files []string
	for i := range c.set.rules {
		if f := c.set.rules[i].Rule.File; !seen[f] {
			seen[f] = true
			files = append(files, f)
		}
	}
	return files
}
