package jsonschema

import (
	"math/big"
	"strconv"
)

// decimal is a number exactly as its literal has it: 0.digits x 10^exp, digits
// without zeros at either end. It needs no more memory than the literal,
// however large the exponent.
type decimal struct {
	negative bool
	digits   []byte // empty: zero
	exp      int
	small    int64 // the value itself, when whole says so
	whole    bool
}

// maxExponent bounds exponents: beyond, a number counts as this large.
const maxExponent = 1 << 20

func parseDecimal(text []byte) (d decimal) {
	if len(text) > 0 && len(text) < 19 {
		if v, ok := smallInt(text); ok {
			d.small, d.whole = v, true
			return d
		}
	}
	return slowDecimal(text)
}

func smallInt(text []byte) (v int64, ok bool) {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if text[0] == '-' {
		v = -v
	}
	return v, len(digits) > 0
}

func slowDecimal(text []byte) (d decimal) {
	if len(text) > 0 && text[0] == '-' {
		d.negative = true
		text = text[1:]
	}
	mantissa, point, i := make([]byte, 0, len(text)), -1, 0
	for ; i < len(text) && text[i]|0x20 != 'e'; i++ {
		if text[i] == '.' {
			point = len(mantissa)
			continue
		}
		mantissa = append(mantissa, text[i])
	}
	if point < 0 {
		point = len(mantissa)
	}
	exp := 0
	if i < len(text) {
		e, err := strconv.Atoi(string(text[i+1:]))
		if err != nil || e > maxExponent || e < -maxExponent {
			e = maxExponent
			if text[i+1] == '-' {
				e = -maxExponent
			}
		}
		exp = e
	}
	d.exp = point + exp
	for len(mantissa) > 0 && mantissa[0] == '0' {
		mantissa = mantissa[1:]
		d.exp--
	}
	for len(mantissa) > 0 && mantissa[len(mantissa)-1] == '0' {
		mantissa = mantissa[:len(mantissa)-1]
	}
	d.digits = mantissa
	if len(mantissa) == 0 {
		return decimal{whole: true}
	}
	if d.exp >= len(mantissa) && d.exp <= 18 {
		v := int64(0)
		for j := 0; j < d.exp; j++ {
			v *= 10
			if j < len(mantissa) {
				v += int64(mantissa[j] - '0')
			}
		}
		if d.negative {
			v = -v
		}
		d.small, d.whole = v, true
	}
	return d
}

// expand writes a small number in digits too.
func (d decimal) expand() decimal {
	if d.whole && d.small != 0 && len(d.digits) == 0 {
		text := strconv.AppendInt(nil, d.small, 10)
		if text[0] == '-' {
			d.negative = true
			text = text[1:]
		}
		d.exp = len(text)
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		d.digits = text
	}
	return d
}

func (d decimal) integer() bool { return d.whole || d.exp >= len(d.digits) }

func (d decimal) sign() int {
	if d.whole {
		switch {
		case d.small < 0:
			return -1
		case d.small > 0:
			return 1
		}
		return 0
	}
	if d.negative {
		return -1
	}
	return 1
}

// compare orders two numbers exactly.
func (d decimal) compare(o decimal) int {
	if d.whole && o.whole {
		switch {
		case d.small < o.small:
			return -1
		case d.small > o.small:
			return 1
		}
		return 0
	}
	ds, os := d.sign(), o.sign()
	if ds != os {
		if ds < os {
			return -1
		}
		return 1
	}
	if ds == 0 {
		return 0
	}
	a, b := d.expand(), o.expand()
	c := 0
	switch {
	case a.exp != b.exp:
		c = 1
		if a.exp < b.exp {
			c = -1
		}
	default:
		c = compareDigits(a.digits, b.digits)
	}
	return c * ds
}

func compareDigits(a, b []byte) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		var x, y byte = '0', '0'
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

// maxScale bounds the digits that multipleOf computes with: a value that would
// need more is no multiple.
const maxScale = 2000

// multipleOf says whether d is a whole multiple of o, in decimal: 19.99 is one
// of 0.01.
func (d decimal) multipleOf(o decimal) bool {
	if d.whole && o.whole {
		return o.small == 0 || d.small%o.small == 0
	}
	if d.sign() == 0 {
		return true
	}
	a, b := d.expand(), o.expand()
	if len(b.digits) == 0 {
		return true
	}
	// Both as whole numbers at the scale of the finer one.
	scaleA, scaleB := len(a.digits)-a.exp, len(b.digits)-b.exp
	scale := max(scaleA, scaleB)
	if scale-scaleA > maxScale || scale-scaleB > maxScale || len(a.digits) > maxScale {
		return false
	}
	x, y := scaled(a.digits, scale-scaleA), scaled(b.digits, scale-scaleB)
	return new(big.Int).Rem(x, y).Sign() == 0
}

func scaled(digits []byte, zeros int) *big.Int {
	v, _ := new(big.Int).SetString(string(digits), 10)
	if v == nil {
		v = new(big.Int)
	}
	return v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(zeros)), nil))
}
