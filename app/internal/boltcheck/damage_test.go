package boltcheck

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

var variants = flag.Int("variants", 150, "how many damaged files are verified")

const damageSize = 4096 // where damage begins does not depend on the page size

// damages are typical damages of files.
var damages = []struct {
	name   string
	do     func(r *rand.Rand, b []byte) []byte
	forged bool // does not occur by accident: Branches may miss a leaf that leads back
}{
	{"a flipped bit", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a flipped bit where a page begins", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b)/damageSize)*damageSize+r.IntN(200)] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a few other bytes where a page begins", func(r *rand.Rand, b []byte) []byte {
		page := r.IntN(len(b) / damageSize)
		for range 4 {
			b[page*damageSize+r.IntN(64)] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a zeroed sector", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/512)*512:][:512])
		return b
	}, false},
	{"a zeroed page", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/damageSize)*damageSize:][:damageSize])
		return b
	}, false},
	{"a page of nonsense", func(r *rand.Rand, b []byte) []byte {
		page := b[r.IntN(len(b)/damageSize)*damageSize:][:damageSize]
		for i := range page {
			page[i] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a page in another's place", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / damageSize
		copy(b[r.IntN(n)*damageSize:][:damageSize], b[r.IntN(n)*damageSize:])
		return b
	}, false},
	{"two pages swapped", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / damageSize
		one, other := b[r.IntN(n)*damageSize:][:damageSize], b[r.IntN(n)*damageSize:][:damageSize]
		kept := bytes.Clone(one)
		copy(one, other)
		copy(other, kept)
		return b
	}, false},
	{"a page in another's place, with its id", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / damageSize
		to := r.IntN(n)
		copy(b[to*damageSize+8:][:damageSize-8], b[r.IntN(n)*damageSize+8:])
		return b
	}, true},
	{"cut short", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] }, false},
}

// A damaged file is detected, or bbolt reads it without a panic, a loop or a
// wrong pair, and writes to it without further damage.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	files := [][]byte{
		makeFile(t, bbolt.Options{}, 1000, 1000),
		makeFile(t, bbolt.Options{NoFreelistSync: true}, 1000, 1000),
		makeFile(t, bbolt.Options{PageSize: damageSize}, 1000, 1000),
	}
	refused, passed := 0, 0
	for i := range *variants {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		harm := damages[i%len(damages)]
		b := harm.do(random, bytes.Clone(files[i/len(damages)%len(files)]))
		done := make(chan bool, 1)
		go func() { done <- verifyDamaged(t, i, harm.name, b, harm.forged) }()
		select {
		case sound := <-done:
			if sound {
				passed++
			} else {
				refused++
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("variant %d, %s: it does not come back", i, harm.name)
		}
	}
	t.Logf("%d variants: %d refused, %d passed", *variants, refused, passed)
	if refused == 0 || *variants >= 100 && passed == 0 {
		t.Error("nothing was refused or nothing passed, so nothing was shown")
	}
}

// verifyDamaged reports whether All called b sound.
func verifyDamaged(t *testing.T, variant int, harm string, b []byte, forged bool) bool {
	allErr, branchesErr := all(b), branches(b)
	for name, err := range map[string]error{"All": allErr, "Branches": branchesErr} {
		if err != nil && (!errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("variant %d, %s: %s: %v", variant, harm, name, err)
		}
	}
	if branchesErr == nil && (!forged || allErr == nil) {
		pairs, err := readPairs(t, b)
		if err != nil && allErr == nil {
			t.Errorf("variant %d, %s: All found nothing, but bbolt: %v", variant, harm, err)
		}
		wrongPairs(t, variant, harm, pairs)
	}
	if allErr != nil {
		return false
	}
	if branchesErr != nil {
		t.Errorf("variant %d, %s: All found nothing, but Branches: %v", variant, harm, branchesErr)
	}
	write(t, variant, harm, b)
	return true
}

// wrongPairs fails the test if more pairs are wrong than one damaged page can
// cause. All does not verify keys, values and bucket names.
func wrongPairs(t *testing.T, variant int, harm string, pairs map[string]string) {
	wrong := 0
	for k, v := range pairs {
		bucket, key, _ := strings.Cut(k, "/")
		known := slices.Contains([]string{bucketBig, bucketKeys, bucketSmall, bucketEmpty}, bucket)
		if known && v != string(valueOf(bucket, []byte(key))) {
			wrong++
		}
	}
	if wrong > damageSize/elementSize {
		t.Errorf("variant %d, %s: %d wrong pairs", variant, harm, wrong)
	}
}

// ofMetaPage matches what bbolt says of the page header of a meta page.
var ofMetaPage = regexp.MustCompile(`: page [01]: |expected to be: [01], but`)

// write lets bbolt write b, which All called sound, and verifies it again.
func write(t *testing.T, variant int, harm string, b []byte) {
	path := filepath.Join(t.TempDir(), "written.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Error(err)
		return
	}
	defer os.Remove(path)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Errorf("variant %d, %s: %v", variant, harm, err)
		return
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			// All does not compare the keys of one leaf with those of the next. Of meta
			// pages it ignores the page header, which nothing but this check reads.
			if !strings.Contains(err.Error(), "needs to be") && !ofMetaPage.MatchString(err.Error()) {
				t.Errorf("variant %d, %s: bbolt found %v", variant, harm, err)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	before, err := readPairs(t, b)
	if err != nil {
		t.Error(err)
	}
	for range 5 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("more"))
			if err != nil {
				return err
			}
			return bucket.Put(bytes.Repeat([]byte{'k'}, rand.IntN(100)+1), make([]byte, 20_000))
		}); err != nil {
			t.Errorf("variant %d, %s: %v", variant, harm, err)
		}
	}
	if b, err = os.ReadFile(path); err != nil {
		t.Error(err)
		return
	}
	if err := all(b); err != nil {
		t.Errorf("variant %d, %s: after writing: %v", variant, harm, err)
	}
	after, err := readPairs(t, b)
	if err != nil {
		t.Error(err)
	}
	for k, v := range before {
		if after[k] != v {
			t.Errorf("variant %d, %s: %q changed when other keys were written", variant, harm, k)
			return
		}
	}
}
