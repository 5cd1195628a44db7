package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// document is like the orders that the package above measures with.
func document(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"orders":[`)
	for i := 0; b.Len() < size-300; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"customer":{"name":"Anna M\u00fcller","email":"anna%d@example.com","city":"Berlin"},`+
			`"items":[{"sku":"A-%d","title":"Winter jacket, dark blue","quantity":2,"price":129.95}],"paid":true,"note":null}`, i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

type leaves int

func (l *leaves) JSONLeaf(_, _ []byte, _, _ bool) { *l++ }
func (l *leaves) JSONKey(_, _ []byte, _ bool)     { *l++ }
func (l *leaves) JSONFlaw(JSONFlaw, []byte)       {}

// BenchmarkJSON holds the walker against jsontext, which validates only, gives
// no pointers for free, ends at the first flaw, and was the other choice.
func BenchmarkJSON(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10} {
		src := document(size)
		b.Run(fmt.Sprintf("own/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			var w JSON
			var n leaves
			for b.Loop() {
				w.Walk(src, false, &n)
			}
		})
		for name, opts := range map[string][]jsontext.Options{
			"jsontext": nil, "jsontext, duplicates allowed": {jsontext.AllowDuplicateNames(true)},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(src)))
				b.ReportAllocs()
				d := jsontext.NewDecoder(bytes.NewReader(nil))
				r := bytes.NewReader(nil)
				for b.Loop() {
					r.Reset(src)
					d.Reset(r, opts...)
					for {
						if _, err := d.ReadToken(); err != nil {
							if !errors.Is(err, io.EOF) {
								b.Fatal(err)
							}
							break
						}
					}
				}
			})
		}
	}
}
