package accounts

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/ccojocar/zxcvbn-go/data"
)

// minWord is the shortest word that counts as one, in code points.
const minWord = 3

// words tells what a guesser pays for a word, in bits: the logarithm of its
// place in a list that begins with the most common.
type words struct {
	bits    map[string]float32
	longest int // code points
}

// loadWords reads the lists of zxcvbn: passwords that have leaked, English
// words, names. It takes some 50 ms and 4 MiB, so it waits for the first
// password that is chosen.
//
// Only zxcvbn's data is used. Its matchers load the lists when the process
// starts, which alone takes 80 ms, and some passwords of 64 characters keep them
// busy for more than a second.
func loadWords() (words, error) {
	w := words{bits: make(map[string]float32, 64_000)}
	for _, name := range []string{"Passwords", "English", "FemaleNames", "MaleNames", "Surnames"} {
		asset, err := data.Asset("data/" + name + ".json")
		if err != nil {
			return words{}, fmt.Errorf("accounts: word list: %w", err)
		}
		var file struct{ List []string }
		if err := json.Unmarshal(asset, &file); err != nil {
			return words{}, fmt.Errorf("accounts: word list %s: %w", name, err)
		}
		// A rarer word saves a guesser little against trying its letters.
		w.add(file.List[:min(len(file.List), 20_000)])
	}
	return w, nil
}

func (w *words) add(ranked []string) {
	for i, word := range ranked {
		if len(word) < minWord {
			continue
		}
		bits := float32(math.Log2(float64(i + 1)))
		if known, ok := w.bits[word]; !ok || bits < known {
			// A clone does not keep the whole decoded file in memory.
			w.bits[strings.Clone(word)] = bits
		}
		w.longest = max(w.longest, len([]rune(word)))
	}
}

// contextWords returns words that are nearly free to guess for this password:
// each text as a whole and in its parts.
func contextWords(texts ...string) words {
	w := words{bits: make(map[string]float32)}
	for _, text := range texts {
		parts := strings.FieldsFunc(simplify(text), func(r rune) bool { return !wordRune(r) })
		for _, word := range append(parts, strings.Join(parts, "")) {
			if n := len([]rune(word)); n >= minWord {
				w.bits[word] = 0
				w.longest = max(w.longest, n)
			}
		}
	}
	return w
}
