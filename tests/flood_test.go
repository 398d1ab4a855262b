package tests

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ASVS 15.2.2, 2.4.1: two hundred who log in at once cost a bounded amount of memory. Those whose turn does not come
// in time are told when to try again, and pages come at once meanwhile. ASVS 15.4.4: costly work starves no other.
func TestManyPasswordsAtOnce(t *testing.T) {
	onlyInAll(t)
	s := start(t)
	s.signUp("Ada")
	reader := s.login("Ada")
	const logins = 200
	answers := make(chan *page, logins)
	for i := range logins {
		// Four to a network, and each a name of its own, so that only the queue refuses.
		c := s.clientFrom(fmt.Sprintf("127.2.%d.%d", i/4, 1+i%4))
		c.mayBeBusy = true
		name := fmt.Sprint("Name ", i)
		if i%50 == 0 {
			name = "Ada"
		}
		go func() {
			p := c.post("/login", url.Values{"name": {name}, "password": {password}})
			if p.status == http.StatusSeeOther && name != "Ada" {
				t.Errorf("%s logged in", name)
			}
			answers <- p
		}()
	}
	statuses, slowest, pages := map[int]int{}, time.Duration(0), 0
	for done := 0; done < logins; {
		select {
		case p := <-answers:
			done++
			statuses[p.status]++
			if p.status != http.StatusServiceUnavailable {
				continue
			}
			if seconds, err := strconv.Atoi(p.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
				t.Errorf("Retry-After %q", p.header.Get("Retry-After"))
			}
			if p.alert() == "" || p.form("/login").values.Get("name") == "" || len(p.header.Values("Set-Cookie")) > 0 {
				t.Errorf("the page says %q", p.alert())
			}
		default:
			begun := time.Now()
			reader.mustBe("Ada")
			slowest = max(slowest, time.Since(begun))
			pages++
		}
	}
	t.Logf("%d logins at once: %v; %d pages meanwhile, the slowest after %s", logins, statuses, pages, slowest)
	if n := statuses[http.StatusSeeOther] + statuses[http.StatusUnauthorized] + statuses[http.StatusServiceUnavailable]; n != logins {
		t.Errorf("statuses %v", statuses)
	}
	if statuses[http.StatusServiceUnavailable] == 0 || statuses[http.StatusUnauthorized] == 0 {
		t.Errorf("the flood was too small to show anything: %v", statuses)
	}
	// Without the queue they would wait for all the hashes, some seven seconds.
	if slowest > 2*time.Second {
		t.Errorf("a page took %s", slowest)
	}
	if peak, ok := s.peakMemory(); !ok {
		t.Log("this system does not tell the peak of memory")
	} else if t.Logf("peak of memory: %d MiB", peak>>20); peak > 150<<20 {
		t.Errorf("the peak of memory is %d MiB", peak>>20)
	}
	// It is over when it is over.
	s.clientFrom(s.nextNetwork()).tryLogin("Ada", password).expect(http.StatusSeeOther)
}

// peakMemory reads the most memory that the process has had resident, in bytes. Only Linux tells.
func (s *server) peakMemory() (bytes int, ok bool) {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10, true
}
