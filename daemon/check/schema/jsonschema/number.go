package jsonschema

import (
	"cmp"
	"math/big"
	"strconv"
)

// decimal is a number exactly as its literal has it. Most are a whole number
// of at most 18 digits with the point moved left by scale; any other keeps
// 0.digits x 10^exp, digits without zeros at either end, which needs no more
// memory than the literal, however large the exponent.
type decimal struct {
	small bool
	coef  int64 // when small
	scale int   // 0 to 18, when small

	negative bool
	digits   []byte
	exp      int
}

// maxExponent bounds exponents: beyond, a number counts as this large.
const maxExponent = 1 << 20

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

func parseDecimal(text []byte) decimal {
	if len(text) > 20 {
		return slowDecimal(text)
	}
	d := decimal{small: true}
	digits, point := 0, -1
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			if digits++; digits > 18 {
				return slowDecimal(text)
			}
			d.coef = d.coef*10 + int64(c-'0')
		case c == '.':
			point = digits
		case c == '-' && i == 0:
		default:
			return slowDecimal(text)
		}
	}
	if point >= 0 {
		d.scale = digits - point
	}
	if len(text) > 0 && text[0] == '-' {
		d.coef = -d.coef
	}
	return d
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
		return decimal{small: true}
	}
	if d.exp >= len(mantissa) && d.exp <= 18 { // 1e3 is 1000
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
		return decimal{small: true, coef: v}
	}
	return d
}

// expand writes a small number in digits.
func (d decimal) expand() decimal {
	if !d.small || d.coef == 0 {
		return d
	}
	text := strconv.AppendInt(nil, d.coef, 10)
	out := decimal{}
	if text[0] == '-' {
		out.negative = true
		text = text[1:]
	}
	out.exp = len(text) - d.scale
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	out.digits = text
	return out
}

func (d decimal) integer() bool {
	if d.small {
		return d.coef%pow10[d.scale] == 0
	}
	return d.exp >= len(d.digits)
}

func (d decimal) sign() int {
	switch {
	case !d.small && d.negative, d.small && d.coef < 0:
		return -1
	case d.small && d.coef == 0:
		return 0
	}
	return 1
}

// align brings two small numbers to one scale; ok is false when that takes
// more than 64 bits.
func align(a, b decimal) (x, y int64, ok bool) {
	x, y = a.coef, b.coef
	switch {
	case a.scale < b.scale:
		x, ok = times(x, pow10[b.scale-a.scale])
	case a.scale > b.scale:
		y, ok = times(y, pow10[a.scale-b.scale])
	default:
		ok = true
	}
	return x, y, ok
}

func times(a, b int64) (int64, bool) {
	if a == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && (a != -1<<63)
}

// compare orders two numbers exactly.
func (d decimal) compare(o decimal) int {
	if d.small && o.small {
		if x, y, ok := align(d, o); ok {
			return cmp.Compare(x, y)
		}
	}
	ds, os := d.sign(), o.sign()
	if ds != os || ds == 0 {
		return cmp.Compare(ds, os)
	}
	a, b := d.expand(), o.expand()
	c := cmp.Compare(a.exp, b.exp)
	if c == 0 {
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
	if d.sign() == 0 || o.sign() == 0 {
		return true
	}
	if d.small && o.small {
		if x, y, ok := align(d, o); ok {
			return x%y == 0
		}
	}
	a, b := d.expand(), o.expand()
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
