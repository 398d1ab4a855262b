package accounts

import (
	"math"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// enoughBits is what a password must be worth: some 10^9 guesses, in the
// middle of zxcvbn's score 3, "safely unguessable".
const enoughBits = 30

// guessBits estimates how many guesses a password withstands, as a logarithm to
// base 2, from somebody who tries common words, words of the context, and
// patterns first. It follows the idea of zxcvbn (Wheeler, USENIX Security
// 2016): cover the password with the pieces that are cheapest to guess, and add
// up their costs. The same password always gives the same result. The cost
// grows with the cube of the length: at most a few milliseconds for
// MaxPassword code points.
func guessBits(password string, lists ...words) float64 {
	typed := []rune(password)
	simple := []rune(simplify(password))
	views := readings(simple)
	steps := [][]int32{codes(simple), differences(codes(simple)), keySteps(simple)}

	logs := make([]float64, len(typed)+1)
	for k := 1; k <= len(typed); k++ {
		logs[k] = math.Log2(float64(k))
	}
	// least[k] is the least cost of the first k code points.
	least := make([]float64, len(typed)+1)
	for k := 1; k <= len(typed); k++ {
		least[k] = math.Inf(1)
	}
	lower := func(k int, bits float64) { least[k] = min(least[k], bits) }

	for i := range typed {
		lower(i+1, least[i]+runeBits(typed[i]))
		for _, list := range lists {
			for n := minWord; n <= list.longest && i+n <= len(typed); n++ {
				for v, view := range views {
					word := string(view[i : i+n])
					bits, ok := list.bits[word]
					back, okBack := list.bits[reversed(word)]
					if !ok && !okBack {
						continue
					}
					if !ok || okBack && back+1 < bits {
						bits = back + 1
					}
					lower(i+n, least[i]+float64(bits)+spelling(typed[i:i+n], v > 0))
				}
			}
		}
		if bits, ok := yearBits(simple[i:]); ok {
			lower(i+4, least[i]+bits)
		}
		for s, step := range steps {
			for back := 1; back <= i; back++ {
				// The first step has no meaning where nothing comes before.
				if s > 0 && back == i {
					break
				}
				for n := 1; i+n <= len(step) && step[i+n-1] == step[i+n-1-back] && step[i+n-1] != noStep; n++ {
					if n > 1 {
						lower(i+n, least[i]+2+logs[back]+logs[n])
					}
				}
			}
		}
	}
	return least[len(typed)]
}

// simplify lowers case and takes accents and width away, one code point for
// one, so that "Pässwort" is found as "passwort".
func simplify(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			return unicode.ToLower(r)
		}
		r = unicode.ToLower(r)
		if first := []rune(norm.NFKD.String(string(r)))[0]; first < 0x80 {
			return unicode.ToLower(first)
		}
		return r
	}, s)
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// readings returns the text as it is, then with signs read as the letters they
// often stand for. Where a sign has two readings, each is tried for all of its
// kind at once: trying them one by one is what makes other estimators slow.
func readings(simple []rune) [][]rune {
	views := [][]rune{simple}
	for _, letters := range []string{"4a@a8b(c{c[c<c3e6g9g1i!i|i0o$s5s7t+t%x2z", "4a@a8b(c{c[c<c3e6g9g1l!i|l0o$s5s7l+t%x2z"} {
		pairs := []rune(letters)
		view := make([]rune, len(simple))
		changed := false
		for i, r := range simple {
			view[i] = r
			for p := 0; p < len(pairs); p += 2 {
				if pairs[p] == r {
					view[i], changed = pairs[p+1], true
				}
			}
		}
		if changed {
			views = append(views, view)
		}
	}
	return views
}

// spelling is what capitals and signs add to a word.
func spelling(typed []rune, signs bool) float64 {
	bits := 0.0
	upper := 0
	for _, r := range typed {
		if unicode.IsUpper(r) {
			upper++
		}
	}
	switch {
	case upper == 0:
	case upper == len(typed), upper == 1 && unicode.IsUpper(typed[0]):
		bits++
	default:
		bits += 1 + float64(min(upper, len(typed)-upper))
	}
	if signs {
		bits++
	}
	return bits
}

// runeBits is what a code point costs that is part of nothing: the size of the
// set it is taken from.
func runeBits(r rune) float64 {
	switch {
	case r == ' ' || r == '-' || r == '_' || r == '.' || r == ',':
		return 2 // stands between words more often than not
	case '0' <= r && r <= '9':
		return math.Log2(10)
	case 'a' <= r && r <= 'z':
		return math.Log2(26)
	case 'A' <= r && r <= 'Z':
		return math.Log2(52)
	case r < 0x80:
		return math.Log2(33)
	}
	return 7 // other scripts: at least some hundred in use
}

// yearBits is the cost of a year from 1900 to 2099 at the start of s.
func yearBits(s []rune) (float64, bool) {
	if len(s) < 4 || !(s[0] == '1' && s[1] == '9' || s[0] == '2' && s[1] == '0') ||
		!unicode.IsDigit(s[2]) || !unicode.IsDigit(s[3]) {
		return 0, false
	}
	return 7, true
}

func codes(s []rune) []int32 { return s }

// differences turns abcd and 9876 into repetitions of one step.
func differences(codes []int32) []int32 {
	steps := make([]int32, len(codes))
	for i := range codes {
		steps[i] = noStep
		if i > 0 {
			steps[i] = codes[i] - codes[i-1]
		}
	}
	return steps
}

// keySteps turns a walk over a keyboard into the steps from key to key, so that
// asdf, 1q2w3e and qazwsx are repetitions.
func keySteps(s []rune) []int32 {
	steps := make([]int32, len(s))
	lastRow, lastColumn := -1, -1
	for i, r := range s {
		row, column := keyAt(r)
		steps[i] = noStep
		if row >= 0 && lastRow >= 0 {
			steps[i] = int32((row-lastRow)*100 + column - lastColumn)
		}
		lastRow, lastColumn = row, column
	}
	return steps
}

// keyAt returns where a key is on an English keyboard, or -1, -1.
func keyAt(r rune) (row, column int) {
	for row, keys := range []string{
		"`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./",
		"~!@#$%^&*()_+", " \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{}|", " \x00\x00\x00\x00\x00\x00\x00\x00\x00:\"", " \x00\x00\x00\x00\x00\x00\x00<>?",
	} {
		if column := strings.IndexRune(keys, r); column >= 0 && r != ' ' && r != 0 {
			return row % 4, column
		}
	}
	return -1, -1
}

// noStep is where a pattern cannot go on.
const noStep = math.MinInt32

func reversed(s string) string {
	runes := []rune(s)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}
