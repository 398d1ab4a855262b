package accounts

import (
	"strings"
	"testing"

	"github.com/trustelem/zxcvbn"
)

// ASVS 6.2.4: common passwords of the allowed lengths are a common word,
// repeated or with a suffix, or a pattern.
func TestStrongEnough(t *testing.T) {
	for _, weak := range []string{
		"passwordpassword", "password123456789", "Password12345678!", "P@ssw0rdP@ssw0rd", "drowssapdrowssap", "thisismypassword",
		"pässwörtpässwört", "ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ", "iloveyouiloveyou", "footballfootball", "letmeinletmein12", "Welcome123456789",
		"administrator123", "unbelievable1234", "jennifer-jennifer", "superman-batman", "monkeydragon1234",
		"Summer2024Summer2024", "Winter2024!!!!!", "summerholiday2024", strings.Repeat("password", 16),
		"123456789123456789", "987654321987654321", "111222333444555", "aaaaaaaaaaaaaaaa", "abcdefghijklmnop", "ABCDEFGHIJKLMNO", "---------------",
		"qwertyuiopasdfgh", "qwerty123456789", "asdfghjklasdfghjkl", "zxcvbnmasdfghjkl", "qazwsxedcrfvtgb", "1q2w3e4r5t6y7u8i9o0p",
		"q1w2e3r4t5y6u7i8", "1qaz2wsx3edc4rfv", "123qweasdzxc123qweasdzxc", "qWeqWeqWeqWeqWeqWe", "あああああああああああああああ", "日本語日本語日本語日本語日本語", "αβγδεζηθικλμνξο", "🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊", "",
	} {
		if strongEnough(toASCII(weak), enoughGuesses) {
			t.Errorf("%q withstands", weak)
		}
	}
	for _, strong := range []string{
		"correct horse battery staple", "green bicycles sing at noon", "mein fahrrad hat drei lichter", "ilovemydogforever",
		"日本語のパスワードは長い方がいい", "안녕하세요반갑습니다오늘은날씨가", "안녕안녕하세요반갑습니다오늘은",
		"kR7#vQ2m!xT9pLw", "h7f2k9d3m5p1q8w", "xqzvbmtrwplkjhd", "4f1c0d9e7b2a8365",
		// The weak beginning of a long password does not hide its strong end.
		strings.Repeat("a", chunkSize) + "kR7#vQ2m!xT9pLw",
	} {
		if !strongEnough(toASCII(strong), enoughGuesses) {
			t.Errorf("%q does not withstand", strong)
		}
	}
}

// slowPatterns are texts for which zxcvbn is slowest. The tests repeat them.
var slowPatterns = []string{"a", "qWertyu1op", "4@8({[<3691!|0$5+7%2", "@4(8{[<369!1|0$5+7%2", "a1|!7", "password", "1/1/1", "ſ日ä"}

func longest(s string) string {
	return string([]rune(strings.Repeat(s, MaxPassword))[:MaxPassword])
}

// ASVS 15.2.2: zxcvbn gets one chunk at a time, so its running time is bounded.
// Four weak chunks do not add up to a strong password.
func TestStrongEnoughByChunk(t *testing.T) {
	var long string
	for _, letter := range []string{"a", "b", "c", "d"} {
		long += strings.Repeat(letter, chunkSize)
	}
	if whole := zxcvbn.PasswordStrength(long, nil).Guesses; whole < enoughGuesses {
		t.Fatalf("the whole has %.3g guesses, so the test shows nothing", whole)
	}
	if strongEnough(long, enoughGuesses) {
		t.Error("zxcvbn saw more than a part")
	}
}

// For any input, the check does not panic and rejects passwords made of the
// context words.
func FuzzPasswordCheck(f *testing.F) {
	for _, s := range slowPatterns {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, typed, title string) {
		if len(title) > MaxName {
			return
		}
		name, err := ParseName("Tjorven Wyklocz")
		if err != nil {
			t.Fatal(err)
		}
		rules := passwords{min: 8, title: title}
		password, err := rules.check(typed, name)
		if (err == nil) != (password != "") {
			t.Errorf("%q: %q, %v", typed, password, err)
		}
		if err == nil && len(removeWords(toASCII(password), contextWords(title))) == 0 {
			t.Errorf("%q passes with the title %q", typed, title)
		}
	})
}

func BenchmarkStrongEnough(b *testing.B) {
	for _, s := range slowPatterns {
		b.Run(s, func(b *testing.B) {
			for b.Loop() {
				strongEnough(toASCII(longest(s)), enoughGuesses)
			}
		})
	}
}
