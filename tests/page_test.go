package tests

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// page is one answer, read as a person reads it.
type page struct {
	client       *client
	method, path string
	status       int
	header       http.Header
	body         string
	root         *html.Node
}

func (p *page) String() string { return fmt.Sprintf("%s %q", p.method, p.path) }

func (p *page) expect(status int) *page {
	p.client.t.Helper()
	if p.status != status {
		p.client.t.Fatalf("%s: status %d, not %d\n%s", p, p.status, status, p.text())
	}
	return p
}

// shows wants each text to be seen on the page, however it is marked up.
func (p *page) shows(texts ...string) *page {
	p.client.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.client.t.Errorf("%s does not show %q but:\n%s", p, text, p.text())
		}
	}
	return p
}

// hides wants none of the texts on the page.
func (p *page) hides(texts ...string) *page {
	p.client.t.Helper()
	for _, text := range texts {
		if strings.Contains(p.text(), text) {
			p.client.t.Errorf("%s shows %q:\n%s", p, text, p.text())
		}
	}
	return p
}

// account gives the name of who is logged in, by the page's own marker, or "" for nobody.
func (p *page) account() string {
	p.client.t.Helper()
	return attribute(one(p.html(), "body"), "data-account")
}

// is wants a page of whoever has that name; "" is nobody.
func (p *page) is(name string) *page {
	p.client.t.Helper()
	if have := p.account(); have != name {
		p.client.t.Errorf("%s is a page of %q, not of %q:\n%s", p, have, name, p.text())
	}
	return p
}

// flash gives the sentence that a page shows once, after a redirect.
func (p *page) flash() string {
	p.client.t.Helper()
	for _, n := range all(p.html(), "") {
		if attribute(n, "role") == "status" {
			return textOf(n)
		}
	}
	return ""
}

// follow goes where a redirect leads, which must be on this site.
func (p *page) follow() *page {
	p.client.t.Helper()
	to := p.header.Get("Location")
	if !strings.HasPrefix(to, "/") {
		p.client.t.Fatalf("%s: leads to %q", p, to)
	}
	return p.client.send(request{method: http.MethodGet, path: to, header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
}

func (p *page) html() *html.Node {
	p.client.t.Helper()
	if p.root == nil {
		root, err := html.Parse(strings.NewReader(p.body))
		if err != nil {
			p.client.t.Fatalf("%s: %v", p, err)
		}
		p.root = root
	}
	return p.root
}

// text gives what the body shows, in one line.
func (p *page) text() string {
	p.client.t.Helper()
	return textOf(one(p.html(), "body"))
}

func (p *page) title() string {
	p.client.t.Helper()
	return textOf(one(p.html(), "title"))
}

// alert gives the sentence that tells why a form came back.
func (p *page) alert() string {
	p.client.t.Helper()
	for _, n := range all(p.html(), "") {
		if attribute(n, "role") == "alert" {
			return textOf(n)
		}
	}
	return ""
}

// link gives the address, with its query, of the first link to a path.
func (p *page) link(path string) string {
	p.client.t.Helper()
	for _, n := range all(p.html(), "a") {
		if to := attribute(n, "href"); to == path || strings.HasPrefix(to, path+"?") {
			return to
		}
	}
	p.client.t.Fatalf("%s has no link to %s:\n%s", p, path, p.text())
	return ""
}

// leadsTo tells whether the page has a link to a path, or a form that is sent there.
func (p *page) leadsTo(path string) bool {
	p.client.t.Helper()
	for _, n := range all(p.html(), "") {
		if attribute(n, "href") == path || attribute(n, "action") == path {
			return true
		}
	}
	return false
}

// loads gives the address of everything a browser fetches to show the page.
func (p *page) loads() []string {
	p.client.t.Helper()
	var found []string
	for _, n := range all(p.html(), "") {
		address := attribute(n, "src")
		if n.Data == "link" {
			address = attribute(n, "href")
		}
		if address != "" {
			found = append(found, address)
		}
	}
	return found
}

// form is a form of a page, filled with what the page put into it.
type form struct {
	page   *page
	node   *html.Node
	values url.Values
}

// form finds the form that is sent to a path.
func (p *page) form(action string) *form {
	p.client.t.Helper()
	for _, n := range all(p.html(), "form") {
		if attribute(n, "action") != action {
			continue
		}
		f := &form{page: p, node: n, values: url.Values{}}
		for _, input := range all(n, "input") {
			f.values.Set(attribute(input, "name"), attribute(input, "value"))
		}
		if b := one(n, "button"); attribute(b, "name") != "" {
			f.values.Set(attribute(b, "name"), attribute(b, "value"))
		}
		f.values.Del("")
		return f
	}
	p.client.t.Fatalf("%s has no form for %s:\n%s", p, action, p.body)
	return nil
}

// fill types into a field, which must be there.
func (f *form) fill(name, value string) *form {
	f.page.client.t.Helper()
	if _, ok := f.values[name]; !ok {
		f.page.client.t.Fatalf("%s: the form has no field %q", f.page, name)
	}
	f.values.Set(name, value)
	return f
}

// submit sends the form as a browser does and gives the answer, before any redirect.
func (f *form) submit() *page {
	f.page.client.t.Helper()
	if method := attribute(f.node, "method"); !strings.EqualFold(method, "post") {
		f.page.client.t.Fatalf("%s: the form's method is %q", f.page, method)
	}
	action := attribute(f.node, "action")
	if action == "" {
		action = f.page.path
	}
	return f.page.client.post(action, f.values)
}

// all gives the elements below a node that have a tag, in the page's order; every element for the tag "".
func all(n *html.Node, tag string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && (tag == "" || d.Data == tag) {
			found = append(found, d)
		}
	}
	return found
}

// one gives the first element with a tag, or an empty one.
func one(n *html.Node, tag string) *html.Node {
	if found := all(n, tag); len(found) > 0 {
		return found[0]
	}
	return &html.Node{}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// textOf gives the text of a node in one line. Elements that stand in a line of text add no space.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode && d.Parent.Data != "script" && d.Parent.Data != "style":
			b.WriteString(d.Data)
		case d.Type == html.ElementNode && !inline[d.Data]:
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

var inline = map[string]bool{"a": true, "b": true, "bdi": true, "code": true, "em": true, "i": true, "small": true, "span": true, "strong": true}
