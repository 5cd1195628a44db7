package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit statuses of every verb.
const (
	exitOK     = 0
	exitFailed = 1 // the thing asked about is wrong, or the work failed
	exitUsage  = 2 // the command line is wrong
)

// verbs lists every verb in the order help shows them: a file each.
func verbs() []*cobra.Command {
	return []*cobra.Command{
		serveVerb(),
		checkVerb(),
		inspectVerb(),
		statusVerb(),
		eventsVerb(),
		explainVerb(),
		modeVerb(),
		curlVerb(),
		rulesVerb(),
		replayVerb(),
		contextVerb(),
		modelVerb(),
		tuneVerb(),
		endpointsVerb(),
		learnVerb(),
		limitsVerb(),
		sourcesVerb(),
		banVerb(),
		unbanVerb(),
		setupVerb(),
		proveVerb(),
		doctorVerb(),
		verifyVerb(),
		watchVerb(),
		versionVerb(),
		manVerb(),
	}
}

// errFailed ends a verb with exitFailed after it has said itself what is wrong.
var errFailed = errors.New("failed")

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	root := &cobra.Command{
		Use:           "sallyport",
		Short:         "Decide, request by request, what may reach an API behind NGINX",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(verbs()...)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	err := root.Execute()
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "sallyport: %v\nRun 'sallyport --help' for the verbs and their flags.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(errOut, "sallyport: %v\n", err)
		return exitFailed
	}
}

type usageError struct{ error }
