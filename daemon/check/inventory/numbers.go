package inventory

import "bytes"

func allDigits(w []byte) bool {
	for _, c := range w {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(w) > 0
}

func number(w []byte) (n uint64) {
	for _, c := range w {
		n = n*10 + uint64(c-'0')
	}
	return n
}

// isCard holds a number for a payment card's by its issuer range and length
// (ISO/IEC 7812) and its Luhn sum. One in ten random numbers of such a range
// has a right sum, so a count of one says little.
func isCard(w []byte) bool {
	if len(w) < 14 || len(w) > 16 || !allDigits(w) {
		return false
	}
	p2, p3, p4 := number(w[:2]), number(w[:3]), number(w[:4])
	issuer := false
	switch len(w) {
	case 16:
		issuer = w[0] == '4' || p2 >= 51 && p2 <= 55 || p4 >= 2221 && p4 <= 2720 || p4 == 6011 || p2 == 65 || p3 >= 644 && p3 <= 649 || p4 >= 3528 && p4 <= 3589
	case 15:
		issuer = p2 == 34 || p2 == 37
	case 14:
		issuer = p2 == 36 || p2 == 38 || p3 >= 300 && p3 <= 305
	}
	return issuer && !bytes.Equal(w[1:], bytes.Repeat(w[:1], len(w)-1)) && luhn(w)
}

func luhn(w []byte) bool {
	sum := 0
	for i := range w {
		d := int(w[len(w)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// isIBAN checks the two check digits of ISO 13616 (mod 97 is 1).
func isIBAN(w []byte) bool {
	if len(w) < 15 || len(w) > 34 || w[0] < 'A' || w[0] > 'Z' || w[1] < 'A' || w[1] > 'Z' || !allDigits(w[2:4]) {
		return false
	}
	rem := 0
	for i := range w {
		switch c := w[(i+4)%len(w)]; {
		case c >= '0' && c <= '9':
			rem = (rem*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			rem = (rem*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rem == 1
}

// isFormattedID knows ids by their punctuation: the United States' social
// security number (AAA-GG-SSSS, in the ranges that are given out) and
// Brazil's CPF (000.000.000-00, with its check digits).
func isFormattedID(w []byte) bool {
	switch {
	case len(w) == 11 && w[3] == '-' && w[6] == '-':
		if !allDigits(w[:3]) || !allDigits(w[4:6]) || !allDigits(w[7:]) {
			return false
		}
		area := number(w[:3])
		return area != 0 && area != 666 && area < 900 && number(w[4:6]) != 0 && number(w[7:]) != 0
	case len(w) == 14 && w[3] == '.' && w[7] == '.' && w[11] == '-':
		var d [11]byte
		n := 0
		for _, c := range w {
			if c >= '0' && c <= '9' && n < 11 {
				d[n] = c - '0'
				n++
			}
		}
		return n == 11 && cpfDigit(d[:9]) == d[9] && cpfDigit(d[:10]) == d[10]
	}
	return false
}

func cpfDigit(d []byte) byte {
	sum := 0
	for i, x := range d {
		sum += int(x) * (len(d) + 1 - i)
	}
	if r := sum * 10 % 11; r < 10 {
		return byte(r)
	}
	return 0
}

// isNationalNumber knows ids by their check digits or letters: Spain's DNI
// and NIE, Italy's codice fiscale, France's NIR, Poland's PESEL, and the
// United Kingdom's national insurance number by its form.
func isNationalNumber(w []byte) bool {
	switch len(w) {
	case 9:
		return isDNI(w) || isNINO(w)
	case 11:
		return isPESEL(w)
	case 15:
		return isNIR(w)
	case 16:
		return isCodiceFiscale(w)
	}
	return false
}

func isDNI(w []byte) bool {
	lead := uint64(0)
	digits := w[:8]
	if w[0] >= 'X' && w[0] <= 'Z' {
		lead, digits = uint64(w[0]-'X')*10_000_000, w[1:8]
	}
	return allDigits(digits) && w[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[(lead+number(digits))%23]
}

func isNINO(w []byte) bool {
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' && bytes.IndexByte([]byte("DFIQUV"), c) < 0 }
	return upper(w[0]) && upper(w[1]) && w[1] != 'O' && allDigits(w[2:8]) && w[8] >= 'A' && w[8] <= 'D'
}

func isPESEL(w []byte) bool {
	if !allDigits(w) {
		return false
	}
	month, day := number(w[2:4])%20, number(w[4:6])
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	sum := 0
	for i, weight := range [10]int{1, 3, 7, 9, 1, 3, 7, 9, 1, 3} {
		sum += int(w[i]-'0') * weight
	}
	return (10-sum%10)%10 == int(w[10]-'0')
}

func isNIR(w []byte) bool {
	if !allDigits(w) || w[0] != '1' && w[0] != '2' {
		return false
	}
	if month := number(w[3:5]); month < 1 || month > 12 {
		return false
	}
	return 97-number(w[:13])%97 == number(w[13:])
}

func isCodiceFiscale(w []byte) bool {
	const form = "AAAAAA00A00A000A"
	for i, c := range w {
		if letter := c >= 'A' && c <= 'Z'; letter != (form[i] == 'A') || !letter && (c < '0' || c > '9') {
			return false
		}
	}
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, c := range w[:15] {
		v := int(c - 'A')
		if c <= '9' {
			v = int(c - '0')
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return int(w[15]-'A') == sum%26
}
