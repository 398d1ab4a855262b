// Package bench measures the built binary from outside. Compared cases take
// turns within one run, so that the drift of the machine cancels, and only their
// ratios count. Run it with
//
//	go test -run '^$' -bench . ./tests/bench
package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	rounds  = 7               // of every compared case
	turn    = time.Second     // how long a case runs in a round
	clients = 64              // connections at once, unless a case says otherwise
	grace   = 5 * time.Second // for a process to stop
)

// TestMain serves as a comparison piece when it is started as one: it must be a
// process of its own, as the measured binary is.
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

// process is a server under measurement.
type process struct {
	addr   string
	cmd    *exec.Cmd
	client *fasthttp.HostClient
}

// latchkey builds the binary once and starts it with args on a new database.
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

func latchkey(b *testing.B, args ...string) *process {
	b.Helper()
	binary, err := build()
	if err != nil {
		b.Fatal(err)
	}
	args = append([]string{"--addr=127.0.0.1:0", "--database=" + filepath.Join(b.TempDir(), "latchkey.db")}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Dir = filepath.Join("..", "..") // --dev reads views and public from here
	return start(b, cmd)
}

// comparison starts this test binary as a comparison piece.
func comparison(b *testing.B, kind string, env ...string) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "LATCHKEY_BENCH_SERVE="+kind), env...)
	return start(b, cmd)
}

// start runs cmd until the benchmark ends. The log says where it listens; the
// rest of the log is read and dropped, as a log collector would.
func start(b *testing.B, cmd *exec.Cmd) *process {
	b.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	addr := ""
	for addr == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatalf("%s: it ended: %s", cmd, line)
		}
		var record struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "listening" {
			addr = record.Addr
		} else if _, rest, ok := strings.Cut(line, "msg=listening addr="); ok {
			addr = strings.Fields(rest)[0]
		}
	}
	go io.Copy(io.Discard, lines)
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(grace, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	})
	return &process{addr: addr, cmd: cmd, client: &fasthttp.HostClient{Addr: addr, MaxConns: 1024, NoDefaultUserAgentHeader: true}}
}

// load sends requests over n connections for d and returns how many were
// answered with the status in a second, and the time of each if times is set.
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

// signUp signs up through the form and returns the cookie, as "name=value".
func (p *process) signUp(b *testing.B, name string) string {
	b.Helper()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	prepareLogin(p.addr, name, request)
	request.SetRequestURI("/signup")
	request.SetBodyString("name=" + name + "&password=seven+quiet+lamps+over+harbour")
	if err := p.client.Do(request, response); err != nil {
		b.Fatal(err)
	}
	cookie, _, _ := strings.Cut(string(response.Header.PeekCookie("__Host-session")), ";")
	if response.StatusCode() != fasthttp.StatusSeeOther || cookie == "" {
		b.Fatalf("sign up: status %d", response.StatusCode())
	}
	return cookie
}

func prepareLogin(addr, name string, r *fasthttp.Request) {
	r.Header.SetHost(addr)
	r.Header.SetMethod(fasthttp.MethodPost)
	r.SetRequestURI("/login")
	r.Header.SetContentType("application/x-www-form-urlencoded")
	r.SetBodyString("name=" + name)
}

// ratio runs both in turns and reports the median of a/b with its spread.
func ratio(b *testing.B, name string, first, second func() float64) {
	b.Helper()
	first()
	second() // both warm
	var ratios, rates []float64
	for range rounds {
		x, y := first(), second()
		ratios, rates = append(ratios, x/y), append(rates, x)
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[rounds/2], name)
	b.ReportMetric(ratios[0], name+"-min")
	b.ReportMetric(ratios[rounds-1], name+"-max")
	b.ReportMetric(rates[rounds/2], "req/s")
	b.ReportMetric(0, "ns/op") // the length of the benchmark says nothing
}

// answer is a response, to be sent again by the bare handler.
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
		case "Date", "Content-Length": // the server sets them anew
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
			app := latchkey(b)
			cookie := ""
			if visitor == "logged in" {
				cookie = app.signUp(b, "Ann")
			}
			page := app.answer(b, "/", cookie)
			if logged := bytes.Contains(page.Body, []byte("logged in as Ann.")); logged != (cookie != "") {
				b.Fatalf("the wrong page: %s", page.Body)
			}
			text, err := json.Marshal(page)
			if err != nil {
				b.Fatal(err)
			}
			bare := comparison(b, "bare", "LATCHKEY_BENCH_ANSWER="+string(text))
			if got := bare.answer(b, "/", cookie); !bytes.Equal(got.Body, page.Body) || len(got.Header) != len(page.Header) {
				b.Fatalf("the bare handler sends %v %s", got.Header, got.Body)
			}
			get := func(p *process) func() float64 {
				return func() float64 {
					return p.load(b, clients, turn, fasthttp.StatusOK, func(_, i int, r *fasthttp.Request) {
						if i == 0 {
							r.SetRequestURI("/")
							r.Header.Set("Cookie", cookie)
						}
					})
				}
			}
			ratio(b, "of-bare", get(app), get(bare))
		})
	}
}

// BenchmarkLogin compares lasting logins with the same step on the adapter's own
// Set. With --dev, because a password takes longer than everything else; each
// client has an account, which the first round makes.
func BenchmarkLogin(b *testing.B) {
	for _, n := range []int{1, 8, 64, 256} {
		b.Run("clients "+strconv.Itoa(n), func(b *testing.B) {
			login := func(p *process) func() float64 {
				return func() float64 {
					return p.load(b, n, turn, fasthttp.StatusSeeOther, func(client, _ int, r *fasthttp.Request) {
						prepareLogin(p.addr, fmt.Sprintf("n%d", client), r)
					})
				}
			}
			plain := comparison(b, "plain", "LATCHKEY_BENCH_DATABASE="+filepath.Join(b.TempDir(), "plain.db"))
			ratio(b, "of-plain-Set", login(latchkey(b, "--dev")), login(plain))
		})
	}
}

// BenchmarkStart reports what a process costs: the time from its start to the
// first page, its memory when idle after that, and the size of the binary.
func BenchmarkStart(b *testing.B) {
	var times []time.Duration
	var memory float64
	for range rounds {
		began := time.Now()
		app := latchkey(b)
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
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
