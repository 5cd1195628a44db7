package train

import (
	"fmt"
	"math"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/score/model"
)

// The drawing's size and its plot's place, in pixels.
const (
	svgWidth, svgHeight = 640, 400
	svgLeft, svgTop     = 60, 20
	svgPlotW, svgPlotH  = 560, 330
	svgDecades          = 4 // false alarms from 0.01% to 100%, logarithmic
)

// SVG draws the ROC curve: detection over false alarms on a logarithmic axis.
func (r *Report) SVG(m *model.Model) []byte {
	var shares []float64
	for i := 0; i <= 80; i++ {
		shares = append(shares, math.Pow(10, float64(i)/80*svgDecades-svgDecades))
	}
	x := func(share float64) float64 {
		return svgLeft + svgPlotW*(math.Log10(max(share, 1e-4))+svgDecades)/svgDecades
	}
	y := func(found float64) float64 { return svgTop + svgPlotH*(1-found) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, svgWidth, svgHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`, svgWidth, svgHeight)
	for d := 0; d <= svgDecades; d++ {
		share := math.Pow(10, float64(d-svgDecades))
		fmt.Fprintf(&b, `<path d="M%.1f %dv%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%g%%</text>`,
			x(share), svgTop, svgPlotH, x(share), svgTop+svgPlotH+18, 100*share)
	}
	for p := 0; p <= 10; p += 2 {
		found := float64(p) / 10
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d%%</text>`, svgLeft, y(found), svgPlotW, svgLeft-6, y(found)+4, 10*p)
	}
	b.WriteString(`<polyline fill="none" stroke="#0a58ca" stroke-width="2" points="`)
	for _, p := range r.ROC(m, shares) {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(p.False), y(p.Detected))
	}
	fmt.Fprintf(&b, `"/><text x="%d" y="%d" text-anchor="middle">benign requests denied</text></svg>`+"\n", svgLeft+svgPlotW/2, svgHeight-6)
	return []byte(b.String())
}
