package bench

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

var sizes = flag.String("sizes", "1000,100000", "how many sessions are on file, one figure for each case, the smallest first")

// growthRounds is the number of rounds for each case and size.
const growthRounds = 7

// perAccount is the number of sessions of each account.
const perAccount = 10

// sessionID returns the id of session i, so that ids need not be stored. The
// sessions of an account are spread evenly over time.
func sessionID(i int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("session"), uint64(i)))
	made := 1_700_000_000_000 + uint64(i%perAccount)<<30 + uint64(i/perAccount)
	return base64.RawURLEncoding.EncodeToString(sum[:]) +
		base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, made)[2:])
}

func accountName(i int) string { return "Player " + strconv.Itoa(i) }

// limits are the defaults of the app.
var limits = sessions.Limits{Idle: 7 * 24 * time.Hour, Lifetime: 30 * 24 * time.Hour}

// fill creates a file with n sessions, perAccount for each account. The first
// account is an administrator.
func fill(b *testing.B, n int) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "latchkey.db")
	db, err := bolt.Open(path, bolt.Options{Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	now := time.Now().UTC().Truncate(time.Millisecond)
	at := func(i int) accounts.ID {
		sum := sha256.Sum256(fmt.Append(nil, "account", i))
		return accounts.ID(sum[:16])
	}
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 512 { // concurrent, so that they share commits
		writers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i*perAccount >= n {
					return
				}
				name, err := accounts.ParseName(accountName(i))
				if err == nil {
					err = db.Accounts().Create(b.Context(), accounts.Account{ID: at(i), Name: name, Admin: i == 0, Created: now})
				}
				for j := i * perAccount; err == nil && j < min(n, (i+1)*perAccount); j++ {
					err = db.Sessions().Begin(b.Context(), sessions.KeyOf(sessionID(j)), sessions.Key{}, sessions.Session{
						Account: sessions.Account(at(i)), Began: now, Seen: now, Reauthenticated: now,
						Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Address: "192.0.2.1",
					}, []byte(strings.Repeat("data", 20)))
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	return path
}

// grown is a server on a file of a certain size.
type grown struct {
	*process
	n       int // number of sessions
	path    string
	started []float64            // seconds from the start of a process to its first page
	opened  []float64            // seconds to open the file
	written float64              // seconds from the last start to the first sign-up
	taken   map[string][]float64 // case → seconds of each request
}

// opening returns the seconds it takes to open a file that no server has open.
func opening(b *testing.B, path string) float64 {
	b.Helper()
	began := time.Now()
	db, err := bolt.Open(path, bolt.Options{Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	taken := time.Since(began).Seconds()
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return taken
}

// BenchmarkGrowth shows how costs grow with the number of sessions. The sizes
// alternate, so that changes of the machine's speed cancel out.
func BenchmarkGrowth(b *testing.B) {
	if _, err := build(); err != nil {
		b.Fatal(err)
	}
	empty := &grown{path: filepath.Join(b.TempDir(), "empty.db")}
	all := []*grown{}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < perAccount {
			b.Fatalf("-sizes: %q", text)
		}
		began := time.Now()
		all = append(all, &grown{n: n, path: fill(b, n), taken: map[string][]float64{}})
		b.Logf("%d sessions filled in %.0f s", n, time.Since(began).Seconds())
	}
	for round := range growthRounds + 1 {
		for _, g := range append([]*grown{empty}, all...) {
			began := time.Now()
			g.process = latchkey(b, nil, "--database="+g.path)
			g.answer(b, "/", "")
			if round > 0 { // the first round warms up
				g.started = append(g.started, time.Since(began).Seconds())
			}
			if round < growthRounds {
				g.stop()
				g.opened = append(g.opened, opening(b, g.path))
				continue
			}
			// Keep the last process. The first write waits until the whole file is
			// verified.
			g.signUp(b, "Newcomer")
			g.written = time.Since(began).Seconds()
			if g == empty {
				g.stop()
			}
		}
	}
	// A random visitor each time. Requests that end sessions use the last tenth,
	// which the others do not use.
	stays := func(g *grown) int { return rand.IntN(g.n * 9 / 10) }
	ended := map[*grown]int{}
	for _, c := range []struct {
		name   string
		count  int // requests in a round
		status int
		method string
		path   string
		who    func(*grown) int
	}{
		{"page", 3000, fasthttp.StatusOK, "GET", "/", stays},
		{"sessions", 200, fasthttp.StatusOK, "GET", "/account", stays},
		{"search", 100, fasthttp.StatusOK, "GET", "/admin?q=player+", func(*grown) int { return 0 }},
		{"logout", 10, fasthttp.StatusSeeOther, "POST", "/logout", func(g *grown) int { ended[g]++; return g.n - ended[g] }},
		{"login", 10, fasthttp.StatusSeeOther, "POST", "/login", nil}, // with a password
	} {
		for round := range growthRounds + 1 {
			for _, g := range all {
				request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				for range c.count {
					request.Reset()
					if c.who == nil {
						preparePost(g.addr, c.path, "name=newcomer&password="+url.QueryEscape(password), request)
					} else {
						request.Header.SetMethod(c.method)
						request.SetRequestURI(c.path)
						request.Header.SetHost(g.addr)
						request.Header.Set("Cookie", "__Host-session="+sessionID(c.who(g)))
					}
					sent := time.Now()
					if err := g.client.Do(request, response); err != nil || response.StatusCode() != c.status {
						b.Fatalf("%s: %d, %v", c.name, response.StatusCode(), err)
					}
					if round > 0 { // the first round warms up
						g.taken[c.name] = append(g.taken[c.name], time.Since(sent).Seconds())
					}
				}
			}
		}
	}
	slices.Sort(empty.started)
	b.Run("empty", func(b *testing.B) {
		b.ReportMetric(quantile(empty.started, .5)*1e3, "ms-start")
		b.ReportMetric(empty.written*1e3, "ms-to-sign-up")
		b.ReportMetric(0, "ns/op")
	})
	for _, g := range all {
		slices.Sort(g.started)
		slices.Sort(g.opened)
		b.Run(strconv.Itoa(g.n), func(b *testing.B) {
			for name, taken := range g.taken {
				slices.Sort(taken)
				b.ReportMetric(quantile(taken, .5)*1e6, "µs-"+name)
				first := all[0].taken[name]
				slices.Sort(first)
				b.ReportMetric(quantile(taken, .5)/quantile(first, .5), name+"-p50-ratio")
				b.ReportMetric(quantile(taken, .99)/quantile(first, .99), name+"-p99-ratio")
			}
			info, err := os.Stat(g.path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(quantile(g.started, .5)*1e3, "ms-start")
			b.ReportMetric(g.written*1e3, "ms-to-sign-up")
			b.ReportMetric(quantile(g.opened, .5)*1e3, "ms-opening")
			b.ReportMetric(quantile(g.started, .5)/quantile(empty.started, .5), "start-ratio-to-empty")
			b.ReportMetric((quantile(g.started, .5)-quantile(g.opened, .5))/quantile(empty.started, .5), "rest-of-start-ratio-to-empty")
			b.ReportMetric(float64(info.Size())/(1<<20), "MiB-file")
			b.ReportMetric(statusMiB(b, g.cmd.Process.Pid, "RssAnon:"), "MiB-memory") // without the mapped file
			b.ReportMetric(0, "ns/op")
		})
	}
}
