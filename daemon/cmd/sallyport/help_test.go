package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eachVerb calls f with every verb and every verb below one, and the words that
// call it, without "sallyport".
func eachVerb(f func(words []string, c *cobra.Command)) {
	var walk func(above []string, verbs []*cobra.Command)
	walk = func(above []string, verbs []*cobra.Command) {
		for _, c := range verbs {
			words := append(above[:len(above):len(above)], c.Name())
			f(words, c)
			walk(words, c.Commands())
		}
	}
	walk(nil, verbs())
}

func TestEveryVerbSaysWhatItIsForWhenAskedForHelp(t *testing.T) {
	for _, flag := range []string{"--help", "-h"} {
		all, _ := runVerb(t, exitOK, "", flag)
		eachVerb(func(words []string, c *cobra.Command) {
			if len(words) == 1 && !c.Hidden {
				has(t, all, "\n  "+c.Name()+" ")
			}
		})
	}
	eachVerb(func(words []string, c *cobra.Command) {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			if c.Short == "" {
				t.Error("it has no line for the list of verbs")
			}
			help, errOut := runVerb(t, exitOK, "", append(words[:len(words):len(words)], "--help")...)
			if errOut != "" {
				t.Errorf("help wrote to standard error: %s", errOut)
			}
			what := c.Long
			if what == "" {
				what = c.Short
			}
			has(t, help, strings.TrimSpace(what), "Usage:", "sallyport "+strings.Join(words, " "), "--help")
			for _, sub := range c.Commands() {
				if !sub.Hidden {
					has(t, help, sub.Name(), sub.Short)
				}
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("--%s has no description", f.Name)
				}
				if !f.Hidden {
					has(t, help, "--"+f.Name)
				}
			})
		})
	})
}

func TestEveryVerbHasAManPageThatTheMainOneNames(t *testing.T) {
	dir := t.TempDir()
	runVerb(t, exitOK, "", "man", "--out", dir)
	left := map[string]bool{}
	pages, err := filepath.Glob(filepath.Join(dir, "man*", "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		left[filepath.Base(p)] = true
	}
	page := func(section, name string) string {
		t.Helper()
		delete(left, name+"."+section+".gz")
		f, err := os.Open(filepath.Join(dir, "man"+section, name+"."+section+".gz"))
		if err != nil {
			t.Error(err)
			return ""
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	has(t, page("5", "sallyport.toml"), ".TH SALLYPORT.TOML 5", ".SH ")
	main := page("8", "sallyport")
	has(t, main, ".TH SALLYPORT 8")
	eachVerb(func(words []string, c *cobra.Command) {
		name := "sallyport-" + strings.Join(words, "-")
		if c.Hidden {
			return
		}
		if len(words) == 1 {
			has(t, main, ".B "+roff(c.Name())+"\n"+roff(c.Short))
		}
		text := page("8", name)
		has(t, text, ".TH "+strings.ToUpper(name)+" 8", ".SH SYNOPSIS", roff(c.Short))
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				has(t, text, `.B \-\-`+roff(f.Name)+"\n")
			}
		})
	})
	for name := range left {
		t.Errorf("%s is no verb's page", name)
	}
	for _, name := range []string{"completion", "man"} {
		if strings.Contains(main, ".B "+name+"\n") {
			t.Errorf("the main page names %s, which has no page", name)
		}
	}
}
