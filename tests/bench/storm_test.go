package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	stormers = 200
	storm    = 10 * time.Second
)

// BenchmarkPasswordStorm measures how long pages take during 200 concurrent
// logins with a wrong password, compared with no logins, and the peak memory of
// the process.
func BenchmarkPasswordStorm(b *testing.B) {
	app := latchkey(b, nil, "--trusted-proxies=127.0.0.1")
	cookie := app.signUp(b, "Ann")
	calm := app.times(b, storm/2, cookie)

	stop := make(chan struct{})
	var stormed sync.WaitGroup
	statuses := make([]map[int]int, stormers)
	for i := range stormers {
		statuses[i] = map[int]int{}
		stormed.Go(func() {
			request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				preparePost(app.addr, "/login", fmt.Sprintf("name=n%d.%d&password=wrong", i, n), request)
				// Each from another network, so that they are not throttled.
				request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", i, n%250))
				if err := app.client.Do(request, response); err != nil {
					b.Error(err)
					return
				}
				statuses[i][response.StatusCode()]++
			}
		})
	}
	stormy := app.times(b, storm, cookie)
	close(stop)
	stormed.Wait()
	all := map[int]int{}
	for _, counts := range statuses {
		for status, n := range counts {
			all[status] += n
		}
	}
	b.Logf("answers to the storm: %v", all)
	b.ReportMetric(quantile(stormy, .99)/quantile(calm, .99), "p99-of-calm")
	b.ReportMetric(quantile(stormy, .99)*1000, "ms-p99")
	b.ReportMetric(peakMiB(b, app.cmd.Process.Pid), "MiB-peak")
	b.ReportMetric(0, "ns/op")
}

// times requests the start page over four connections for d and returns the
// sorted durations in seconds.
func (p *process) times(b *testing.B, d time.Duration, cookie string) []float64 {
	b.Helper()
	const connections = 4
	var mu sync.Mutex
	var all []float64
	var done sync.WaitGroup
	began := time.Now()
	for range connections {
		done.Go(func() {
			request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			request.SetRequestURI("/")
			request.Header.SetHost(p.addr)
			request.Header.Set("Cookie", cookie)
			var mine []float64
			for time.Since(began) < d {
				sent := time.Now()
				if err := p.client.Do(request, response); err != nil || response.StatusCode() != fasthttp.StatusOK {
					b.Errorf("status %d, %v", response.StatusCode(), err)
					return
				}
				mine = append(mine, time.Since(sent).Seconds())
				time.Sleep(time.Millisecond) // like a visitor, not a flood
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	done.Wait()
	slices.Sort(all)
	return all
}

// quantile returns the q-th of sorted values.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// peakMiB returns the peak resident memory of the process.
func peakMiB(b *testing.B, pid int) float64 {
	b.Helper()
	return statusMiB(b, pid, "VmHWM:")
}

func statusMiB(b *testing.B, pid int, line string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), line)
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// BenchmarkFirstVisit counts the bytes on the wire of a first visit: the start
// page and everything it loads, with headers.
func BenchmarkFirstVisit(b *testing.B) {
	app := latchkey(b, nil)
	total := 0
	fetch := func(path string) string {
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURI(path)
		request.Header.SetHost(app.addr)
		request.Header.Set("Accept-Encoding", "gzip, deflate, br")
		if err := app.client.Do(request, response); err != nil || response.StatusCode() != fasthttp.StatusOK {
			b.Fatalf("%s: %d, %v", path, response.StatusCode(), err)
		}
		total += len(response.Header.Header()) + len(response.Body())
		body, err := response.BodyUncompressed()
		if err != nil {
			b.Fatal(err)
		}
		return string(body)
	}
	files := map[string]bool{}
	for _, part := range strings.Split(fetch("/"), `"`) {
		if strings.HasPrefix(part, "/public/") {
			files[part] = true
		}
	}
	for path := range files {
		fetch(path)
	}
	b.ReportMetric(float64(total)/1024, "KiB")
	b.ReportMetric(float64(len(files)+1), "requests")
	b.ReportMetric(0, "ns/op")
}
