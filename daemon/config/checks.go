package config

import (
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/inventory"
	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/check/pressure"
	"github.com/sallyport/sallyport/daemon/check/protocol"
	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/check/schema"
	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/token"
	"github.com/sallyport/sallyport/daemon/event"
)

// checks lists every check in running order: a line each. Nobody minds who ran before.
var checks = []entry{
	line(pressure.Name, pressure.Defaults, pressure.New),
	line(protocol.Name, protocol.Defaults, protocol.New),
	line(limit.Name, limit.Defaults, limit.New),
	line(schema.Name, schema.Defaults, schema.New),
	line(token.Name, token.Defaults, token.New),
	line(signature.Name, signature.Defaults, signature.New),
	line(score.Name, score.Defaults, score.New),
	line(inventory.Name, inventory.Defaults, inventory.New),
}

// entry is a check as config knows it: its name, its settings' defaults, and
// how to build it from them.
type entry struct {
	name     string
	defaults func() any // a pointer to fresh settings
	build    func(settings any, env check.Env) (check.Check, error)
}

// line makes an entry of what every check's package exports.
func line[S any](name string, defaults func() S, build func(S, check.Env) (check.Check, error)) entry {
	return entry{
		name:     name,
		defaults: func() any { s := defaults(); return &s },
		build: func(settings any, env check.Env) (check.Check, error) {
			return build(*settings.(*S), env)
		},
	}
}

func find(name string) *entry {
	for i := range checks {
		if checks[i].name == name {
			return &checks[i]
		}
	}
	return nil
}

func names() []string {
	var out []string
	for _, e := range checks {
		out = append(out, e.name)
	}
	return out
}

// otherTables are the tables that are not a check's and not config's own, with
// their defaults.
func otherTables() []otherTable {
	book := reputation.Defaults()
	events := event.Defaults()
	return []otherTable{{"[events]", &events}, {"[reputation]", &book}}
}

type otherTable struct {
	name     string
	defaults any
}
