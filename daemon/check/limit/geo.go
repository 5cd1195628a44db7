package limit

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"
)

// geo looks addresses up in databases of MaxMind's format. A missing database
// or an unknown address gives "" and 0.
type geo struct {
	countries, asns *maxminddb.Reader
}

func openGeo(countries, asns string) (g *geo, key string, err error) {
	g = &geo{}
	if countries != "" {
		if g.countries, err = maxminddb.Open(countries); err != nil {
			return nil, "country_file", fmt.Errorf("open %s: %w", countries, err)
		}
	}
	if asns != "" {
		if g.asns, err = maxminddb.Open(asns); err != nil {
			return nil, "asn_file", fmt.Errorf("open %s: %w", asns, err)
		}
	}
	return g, "", nil
}

// country is the ISO 3166 code of an address.
func (g *geo) country(a netip.Addr) (code string) {
	if g.countries != nil && a.IsValid() {
		_ = g.countries.Lookup(a.Unmap()).DecodePath(&code, "country", "iso_code")
	}
	return code
}

// asn is the number of the network an address is announced by.
func (g *geo) asn(a netip.Addr) (n uint32) {
	if g.asns != nil && a.IsValid() {
		_ = g.asns.Lookup(a.Unmap()).DecodePath(&n, "autonomous_system_number")
	}
	return n
}
