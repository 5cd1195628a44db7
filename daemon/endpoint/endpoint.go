// Package endpoint is what an API's calls look like: path templates inferred
// from ids, counts of distinct clients, and bounded profiles. Learning,
// inventory, context and behaviour stand on it.
package endpoint
