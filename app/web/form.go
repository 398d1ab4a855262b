package web

import (
	"bytes"
	"errors"
	"reflect"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
)

// input is a form field whose value is shown again when the form is refused.
type input struct {
	Value string
	Error string // why it was refused, or empty
	Focus bool   // the browser puts the cursor here
}

// secret is a form field whose value is never shown again: views cannot access it.
type secret struct {
	value string
	Error string
	Focus bool
}

// refused is embedded in every form. Views show Refusal above the fields.
type refused struct{ Refusal string }

func (r *refused) top() *string { return &r.Refusal }

// A page names its form Form instead of embedding it, so that a field of the form may
// be called like one of Page: {{.Form.Title.Value}}.

// decode reads the body, and nothing but the body, into F. The fields of F are
// input, secret, string or []string, each with the tag `form` for its name:
//
//	type loginForm struct {
//		refused
//		Name     input  `form:"name"`
//		Password secret `form:"password"`
//		Next     string `form:"next"`
//	}
//
// An unknown field gets 400 (OWASP ASVS 15.3.3). So does a field sent twice, unless it
// is a []string, to prevent parameter pollution (OWASP ASVS 15.3.7). The values are
// copies. Invalid UTF-8 yields an *accounts.Error for the field; the value in F then has
// U+FFFD in its place, so that the form can be shown again.
func decode[F any](c *fiber.Ctx) (F, error) {
	var args fasthttp.Args // the request's own are read only if the type is in lower case
	args.ParseBytes(c.Request().Body())
	return decodeArgs[F](c, &args)
}

func decodeArgs[F any](c *fiber.Ctx, args *fasthttp.Args) (form F, err error) {
	kind, _, _ := bytes.Cut(c.Request().Header.ContentType(), []byte(";"))
	if !bytes.EqualFold(bytes.TrimSpace(kind), []byte(fiber.MIMEApplicationForm)) {
		return form, &Refusal{Status: fiber.StatusBadRequest, Message: "This address takes a form only."}
	}
	fields := fieldsOf(&form)
	seen := map[string]bool{}
	for key, sent := range args.All() {
		name, value := string(key), string(sent)
		f, ok := fields.find(func(f formField) bool { return f.name == name })
		if !ok {
			return form, &Refusal{Status: fiber.StatusBadRequest, Message: "The form has a field that this page does not know."}
		}
		if _, list := f.target.(*[]string); seen[name] && !list {
			return form, &Refusal{Status: fiber.StatusBadRequest, Message: "The form has a field twice."}
		}
		seen[name] = true
		if !utf8.ValidString(value) {
			err = errors.Join(err, &accounts.Error{Kind: accounts.Invalid, Field: f.rule, Message: f.label + " is not valid text."})
			value = validUTF8(value)
		}
		switch target := f.target.(type) {
		case *input:
			target.Value = value
		case *secret:
			target.value = value
		case *string:
			*target = value
		case *[]string:
			*target = append(*target, value)
		}
	}
	return form, err
}

// formField is a field of a form.
type formField struct {
	name   string // in the request
	rule   string // what accounts.Error.Field calls it: the tag `error`, or the name
	label  string // begins a sentence
	target any    // a pointer to its value
}

type formFields []formField

func (fs formFields) find(is func(formField) bool) (formField, bool) {
	for _, f := range fs {
		if is(f) {
			return f, true
		}
	}
	return formField{}, false
}

// fieldsOf lists the fields of a form in order. It panics if decode does not support
// the type of a field.
func fieldsOf(form any) (fields formFields) {
	v := reflect.ValueOf(form).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name := tag.Get("form")
		if name == "" {
			continue
		}
		f := formField{name: name, rule: name, label: "The field", target: v.Field(i).Addr().Interface()}
		if rule := tag.Get("error"); rule != "" {
			f.rule = rule
		}
		switch f.target.(type) {
		case *input, *string, *[]string:
		case *secret:
			f.label = "The password"
		default:
			panic("web: a form with a " + v.Field(i).Type().String())
		}
		fields = append(fields, f)
	}
	return fields
}

// setRefusal puts the messages in err beside their fields, or above the form if they
// have none, and sets the status and Retry-After. It focuses the first invalid field, or
// else the first field. It returns any error that is not a refusal.
func setRefusal(c *fiber.Ctx, form interface{ top() *string }, err error) error {
	reasons := refusals(err)
	if len(reasons) == 0 {
		return err
	}
	fields := fieldsOf(form)
	wrong := 0
	for _, reason := range reasons {
		f, ok := fields.find(func(f formField) bool { return f.rule == reason.Field })
		switch target := f.target.(type) {
		case *input:
			target.Error = reason.Message
			wrong++
		case *secret:
			target.Error = reason.Message
			wrong++
		default:
			ok = false
		}
		if !ok {
			*form.top() = reason.Message
		}
	}
	if wrong > 1 && *form.top() == "" {
		*form.top() = "Please look at the marked fields again."
	}
	setFocus(fields, wrong > 0)
	setRetryAfter(c, reasons[0].RetryAfter)
	c.Status(statuses[reasons[0].Kind])
	return nil
}

// setFocus focuses the first field, or the first invalid one if wrong is set.
func setFocus(fields formFields, wrong bool) {
	for _, f := range fields {
		switch target := f.target.(type) {
		case *input:
			target.Focus = !wrong || target.Error != ""
			if target.Focus {
				return
			}
		case *secret:
			target.Focus = !wrong || target.Error != ""
			if target.Focus {
				return
			}
		}
	}
}

// refusals returns the refusals in a tree of errors, in their order.
func refusals(err error) (found []*accounts.Error) {
	switch e := err.(type) {
	case *accounts.Error:
		return []*accounts.Error{e}
	case interface{ Unwrap() error }:
		return refusals(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = append(found, refusals(one)...)
		}
	}
	return found
}
