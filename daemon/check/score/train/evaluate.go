package train

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// Judged is what the model says of one sample: its most hostile value.
type Judged struct {
	ID, Source, Class string
	Malicious         bool
	Logit, Score      float32
	Floor             string
	As                model.Class // what class it was taken for
	Where, Text       string
	// Denied is what all checks together said, where that is known.
	Denied bool
}

// Report is a model measured on data.
type Report struct {
	All []Judged
	// Cut is the logit at the deny threshold.
	Cut float64
	// Together says that Judged.Denied is known.
	Together bool
}

// Judge scores every sample of the files or, where sources are named, those of
// these sources alone.
func Judge(m *model.Model, files []string, only ...string) (*Report, error) {
	rep := &Report{Cut: m.Info.Cut}
	scratch := &model.Scratch{}
	for _, path := range files {
		err := Read(path, func(s *Sample) error {
			if len(only) == 0 || slices.Contains(only, s.Source) {
				rep.All = append(rep.All, judge(m, scratch, s))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// Join takes in the verdicts that "sallyport inspect" wrote for the same files
// in the same order.
func (r *Report) Join(files []string) error {
	i := 0
	for _, path := range files {
		err := lines(path, func(line []byte) error {
			var v struct {
				ID      string `json:"id"`
				Verdict string `json:"verdict"`
			}
			if err := json.Unmarshal(line, &v); err != nil {
				return fmt.Errorf("not a verdict in JSON: %w", err)
			}
			if i >= len(r.All) || r.All[i].ID != v.ID {
				return fmt.Errorf("the verdict of %q does not follow the data's order", v.ID)
			}
			r.All[i].Denied = v.Verdict == "deny"
			i++
			return nil
		})
		if err != nil {
			return err
		}
	}
	if i != len(r.All) {
		return fmt.Errorf("%d verdicts for %d requests", i, len(r.All))
	}
	r.Together = true
	return nil
}

func judge(m *model.Model, scratch *model.Scratch, s *Sample) Judged {
	j := Judged{ID: s.ID, Source: s.Source, Class: s.Class, Malicious: s.Malicious, Logit: model.None}
	score.Values(s.Request, check.Head|check.Body, func(v *request.Value, text []byte) {
		hit := score.Look(m, scratch, v, text)
		if hit.Score <= j.Score && (hit.Score > 0 || hit.Logit <= j.Logit) {
			return
		}
		j.Logit, j.Score, j.Floor, j.Where = hit.Logit, hit.Score, hit.Floor, v.Where()
		j.As = m.Classify(scratch, text, hit)
		j.Text = string(text[:min(len(text), 4*maxListed)])
	})
	return j
}

// Group is a row of the report.
type Group struct {
	Name    string `json:"name"`
	Hostile int    `json:"hostile"`
	Found   int    `json:"found"`
	Benign  int    `json:"benign"`
	Alarms  int    `json:"alarms"`
	// AllFound and AllAlarms are the same with all checks together.
	AllFound  int     `json:"all_found"`
	AllAlarms int     `json:"all_alarms"`
	Detected  float64 `json:"detected"` // share of hostile requests found
	False     float64 `json:"false"`    // share of benign requests denied
	Balanced  float64 `json:"balanced"` // mean of Detected and 1-False
}

// Groups sums the report up by key, "all" first, at a score.
func (r *Report) Groups(threshold float32, key func(*Judged) string) []Group {
	by := map[string]*Group{}
	add := func(name string, j *Judged) {
		g := by[name]
		if g == nil {
			g = &Group{Name: name}
			by[name] = g
		}
		hit := j.Score >= threshold
		if j.Denied && j.Malicious {
			g.AllFound++
		} else if j.Denied {
			g.AllAlarms++
		}
		switch {
		case j.Malicious && hit:
			g.Hostile++
			g.Found++
		case j.Malicious:
			g.Hostile++
		case hit:
			g.Benign++
			g.Alarms++
		default:
			g.Benign++
		}
	}
	for i := range r.All {
		add("all", &r.All[i])
		add(key(&r.All[i]), &r.All[i])
	}
	out := make([]Group, 0, len(by))
	for _, g := range by {
		if g.Hostile > 0 {
			g.Detected = float64(g.Found) / float64(g.Hostile)
		}
		if g.Benign > 0 {
			g.False = float64(g.Alarms) / float64(g.Benign)
		}
		g.Balanced = (g.Detected + 1 - g.False) / 2
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(-cmp.Compare(b2i(a.Name == "all"), b2i(b.Name == "all")), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Point is one point of the ROC curve.
type Point struct {
	Logit    float64 `json:"logit"`
	Score    float64 `json:"score"`
	False    float64 `json:"false"`
	Detected float64 `json:"detected"`
}

// ROC lists the curve at the given shares of false alarms.
func (r *Report) ROC(m *model.Model, shares []float64) []Point {
	var benign, hostile []float64
	for i := range r.All {
		l := float64(r.All[i].Logit)
		if r.All[i].Floor != "" {
			l = 30
		}
		if r.All[i].Malicious {
			hostile = append(hostile, l)
		} else {
			benign = append(benign, l)
		}
	}
	slices.Sort(benign)
	slices.Sort(hostile)
	var out []Point
	if len(benign) == 0 || len(hostile) == 0 {
		return nil
	}
	for _, share := range shares {
		allowed := int(share * float64(len(benign)))
		cut := benign[len(benign)-1-min(allowed, len(benign)-1)]
		cut = math.Nextafter(cut, 100)
		below, _ := slices.BinarySearch(hostile, cut)
		out = append(out, Point{Logit: cut, Score: float64(m.Calibrate(float32(cut))), False: float64(allowed) / float64(len(benign)),
			Detected: 1 - float64(below)/float64(len(hostile))})
	}
	return out
}

// Bucket is a row of the calibration table.
type Bucket struct {
	From, To float64
	Requests int
	Hostile  float64 // share
}

// Calibration says how many of the requests in each range of scores are hostile.
func (r *Report) Calibration() []Bucket {
	edges := []float64{0, 10, 30, 50, 60, 70, 80, 90, 95, 99, 100.1}
	out := make([]Bucket, len(edges)-1)
	hostile := make([]int, len(out))
	for i := range r.All {
		k := 0
		for k+2 < len(edges) && float64(r.All[i].Score) >= edges[k+1] {
			k++
		}
		out[k].Requests++
		hostile[k] += b2i(r.All[i].Malicious)
	}
	for k := range out {
		out[k].From, out[k].To = edges[k], edges[k+1]
		if out[k].Requests > 0 {
			out[k].Hostile = float64(hostile[k]) / float64(out[k].Requests)
		}
	}
	return out
}

// Worst lists the samples the model is most wrong about: benign ones with the
// highest scores, hostile ones with the lowest.
func (r *Report) Worst(n int) (alarms, misses []Judged) {
	all := slices.Clone(r.All)
	slices.SortStableFunc(all, func(a, b Judged) int { return cmp.Compare(b.Logit, a.Logit) })
	for i := range all {
		if !all[i].Malicious && len(alarms) < n {
			alarms = append(alarms, all[i])
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Malicious && all[i].Floor == "" && len(misses) < n {
			misses = append(misses, all[i])
		}
	}
	return
}

// WriteEvasions prints how mutations fare.
func WriteEvasions(w io.Writer, es []Evasion) error {
	p := &printer{w: w}
	p.f("attacks written differently\n%-16s %8s %9s %8s %9s\n", "class", "attacks", "found", "mutants", "found")
	for _, e := range es {
		p.f("%-16s %8d %9s %8d %9s\n", e.Class, e.Attacks, percent(share(e.Found, e.Attacks), e.Attacks), e.Mutants, percent(share(e.FoundMutants, e.Mutants), e.Mutants))
	}
	return p.err
}

// Write prints the report as text.
func (r *Report) Write(w io.Writer, m *model.Model, threshold float32, worst int) error {
	p := &printer{w: w}
	p.f("%-34s %8s %8s %9s %8s %8s %9s %9s", "", "hostile", "found", "detected", "benign", "denied", "false", "balanced")
	if r.Together {
		p.f(" | %9s %8s %9s", "all find", "all deny", "false")
	}
	for _, by := range []struct {
		name string
		key  func(*Judged) string
	}{
		{"class", func(j *Judged) string { return j.Class }},
		{"source", func(j *Judged) string { return j.Source }},
		{"class and source", func(j *Judged) string { return j.Class + " " + j.Source }},
	} {
		p.f("\nby %s, at score %.0f\n", by.name, threshold)
		for _, g := range r.Groups(threshold, by.key) {
			p.group(&g, r.Together)
		}
	}
	if roc := r.ROC(m, rocShares); roc != nil {
		p.f("ROC\n%10s %10s %10s %8s\n", "false", "detected", "logit", "score")
		for _, q := range roc {
			p.f("%9.3f%% %9.2f%% %10.2f %8.1f\n", 100*q.False, 100*q.Detected, q.Logit, q.Score)
		}
	}
	p.f("calibration\n%14s %9s %9s\n", "score", "requests", "hostile")
	for _, b := range r.Calibration() {
		p.f("%6.0f to %4.0f %9d %8.1f%%\n", b.From, math.Min(b.To, 100), b.Requests, 100*b.Hostile)
	}
	alarms, misses := r.Worst(worst)
	if worst > 0 {
		p.f("benign requests with the highest scores\n")
		p.judged(alarms)
		p.f("hostile requests with the lowest scores\n")
		p.judged(misses)
	}
	return p.err
}

var rocShares = []float64{0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1}

func percent(share float64, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100*share)
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) group(g *Group, together bool) {
	p.f("%-34s %8d %8d %9s %8d %8d %9s %9s", g.Name, g.Hostile, g.Found, percent(g.Detected, g.Hostile), g.Benign, g.Alarms,
		percent(g.False, g.Benign), percent(g.Balanced, min(g.Benign, g.Hostile)))
	if together {
		p.f(" | %9s %8d %9s", percent(share(g.AllFound, g.Hostile), g.Hostile), g.AllAlarms, percent(share(g.AllAlarms, g.Benign), g.Benign))
	}
	p.f("\n")
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func (p *printer) judged(list []Judged) {
	for _, j := range list {
		p.f("%6.1f %6.2f %-8s %-16s %-10s %s %.200q\n", j.Score, j.Logit, j.Class, j.Source, j.As, j.Where, j.Text)
	}
}
