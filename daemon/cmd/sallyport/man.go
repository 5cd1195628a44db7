package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/daemon/config"
)

// manVerb writes the man pages: one for each verb, from its own help, and one
// for the configuration, from the reference. cobra's generator would link a
// Markdown parser and text/template into the daemon.
func manVerb() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "man --out DIR", Short: "Write the man pages", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := writeMan(out, "sallyport", 8, verbPage(c.Root())); err != nil {
				return err
			}
			for _, verb := range c.Root().Commands() {
				if !hasPage(verb) {
					continue
				}
				if err := writeVerb(out, verb); err != nil {
					return err
				}
			}
			return writeMan(out, "sallyport.toml", 5, configPage(config.Reference()))
		},
	}
	c.Flags().StringVar(&out, "out", ".", "folder to write man8 and man5 into")
	return c
}

// hasPage leaves out what is hidden, and what cobra adds of its own.
func hasPage(verb *cobra.Command) bool {
	return !verb.Hidden && verb.Name() != "help" && verb.Name() != "completion"
}

func writeVerb(out string, verb *cobra.Command) error {
	name := strings.ReplaceAll(verb.CommandPath(), " ", "-")
	if err := writeMan(out, name, 8, verbPage(verb)); err != nil {
		return err
	}
	for _, sub := range verb.Commands() {
		if hasPage(sub) {
			if err := writeVerb(out, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeMan(out, name string, section int, body string) error {
	dir := filepath.Join(out, fmt.Sprintf("man%d", section))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of man pages: %w", err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	fmt.Fprintf(z, ".TH %s %d \"\" \"sallyport %s\"\n%s", strings.ToUpper(name), section, version, body)
	if err := z.Close(); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s.%d.gz", name, section))
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write a man page: %w", err)
	}
	return nil
}

func verbPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n", roff(strings.ReplaceAll(c.CommandPath(), " ", "-")), roff(c.Short), roff(c.UseLine()))
	if c.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", paragraphs(c.Long))
	}
	if subs := c.Commands(); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			if hasPage(sub) {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(sub.Name()), roff(sub.Short))
			}
		}
	}
	if c.Flags().HasAvailableFlags() {
		b.WriteString(".SH OPTIONS\n")
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			def := ""
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
				def = " (" + f.DefValue + ")"
			}
			fmt.Fprintf(&b, ".TP\n.B \\-\\-%s\n%s\n", roff(f.Name), roff(f.Usage+def))
		})
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	b.WriteString(".SH EXIT STATUS\n0: well. 1: the thing asked about is wrong, or the work failed. 2: the command line is wrong.\n.SH SEE ALSO\n.BR sallyport (8),\n.BR sallyport.toml (5)\n")
	return b.String()
}

// configPage turns the reference's headings and tables into a page.
func configPage(markdown string) string {
	var b strings.Builder
	b.WriteString(".SH NAME\nsallyport.toml \\- configuration of the security daemon behind NGINX\n")
	for _, line := range strings.Split(markdown, "\n") {
		switch cells := strings.Split(strings.ReplaceAll(line, "\\|", "\x00"), "|"); {
		case strings.HasPrefix(line, "## "):
			fmt.Fprintf(&b, ".SH %s\n", roff(line[3:]))
		case len(cells) == 5 && strings.HasPrefix(cells[1], " `"):
			def := ""
			if d := strings.Trim(cells[2], " `"); d != "" {
				def = " Default: " + d
			}
			meaning := strings.ReplaceAll(strings.TrimSpace(cells[3]), "\x00", "|")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s%s\n", roff(strings.Trim(cells[1], " `")), roff(meaning), roff(def))
		}
	}
	return b.String()
}

func paragraphs(text string) string {
	return strings.ReplaceAll(roff(text), "\n\n", "\n.PP\n")
}

// roff escapes what would be a command or a special character.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
