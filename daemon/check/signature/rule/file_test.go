package rule

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const one = `alert http any any -> any any (msg:"a"; http.uri; content:"/a"; sid:1;)`

// TestFilesAsPeopleHaveThem reads files that other editors and systems wrote.
func TestFilesAsPeopleHaveThem(t *testing.T) {
	for _, c := range []struct {
		name, text string
		rules      int
		errs       string // "LINE:COLUMN text" joined by commas
	}{
		{"lines that end as on Windows", one + "\r\n" + one + "\r\n", 2, ""},
		{"a byte order mark", "\xef\xbb\xbf" + one, 1, ""},
		{"bytes of Latin-1", strings.Replace(one, "/a", "caf\xe9", 1), 1, ""},
		{"rules switched off", "#" + one + "\n# " + one + "\n#alert tcp bla\n\t# x\n", 0, ""},
		{"variables that nothing sets", strings.Replace(one, "any any", "$NOPE $WAT", 1), 1, ""},
		{"no line end at the end", one, 1, ""},
		{"nothing", "", 0, ""},
		{"a rule over lines that a backslash joins", strings.ReplaceAll(one, "; ", "; \\\n  "), 1, ""},
		{"a rule over lines in its brackets", strings.ReplaceAll(one, "; ", ";\n  "), 1, ""},
		{"a comment of several lines", "/* " + one + "\n" + one + " */\n" + one, 1, ""},
		{"no bracket at the end", strings.TrimSuffix(one, ")") + "\n" + one, 1, "1:71 ends without )"},
		{"a line of 70 KB", strings.Replace(one, "/a", strings.Repeat("a", 70_000), 1) + "\n" + one, 1, "1:1 at most 65536"},
		{"a binary file", "\x00\x01\xff", 0, "1:1 unknown line"},
		{"a misspelt action", "alrt" + one[5:] + "\n" + one, 1, "1:1 unknown line"},
		{"a wrong arrow", strings.Replace(one, "->", "-", 1), 0, "1:20 expected a direction"},
		{"an open list", strings.Replace(one, "http any", "http [1.2.3.4", 1), 0, "1:12 not closed"},
		{"a port that is none", strings.Replace(one, "any any (", "any 99999 (", 1), 0, "1:27 no port"},
		{"a list in a list and ranges", strings.Replace(one, "any any ->", "[10.0.0.0/8,![10.1.0.0/16,10.2.0.1-10.2.0.9]] [80,!81:90] ->", 1), 1, ""},
		{"a mistake on a further line", "alert http any any -> any any ( \\\n  msg:\"a\"; \\\n  content \"x\"; sid:1;)", 0, "3:11 expected : or ;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFiles(nil)
			f.Parse("x.rules", []byte(c.text))
			if len(f.Rules) != c.rules {
				t.Errorf("%d rules, want %d", len(f.Rules), c.rules)
			}
			var got []string
			for _, e := range f.Errors {
				got = append(got, strings.TrimPrefix(e.Error(), "x.rules:"))
			}
			place, text, _ := strings.Cut(c.errs, " ")
			switch all := strings.Join(got, ", "); {
			case c.errs == "" && all != "":
				t.Errorf("errors %s", all)
			case c.errs != "" && (len(got) != 1 || !strings.HasPrefix(all, place+": ") || !strings.Contains(all, text)):
				t.Errorf("errors %q, want %q", all, c.errs)
			}
		})
	}
}

func TestPackedFilesAreNamedSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.rules.gz")
	if err := os.WriteFile(path, []byte("\x1f\x8b\x08rest"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := NewFiles(nil).Load(path)
	if err == nil || !strings.Contains(err.Error(), path+" is compressed by gzip, unpack it first") {
		t.Errorf("error %v", err)
	}
}

func TestAddressesAndPorts(t *testing.T) {
	v := &Vars{Address: map[string]string{"HOME": "[10.0.0.0/8,!10.9.0.0/16]"}, Port: map[string]string{"WEB": "[80,8080:8090]"}}
	for _, c := range []struct {
		set, has, lacks string
	}{
		{"$HOME", "10.1.2.3", "10.9.1.1"},
		{"!$HOME", "11.1.1.1", "10.1.2.3"},
		{"!$HOME", "10.9.1.1", "10.1.2.3"},
		{"[!$HOME,!11.0.0.0/8]", "10.9.1.1", "11.1.1.1"},
		{"[1.2.3.4,10.0.0.0/255.0.0.0]", "10.200.0.1", "1.2.3.5"},
		{"![1.2.3.4,5.6.7.8]", "9.9.9.9", "5.6.7.8"},
		{"2001:db8::/32", "2001:db8::1", "2001:db9::1"},
		{"10.0.0.5-10.0.0.9", "10.0.0.7", "10.0.0.10"},
	} {
		a, msg := v.address(c.set)
		if msg != "" {
			t.Errorf("%s: %s", c.set, msg)
			continue
		}
		if !a.Has(addr(c.has)) || a.Has(addr(c.lacks)) {
			t.Errorf("%s: has %s %v, %s %v", c.set, c.has, a.Has(addr(c.has)), c.lacks, a.Has(addr(c.lacks)))
		}
	}
	for _, c := range []struct {
		set        string
		has, lacks uint16
	}{{"$WEB", 8085, 81}, {"!$WEB", 81, 80}, {"!80", 81, 80}, {":1023", 22, 1024}, {"[1:9,!5]", 4, 5}, {"[1024:,!8080]", 9000, 8080}} {
		p, msg := v.port(c.set)
		if msg != "" || !p.Has(c.has) || p.Has(c.lacks) {
			t.Errorf("%s: %s has %d %v, %d %v", c.set, msg, c.has, p.Has(c.has), c.lacks, p.Has(c.lacks))
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
