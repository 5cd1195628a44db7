package limit

import (
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
)

func simulate(t *testing.T, config, log string) *Simulated {
	t.Helper()
	c, err := build(config, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Simulate(strings.NewReader(log), "api.example.com", keyed.New(1000, 1), func(*request.Request) (string, string, *Check) { return "s", "r", c })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASimulationTellsWhoWouldHaveBeenLimited(t *testing.T) {
	var log strings.Builder
	at := start
	for i := range 60 {
		at = at.Add(time.Second)
		fmt.Fprintf(&log, "192.0.2.1 - - [%s] \"POST /login HTTP/1.1\" 401 12 \"-\" \"x\"\n", at.Format(localTime))
		if i%10 == 0 {
			fmt.Fprintf(&log, `{"time":%d,"remote_addr":"192.0.2.2:99","request":"GET /a HTTP/2.0","status":"200","request_time":"2.5","bytes_sent":100}`+"\n", at.Unix())
		}
		if i == 30 {
			log.WriteString("not a line\n{\n" + strings.Repeat("x", maxLogLine+5) + "\n")
		}
	}
	s := simulate(t, `[[limit]]
name = "stuffing"
key = ["address"]
rate = "10/5m"
match = { status = [401] }
[[limit]]
name = "total"
rate = "1000/1m"
action = "detect"
`, log.String())
	if s.Requests != 66 || s.Skipped != 3 || s.Refused != 50 || s.Clients != 1 || s.RefusedGood != 0 {
		t.Errorf("%+v", s)
	}
	if l := s.Limits[0]; l.Name != "stuffing" || l.Refused != 50 || l.Keys != 1 || l.Top[0].Key != "192.0.2.1" || l.Asked != 66 {
		t.Errorf("%+v", l)
	}
	if l := s.Limits[1]; l.Found != 0 || l.Rate != "1000/1m" {
		t.Errorf("%+v", l)
	}
}

func TestALogMayBeCompressed(t *testing.T) {
	var log strings.Builder
	for i := range 5 {
		fmt.Fprintf(&log, "192.0.2.1 - - [%s] \"GET / HTTP/1.1\" 200 12 \"-\" \"x\"\n", start.Add(time.Duration(i)*time.Second).Format(localTime))
	}
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(log.String()))
	_ = z.Close()
	const config = "[[limit]]\nname = \"x\"\nkey = [\"address\"]\nrate = \"2/1m\""
	if s := simulate(t, config, packed.String()+packed.String()); s.Requests != 10 || s.Refused != 8 || s.Skipped != 0 {
		t.Errorf("%+v", s)
	}
	place := func(*request.Request) (string, string, *Check) { return "", "", nil }
	if _, err := Simulate(strings.NewReader(packed.String()[:packed.Len()/2]), "", keyed.New(10, 1), place); err == nil {
		t.Error("half an archive is no error")
	}
}

func TestASimulationHoldsRequestsAsLongAsTheyTook(t *testing.T) {
	var log strings.Builder
	for i := range 20 {
		fmt.Fprintf(&log, `{"time":"%s","client":"192.0.2.1","method":"GET","uri":"/","status":200,"request_time":%d}`+"\n", start.Add(time.Duration(i)*time.Second).Format(time.RFC3339), 4)
	}
	s := simulate(t, "[[limit]]\nname = \"held\"\nkey = [\"address\"]\nconcurrent = 2", log.String())
	if s.Refused != 10 {
		t.Errorf("%d of 20 refused, want 10: two of every four seconds are free", s.Refused)
	}
}

func FuzzParsePast(f *testing.F) {
	for _, s := range []string{
		`192.0.2.1 - - [24/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`,
		`{"time":1700000000.5,"client":"::1","method":"GET","uri":"/","status":200,"headers":[["a","b"]]}`,
		`{"time":"2026-01-01T00:00:00Z","remote_addr":"1.2.3.4","request":"GET / HTTP/1.1"}`,
		`x`, `{`, `1.2.3.4 [] "`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		p, err := ParsePast(line)
		if err == nil && (!p.Client.IsValid() || p.Method == "" || p.URI == "") {
			t.Errorf("%q gives %+v", line, p)
		}
	})
}
