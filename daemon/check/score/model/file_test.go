package model

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func embeddedFile(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile("../default.model")
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestAModelReadsBackAsItWasWritten(t *testing.T) {
	data := embeddedFile(t)
	m, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again) {
		t.Fatal("the bytes differ")
	}
}

func TestAHarmedModelIsRefused(t *testing.T) {
	data := embeddedFile(t)
	for name, harm := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"cut":          func(b []byte) []byte { return b[:len(b)/2] },
		"one bit":      func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"other format": func(b []byte) []byte { return append([]byte("{}"), b...) },
	} {
		if _, err := Decode(harm(bytes.Clone(data))); !errors.Is(err, ErrModel) {
			t.Errorf("%s: got %v, want ErrModel", name, err)
		}
	}
}

func FuzzDecodeModel(f *testing.F) {
	data := embeddedFile(f)
	f.Add(data[:64])
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Decode(data); err == nil {
			m.Score(new(Scratch), []byte("' or 1=1"))
		}
	})
}

func FuzzScore(f *testing.F) {
	m, err := Decode(embeddedFile(f))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"1' or 1=1-- -", "${${lower:j}ndi:ldap://x}", "() { :;}; id", "%25u003c\\x3c&#x3c;&lt;", "..\\..%c0%af", "c''at$IFS/etc/passwd",
		"\x00\xef\xbc\x9c\xe2\x80\x8b", "/*!50000union*/select", "'+'a'||'b"} {
		f.Add([]byte(s))
	}
	s := new(Scratch)
	f.Fuzz(func(t *testing.T, text []byte) {
		hit := m.Score(s, text)
		if hit.Score < 0 || hit.Score > 100 {
			t.Fatalf("score %v", hit.Score)
		}
		m.Classify(s, text, hit)
		e := m.Explain(s, text, hit)
		if e.Mark[0] < 0 || e.Mark[1] < 0 || e.Mark[0]+e.Mark[1] > len(e.Text) {
			t.Fatalf("mark %v of %d bytes", e.Mark, len(e.Text))
		}
	})
}
