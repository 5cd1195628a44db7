package main

import (
	"fmt"
	"io"

	"github.com/sallyport/sallyport/daemon/host"
)

func countFailed(proofs []host.Proof) (n int) {
	for i := range proofs {
		if proofs[i].Broken() {
			n++
		}
	}
	return n
}

// printProofs prints location by location.
func printProofs(out io.Writer, proofs []host.Proof) {
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
		case p.Broken():
			verdict = "NOT INSPECTED"
		case p.Stopped:
			verdict = "stopped"
		case !p.Inspected:
			verdict = "not inspected, as the mode says"
		}
		fmt.Fprintf(out, "    %-34s %s: %s\n", p.Way, verdict, p.Why)
	}
}
