package canary

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/request"
)

func look(b *Book, now time.Time, uri, header, body string) string {
	r := request.Get()
	defer r.Release()
	r.Received, r.URI = now, []byte(uri)
	r.Headers = []request.Header{{Name: []byte("X"), Value: []byte(header)}}
	r.Body = request.Body{Present: body != "", Bytes: []byte(body)}
	return b.Look(r, "enter", true)
}

func TestACanaryIsKnownWhereverItStands(t *testing.T) {
	b, now := New(), time.Unix(1e9, 0)
	c := b.Make(now)
	for place, got := range map[string]string{
		"uri": look(b, now, "/a?x="+c, "", ""), "header": look(b, now, "/", "a "+c+" b", ""), "body": look(b, now, "/", "", "text "+c),
	} {
		if got != place {
			t.Errorf("found in %q, want %q", got, place)
		}
	}
	if seen := b.Seen(c); len(seen) != 3 {
		t.Errorf("seen at %v", seen)
	}
}

func TestWhatNobodySignedIsNoCanary(t *testing.T) {
	b, now := New(), time.Unix(1e9, 0)
	c := b.Make(now)
	forged := c[:len(c)-1] + string(rune('0'+('1'-c[len(c)-1])&1))
	for _, text := range []string{"", Prefix, c[:len(c)-1], New().Make(now), forged + "x"} {
		if text != c && look(b, now, "/", text, text) != "" {
			t.Errorf("%q was taken", text)
		}
	}
	if look(b, now.Add(lives+time.Second), "/", c, "") != "" {
		t.Error("a canary was taken after its time")
	}
}

func FuzzLook(f *testing.F) {
	b, now := New(), time.Unix(1e9, 0)
	f.Add(b.Make(now))
	f.Fuzz(func(t *testing.T, text string) { look(b, now, text, text, text) })
}
