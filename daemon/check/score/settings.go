package score

import (
	"fmt"

	"github.com/sallyport/sallyport/daemon/check"
)

// Settings are the check's settings, table [score].
type Settings struct {
	// Model is the file of an attack model to use instead of the built-in
	// one, made by "sallyport model train". Empty uses the built-in model.
	Model string `toml:"model"`
	// ReportScore is the lowest score, 0 to 100, that makes a finding. The
	// model's scores are calibrated so that 80 is where a denial is right
	// for all but a few in ten thousand benign requests.
	ReportScore float64 `toml:"report_score"`
	// Context is what is learned of each endpoint's parameters.
	Context ContextSettings `toml:"context"`
}

// ContextSettings are the settings of the context, table [score.context].
type ContextSettings struct {
	// Enabled switches learning and weighing by context on.
	Enabled bool `toml:"enabled"`
	// MaxEndpoints bounds the endpoints whose parameters are learned; an
	// endpoint takes some 10 KB, up to 30 KB where values look suspicious.
	MaxEndpoints int `toml:"max_endpoints"`
	// MinClients is how many distinct clients must have sent a parameter
	// before its profile changes any score.
	MinClients int `toml:"min_clients"`
	// NormalShare is the share of a parameter's clients, 0 to 1, that must
	// send a suspicious sign before it counts as normal there.
	NormalShare float64 `toml:"normal_share"`
	// TeachReputation is the reputation, 0 good to 100 bad, from which a source
	// teaches nothing.
	TeachReputation float64 `toml:"teach_reputation"`
	// SaveSeconds is how often what was learned is written to the state file.
	SaveSeconds int `toml:"save_seconds"`
}

// Defaults are the settings without a configuration.
func Defaults() Settings {
	return Settings{ReportScore: 60, Context: ContextSettings{
		Enabled: true, MaxEndpoints: 1024, MinClients: 12, NormalShare: 0.2, TeachReputation: 20, SaveSeconds: 300,
	}}
}

func (s *Settings) check() error {
	c := &s.Context
	for _, bad := range []struct {
		key  string
		fail bool
		want string
	}{
		{"report_score", !(s.ReportScore >= 1 && s.ReportScore <= 100), "between 1 and 100"},
		{"context.max_endpoints", c.MaxEndpoints < 16 || c.MaxEndpoints > 100_000, "between 16 and 100000"},
		{"context.min_clients", c.MinClients < 4 || c.MinClients > 64, "between 4 and 64"},
		{"context.normal_share", !(c.NormalShare >= 0.1 && c.NormalShare <= 1), "between 0.1 and 1: a smaller share could be taught by few sources"},
		{"context.teach_reputation", !(c.TeachReputation > 0 && c.TeachReputation <= 100), "above 0, at most 100"},
		{"context.save_seconds", c.SaveSeconds < 1 || c.SaveSeconds > 86400, "between 1 and 86400"},
	} {
		if bad.fail {
			return &check.SettingError{Key: bad.key, Err: fmt.Errorf("expected a number %s", bad.want)}
		}
	}
	return nil
}
