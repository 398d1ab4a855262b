// Package bench measures the built binary from outside. Compared cases
// alternate within one run, so that changes of the machine's speed cancel out.
// Only their ratios count. Run it with
//
//	go test -run '^$' -bench . ./tests/bench
package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	rounds  = 61                     // rounds of a comparison
	turn    = 250 * time.Millisecond // duration of a case in a round, short so that both cases run under the same conditions
	clients = 64                     // connections, unless a case sets another number

	// Processes are restarted this often during the rounds: the addresses of their
	// memory alone make one process faster than another.
	starts      = 5
	loginRounds = 13                     // after each start
	pageRounds  = 31                     // after each start
	pageTurn    = 100 * time.Millisecond // a shorter turn still has thousands of pages

	grace = 5 * time.Second // for a process to stop
)

// TestMain also serves the programs that the binary is compared with. Each must
// be a process of its own, like the binary.
func TestMain(m *testing.M) {
	switch os.Getenv("LATCHKEY_BENCH_SERVE") {
	case "bare":
		serveBare()
	case "plain":
		servePlain()
	default:
		os.Exit(m.Run())
	}
}

// process is a measured server.
type process struct {
	addr   string
	cmd    *exec.Cmd
	client *fasthttp.HostClient
}

// build builds the binary once.
var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "latchkey-bench")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "latchkey")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./app")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
})

func latchkey(b *testing.B, env []string, args ...string) *process {
	b.Helper()
	binary, err := build()
	if err != nil {
		b.Fatal(err)
	}
	// Later arguments override earlier ones.
	args = append([]string{"--addr=127.0.0.1:0", "--database=" + filepath.Join(b.TempDir(), "latchkey.db")}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = filepath.Join("..", "..") // --dev reads views and public from here
	return start(b, cmd)
}

// comparison starts this test binary as one of the programs compared with.
func comparison(b *testing.B, kind string, env ...string) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "LATCHKEY_BENCH_SERVE="+kind), env...)
	return start(b, cmd)
}

// start runs cmd until the benchmark ends and waits until it listens. Its log
// goes to a file, because reading a pipe would cost this process time.
func start(b *testing.B, cmd *exec.Cmd) *process {
	b.Helper()
	path := filepath.Join(b.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	addr := ""
	for deadline := time.Now().Add(time.Minute); addr == ""; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil || time.Now().After(deadline) {
			b.Fatalf("%s: it does not listen: %s %v", cmd, text, err)
		}
		for line := range strings.Lines(string(text)) {
			var record struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "listening" {
				addr = record.Addr
			} else if _, rest, ok := strings.Cut(line, "msg=listening addr="); ok {
				addr = strings.Fields(rest)[0]
			}
		}
	}
	p := &process{addr: addr, cmd: cmd, client: &fasthttp.HostClient{Addr: addr, MaxConns: 1024, NoDefaultUserAgentHeader: true}}
	b.Cleanup(p.stop)
	return p
}

// stop stops the process if it is running.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(grace, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.cmd.Wait()
}

// load sends requests over n connections for d. It returns the number of
// answers with that status per second.
func (p *process) load(b *testing.B, n int, d time.Duration, status int, prepare func(client, i int, r *fasthttp.Request)) (rate float64) {
	b.Helper()
	var count atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for client := range n {
		group.Go(func() {
			request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			request.Header.SetHost(p.addr)
			for i := 0; time.Since(began) < d; i++ {
				prepare(client, i, request)
				if err := p.client.Do(request, response); err != nil {
					b.Error(err)
					return
				}
				if got := response.StatusCode(); got != status {
					b.Errorf("status %d, want %d", got, status)
					return
				}
				count.Add(1)
			}
		})
	}
	group.Wait()
	return float64(count.Load()) / time.Since(began).Seconds()
}

// password is a password that is always accepted.
const password = "seven quiet lamps over harbour"

// signUp creates an account and returns its cookie as "name=value".
func (p *process) signUp(b *testing.B, name string) string {
	b.Helper()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	preparePost(p.addr, "/signup", "name="+name+"&password="+strings.ReplaceAll(password, " ", "+"), request)
	if err := p.client.Do(request, response); err != nil {
		b.Fatal(err)
	}
	cookie, _, _ := strings.Cut(string(response.Header.Peek("Set-Cookie")), ";")
	if response.StatusCode() != fasthttp.StatusSeeOther || cookie == "" {
		b.Fatalf("sign up: status %d", response.StatusCode())
	}
	return cookie
}

func preparePost(addr, path, form string, r *fasthttp.Request) {
	r.Header.SetHost(addr)
	r.Header.SetMethod(fasthttp.MethodPost)
	r.SetRequestURI(path)
	r.Header.SetContentType("application/x-www-form-urlencoded")
	r.SetBodyString(form)
}

// results holds the results of all rounds of a comparison.
type results struct{ ratios, rates []float64 }

// run runs both cases alternately.
func (c *results) run(rounds int, first, second func() float64) {
	first()
	second() // warm up
	for round := range rounds {
		var x, y float64
		if round%2 == 0 {
			x, y = first(), second()
		} else {
			y, x = second(), first()
		}
		c.ratios, c.rates = append(c.ratios, x/y), append(c.rates, x)
	}
}

// report reports the median of first/second with its quartiles, minimum and
// maximum.
func (c *results) report(b *testing.B, name string) {
	b.Helper()
	slices.Sort(c.ratios)
	slices.Sort(c.rates)
	n := len(c.ratios)
	b.ReportMetric(c.ratios[n/2], name)
	b.ReportMetric(c.ratios[n/4], name+"-q1")
	b.ReportMetric(c.ratios[n*3/4], name+"-q3")
	b.ReportMetric(c.ratios[0], name+"-min")
	b.ReportMetric(c.ratios[n-1], name+"-max")
	b.ReportMetric(c.rates[n/2], "a-second")
	b.ReportMetric(0, "ns/op") // the duration of the benchmark means nothing
}

// answer is a response that the bare handler replays.
type answer struct {
	Status int
	Header [][2]string
	Body   []byte
}

func (p *process) answer(b *testing.B, path, cookie string) answer {
	b.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\n\r\n", path, cookie)
	var response fasthttp.Response
	if err := response.Read(bufio.NewReader(conn)); err != nil {
		b.Fatal(err)
	}
	a := answer{Status: response.StatusCode(), Body: response.Body()}
	for k, v := range response.Header.All() {
		switch string(k) {
		case "Date", "Content-Length": // set by the server
		default:
			a.Header = append(a.Header, [2]string{string(k), string(v)})
		}
	}
	return a
}

// BenchmarkPage compares the start page with a bare Fiber handler that sends the
// same bytes and headers.
func BenchmarkPage(b *testing.B) {
	for _, visitor := range []string{"logged in", "anonymous"} {
		b.Run(visitor, func(b *testing.B) {
			var c results
			for range starts {
				app, bare, cookie := pages(b, visitor == "logged in")
				c.run(pageRounds, app.pages(b, cookie), bare.pages(b, cookie))
				app.stop()
				bare.stop()
			}
			c.report(b, "of-bare")
		})
	}
}

// pages starts the binary and a bare handler that sends the same start page.
func pages(b *testing.B, loggedIn bool, env ...string) (app, bare *process, cookie string) {
	b.Helper()
	app = latchkey(b, env)
	if loggedIn {
		cookie = app.signUp(b, "Ann")
	}
	page := app.answer(b, "/", cookie)
	if logged := bytes.Contains(page.Body, []byte(`data-account="Ann"`)); logged != loggedIn {
		b.Fatalf("the wrong page: %s", page.Body)
	}
	text, err := json.Marshal(page)
	if err != nil {
		b.Fatal(err)
	}
	bare = comparison(b, "bare", append(env, "LATCHKEY_BENCH_ANSWER="+string(text))...)
	if got := bare.answer(b, "/", cookie); !bytes.Equal(got.Body, page.Body) || len(got.Header) != len(page.Header) {
		b.Fatalf("the bare handler sends %v %s", got.Header, got.Body)
	}
	return app, bare, cookie
}

// pages returns a function that requests the start page for one turn and
// returns the rate.
func (p *process) pages(b *testing.B, cookie string) func() float64 {
	return func() float64 {
		return p.load(b, clients, pageTurn, fasthttp.StatusOK, func(_, i int, r *fasthttp.Request) {
			if i == 0 {
				r.SetRequestURI("/")
				r.Header.Set("Cookie", cookie)
			}
		})
	}
}

// BenchmarkScaling compares the gain of a second core for the start page and
// for the bare handler.
func BenchmarkScaling(b *testing.B) {
	var c results
	for range starts {
		app1, bare1, cookie1 := pages(b, true, "GOMAXPROCS=1")
		app2, bare2, cookie2 := pages(b, true, "GOMAXPROCS=2")
		one, two := app1.pages(b, cookie1), app2.pages(b, cookie2)
		bareOne, bareTwo := bare1.pages(b, cookie1), bare2.pages(b, cookie2)
		c.run(pageRounds,
			func() float64 { return two() / one() },
			func() float64 { return bareTwo() / bareOne() })
		for _, p := range []*process{app1, bare1, app2, bare2} {
			p.stop()
		}
	}
	c.report(b, "of-bare-scaling")
	b.ReportMetric(0, "a-second") // meaningless here
}

// BenchmarkLogin compares durable logins, without a password as with --dev,
// with plain Fiber code on the adapter's Set.
func BenchmarkLogin(b *testing.B) {
	for _, n := range []int{1, 8, 64, 256} {
		b.Run("clients "+strconv.Itoa(n), func(b *testing.B) {
			login := func(p *process) func() float64 {
				return func() float64 {
					return p.load(b, n, turn, fasthttp.StatusSeeOther, func(client, i int, r *fasthttp.Request) {
						if i == 0 {
							preparePost(p.addr, "/login", fmt.Sprintf("name=n%d", client), r)
						}
					})
				}
			}
			var c results
			for range starts {
				app := latchkey(b, nil, "--dev")
				plain := comparison(b, "plain", "LATCHKEY_BENCH_DATABASE="+filepath.Join(b.TempDir(), "plain.db"))
				c.run(loginRounds, login(app), login(plain))
				app.stop()
				plain.stop()
			}
			c.report(b, "of-plain-Set")
		})
	}
}

// BenchmarkStart reports the time from the start of the process to the first
// page, its memory when idle, and the size of the binary.
func BenchmarkStart(b *testing.B) {
	var times []time.Duration
	var memory float64
	for range rounds {
		began := time.Now()
		app := latchkey(b, nil)
		app.answer(b, "/", "")
		times = append(times, time.Since(began))
		memory = residentMiB(b, app.cmd.Process.Pid)
	}
	slices.Sort(times)
	binary, _ := build()
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(times[rounds/2].Microseconds())/1000, "ms-to-first-page")
	b.ReportMetric(memory, "MiB-idle")
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB-binary")
	b.ReportMetric(0, "ns/op")
}

func residentMiB(b *testing.B, pid int) float64 {
	b.Helper()
	return statusMiB(b, pid, "VmRSS:")
}
