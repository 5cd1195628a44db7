// Command sallyport is the security daemon behind NGINX and the tools that go
// with it, a verb each.
package main

import (
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
