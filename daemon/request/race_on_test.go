//go:build race

package request

// raced says that the race detector runs: it makes pools drop what they hold.
const raced = true
