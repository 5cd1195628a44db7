package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

func trusted(networks ...string) *bart.Lite {
	t := new(bart.Lite)
	for _, n := range networks {
		t.Insert(netip.MustParsePrefix(n))
	}
	return t
}

func TestTheClientIsTheFirstAddressFromTheRightThatIsNotTrusted(t *testing.T) {
	proxies := trusted("10.0.0.0/8", "2001:db8::/32")
	for _, c := range []struct {
		peer, want string
		forwarded  []string
	}{
		{"192.0.2.1", "192.0.2.1", []string{"198.51.100.7"}}, // the peer is no proxy of ours
		{"10.0.0.1", "10.0.0.1", nil},
		{"10.0.0.1", "198.51.100.7", []string{"198.51.100.7"}},
		{"10.0.0.1", "198.51.100.7", []string{"203.0.113.66, 198.51.100.7"}}, // the left is the client's own claim
		{"10.0.0.1", "198.51.100.7", []string{"198.51.100.7, 10.0.0.2 ,10.0.0.3"}},
		{"10.0.0.1", "198.51.100.7", []string{"203.0.113.66", "198.51.100.7", "10.0.0.2"}}, // lines are one list
		{"10.0.0.1", "198.51.100.7", []string{"198.51.100.7:4711"}},
		{"10.0.0.1", "2001:db9::7", []string{"[2001:db9::7]:443"}},
		{"10.0.0.1", "2001:db9::7", []string{"[2001:db9::7]"}},
		{"10.0.0.1", "2001:db9::7", []string{"2001:db9::7"}},
		{"10.0.0.1", "198.51.100.7", []string{"::ffff:198.51.100.7"}},
		{"10.0.0.1", "10.0.0.2", []string{"198.51.100.7, nonsense, 10.0.0.2"}}, // nobody we trust wrote what is left of it
		{"10.0.0.1", "10.0.0.1", []string{"unknown"}},
		{"10.0.0.1", "10.0.0.1", []string{"198.51.100.7:99999"}},
		{"10.0.0.1", "10.0.0.1", []string{"[198.51.100.7]"}},
		{"10.0.0.1", "10.0.0.1", []string{"198.51.100.7,"}},
		{"10.0.0.1", "10.0.0.9", []string{"198.51.100.7" + strings.Repeat(",10.0.0.9", 40)}}, // past the bound
		{"2001:db8::1", "198.51.100.7", []string{"198.51.100.7"}},
	} {
		r := request.Get()
		r.Client = netip.AddrPortFrom(netip.MustParseAddr(c.peer), 1)
		for _, f := range c.forwarded {
			r.Headers = append(r.Headers, request.Header{Name: []byte("X-Forwarded-For"), Value: []byte(f)})
		}
		resolveClient(r, proxies)
		if got := r.Client.Addr().String(); got != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.peer, c.forwarded, got, c.want)
		}
		r.Release()
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"198.51.100.7, 10.0.0.2", "[2001:db8::1]:443", "::ffff:1.2.3.4%eth0", "1.2.3.4:5:6", ",,", "[", "fe80::1%lo"} {
		f.Add([]byte(s))
	}
	proxies := trusted("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, b []byte) {
		r := request.Get()
		defer r.Release()
		peer := netip.MustParseAddr("10.0.0.1")
		r.Client = netip.AddrPortFrom(peer, 1)
		r.Headers = append(r.Headers, request.Header{Name: []byte("x-forwarded-for"), Value: b})
		resolveClient(r, proxies)
		got := r.Client.Addr()
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q: the client is %v", b, got)
		}
		if got != peer && !strings.Contains(string(b), ".") && !strings.Contains(string(b), ":") {
			t.Fatalf("%q: an address from nowhere: %v", b, got)
		}
		if a, ok := parseHop(b); ok { // what is read is read the same when written again
			if again, ok := parseHop([]byte(a.String())); !ok || again != a {
				t.Fatalf("%q: %v is read as %v", b, a, again)
			}
		}
	})
}

func FuzzCarry(f *testing.F) {
	f.Add([]byte(EncodeCarry([]check.Finding{{Check: "a", ID: "b", Score: 70, Where: "query:q", Excerpt: "x"}})))
	f.Add([]byte("e30"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := DecodeCarry(b)
		if len(fs) > check.MaxFindings {
			t.Fatalf("%d findings", len(fs))
		}
		if s := EncodeCarry(fs); len(s) > MaxCarry {
			t.Fatalf("%d bytes", len(s))
		}
	})
}

func TestACarryThatIsTooLongKeepsWhatScoresMost(t *testing.T) {
	var fs []check.Finding
	for n := range check.MaxFindings {
		fs = append(fs, check.Finding{Check: "a", ID: strings.Repeat("i", 40), Message: strings.Repeat("m", 60), Score: float64(n), Excerpt: strings.Repeat("x", check.MaxExcerpt)})
	}
	s := EncodeCarry(fs)
	got := DecodeCarry([]byte(s))
	if len(s) > MaxCarry || len(got) == 0 || got[len(got)-1].Score != float64(check.MaxFindings-1) || got[0].Score != float64(check.MaxFindings-len(got)) {
		t.Fatalf("%d bytes, %d findings: %+v", len(s), len(got), got)
	}
	if len(fs) != check.MaxFindings || fs[0].Excerpt == "" {
		t.Fatal("the findings themselves were changed")
	}
}
