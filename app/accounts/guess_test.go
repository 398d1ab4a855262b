package accounts

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

var testWords = sync.OnceValues(loadWords)

func listed(t testing.TB) words {
	t.Helper()
	w, err := testWords()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ASVS 6.2.4: what is common at the lengths we allow is a common word, said
// twice or with something behind it, or a pattern.
func TestGuessBits(t *testing.T) {
	w := listed(t)
	for _, weak := range []string{
		"passwordpassword", "password123456789", "Password12345678!", "P@ssw0rdP@ssw0rd", "drowssapdrowssap", "thisismypassword",
		"pässwörtpässwört", "ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ", "iloveyouiloveyou", "footballfootball", "letmeinletmein12", "Welcome123456789",
		"administrator123", "unbelievable1234", "jennifer-jennifer", "superman-batman", "monkeydragon1234",
		"Summer2024Summer2024", "Winter2024!!!!!", "summerholiday2024",
		"123456789123456789", "987654321987654321", "111222333444555", "aaaaaaaaaaaaaaaa", "abcdefghijklmnop", "ABCDEFGHIJKLMNO", "---------------",
		"qwertyuiopasdfgh", "qwerty123456789", "asdfghjklasdfghjkl", "zxcvbnmasdfghjkl", "qazwsxedcrfvtgb", "1q2w3e4r5t6y7u8i9o0p",
		"q1w2e3r4t5y6u7i8", "1qaz2wsx3edc4rfv", "1qaz@WSX3edc$RFV", "123qweasdzxc123qweasdzxc", "qWeqWeqWeqWeqWeqWe", "",
	} {
		if bits := guessBits(weak, w); bits >= enoughBits {
			t.Errorf("%q: %.1f bits, want fewer than %d", weak, bits, enoughBits)
		}
	}
	for _, strong := range []string{
		"correct horse battery staple", "green bicycles sing at noon", "mein fahrrad hat drei lichter", "ilovemydogforever",
		"日本語のパスワードは長い方がいい", "안녕하세요반갑습니다오늘은날씨가",
		"kR7#vQ2m!xT9pLw", "h7f2k9d3m5p1q8w", "xqzvbmtrwplkjhd", "gtmxkwqz", "4f1c0d9e7b2a8365",
	} {
		if bits := guessBits(strong, w); bits < enoughBits {
			t.Errorf("%q: %.1f bits, want %d at least", strong, bits, enoughBits)
		}
	}
}

func TestGuessBitsGrows(t *testing.T) {
	w := listed(t)
	for _, s := range []string{"kR7#vQ2m!xT9pLw", "correct horse battery staple", strings.Repeat("a", 40), "ﷺﷺﷺäöü"} {
		last := 0.0
		for i := range s + " " {
			bits := guessBits(s[:i], w)
			if bits < 0 || math.IsInf(bits, 0) || math.IsNaN(bits) || bits != guessBits(s[:i], w) {
				t.Errorf("%q: %v bits", s[:i], bits)
			}
			last = max(last, bits)
		}
		if last == 0 {
			t.Errorf("%q: nothing", s)
		}
	}
}

// worstForGuess are the texts that keep guessBits busiest, each to be repeated.
var worstForGuess = []string{"a", "qWertyu1op", "4@8({[<3691!|0$5+7%2", "a1|!7", "password", "ſ日ä"}

// ASVS 15.2.2: the costly step is bounded. It takes some 4 ms; the test leaves
// room for a busy machine and the race detector.
func TestGuessBitsTime(t *testing.T) {
	w := listed(t)
	for _, s := range worstForGuess {
		s = string([]rune(strings.Repeat(s, MaxPassword))[:MaxPassword])
		begun := time.Now()
		guessBits(s, w, contextWords("a name that is rather long", "a title"))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%q took %v", s, took)
		}
	}
}

func FuzzGuessBits(f *testing.F) {
	for _, s := range worstForGuess {
		f.Add(s, s)
	}
	w := listed(f)
	f.Fuzz(func(t *testing.T, password, context string) {
		if len(password) > MaxPassword || len(context) > MaxName {
			return
		}
		free, bound := guessBits(password, w), guessBits(password, w, contextWords(context))
		if math.IsNaN(free) || math.IsInf(free, 0) || bound > free {
			t.Errorf("%q: %v bits, %v with %q", password, free, bound, context)
		}
	})
}

func BenchmarkGuessBits(b *testing.B) {
	w := listed(b)
	for _, s := range worstForGuess {
		b.Run(s, func(b *testing.B) {
			long := string([]rune(strings.Repeat(s, MaxPassword))[:MaxPassword])
			for b.Loop() {
				guessBits(long, w, contextWords("somebody", "store"))
			}
		})
	}
}
