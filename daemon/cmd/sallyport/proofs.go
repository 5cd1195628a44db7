package main

import (
	"fmt"
	"io"

	"github.com/sallyport/sallyport/daemon/host"
)

// broken says whether a proof shows less than the location's mode promises, or
// that no door stands before a backend.
func broken(p *host.Proof) bool {
	return p.Mode == "" || (p.Expected && !p.Inspected)
}

func countFailed(proofs []host.Proof) (n int) {
	for i := range proofs {
		if broken(&proofs[i]) {
			n++
		}
	}
	return n
}

// printProofs prints location by location and counts what is broken.
func printProofs(out io.Writer, proofs []host.Proof) (failed int) {
	last := ""
	for i := range proofs {
		p := &proofs[i]
		if p.Place+p.Location != last {
			last = p.Place + p.Location
			mode := p.Mode
			if mode == "" {
				mode = "no door"
			}
			fmt.Fprintf(out, "%s  location %s of %s: %s\n", p.Place, p.Location, p.Server, mode)
		}
		verdict := "inspected"
		switch {
		case broken(p):
			verdict = "NOT INSPECTED"
			failed++
		case !p.Inspected:
			verdict = "not inspected, as the mode says"
		}
		fmt.Fprintf(out, "    %-34s %s: %s\n", p.Way, verdict, p.Why)
	}
	return failed
}
