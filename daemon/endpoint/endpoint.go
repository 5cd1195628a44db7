// Package endpoint is what an API's calls look like: path templates inferred
// from ids, counts of distinct clients, and bounded profiles. Learning,
// inventory, context and behaviour stand on it.
//
// Everything here is of fixed or bounded size, whatever is sent: a path has at
// most MaxSegments segments, a Distinct is 136 bytes, a Book holds at most the
// endpoints it was made for. What many distinct clients use is never pushed
// out by what one client invents.
package endpoint
