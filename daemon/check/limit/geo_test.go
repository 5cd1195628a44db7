package limit

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
)

// database writes a file in MaxMind's format (version 2.0) that splits all
// IPv4 addresses by their first bit: 0 has the first record, 1 the second.
func database(t *testing.T, kind string, low, high []byte) string {
	t.Helper()
	const nodes = 1
	var b bytes.Buffer
	pointer := func(offset int) { // 32 bits a record
		_ = binary.Write(&b, binary.BigEndian, uint32(nodes+16+offset))
	}
	pointer(0)
	pointer(len(low))
	b.Write(make([]byte, 16))
	b.Write(low)
	b.Write(high)
	b.WriteString("\xab\xcd\xefMaxMind.com")
	b.Write(object(
		"node_count", number32(nodes), "record_size", number16(32), "ip_version", number16(4),
		"database_type", text(kind), "binary_format_major_version", number16(2), "binary_format_minor_version", number16(0),
		"build_epoch", number32(1), "languages", []byte{0x00, 0x04}, "description", []byte{0xe0},
	))
	path := filepath.Join(t.TempDir(), kind+".mmdb")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func text(s string) []byte { return append([]byte{0x40 | byte(len(s))}, s...) }

func number16(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0xa2}, n) }

func number32(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0xc4}, n) }

func object(pairs ...any) []byte {
	b := []byte{0xe0 | byte(len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		if len(name) >= 29 {
			b = append(b, 0x40|29, byte(len(name)-29))
			b = append(b, name...)
		} else {
			b = append(b, text(name)...)
		}
		b = append(b, pairs[i+1].([]byte)...)
	}
	return b
}

func TestCountriesAndNetworksAreCountedApart(t *testing.T) {
	countries := database(t, "Country", object("country", object("iso_code", text("DE"))), object("country", object("iso_code", text("FR"))))
	asns := database(t, "ASN", object("autonomous_system_number", number32(64496)), object("autonomous_system_number", number32(64497)))
	for _, key := range []string{"country", "asn"} {
		c, err := build(`country_file = "`+countries+`"
asn_file = "`+asns+`"
[[limit]]
name = "x"
rate = "1/1m"
key = ["`+key+`"]`, check.Env{})
		if err != nil {
			t.Fatal(err)
		}
		g := newGate(t, "")
		g.Check = c
		if g.ask(from("10.0.0.1")) != nil || g.ask(from("200.0.0.1")) != nil {
			t.Errorf("%s: the first of each was refused", key)
		}
		f := g.ask(from("11.0.0.2"))
		if f == nil {
			t.Errorf("%s: the second of one passed", key)
			continue
		}
		if want := map[string]string{"country": "DE reached 2", "asn": "AS64496 reached 2"}[key]; f.Message[:len(want)] != want {
			t.Errorf("%s: %q", key, f.Message)
		}
	}
	if g, _, err := openGeo("", ""); err != nil || g.country(netip.MustParseAddr("10.0.0.1")) != "" || g.asn(netip.MustParseAddr("10.0.0.1")) != 0 {
		t.Error("no database gives something")
	}
}
