package config

import _ "embed"

//go:embed reference.md
var reference string

// Reference is the manual of every TOML key: its meaning and its default. It
// is made from the settings' own comments; a test says when it is stale.
func Reference() string { return reference }
