// Package customers says who calls: from a telephone number to the customer, with
// tier, account manager, team and language.
//
// Two homes keep customers: a CSV file (File) and a Redis (Redis). A Finder asks
// one of them for each call, and never costs a call more than its deadline: a
// home that is slow, gone or talks rubbish gives way to the cache and to the
// default tier.
package customers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"hotline/routing"
)

// Customer is what is known of one customer.
type Customer struct {
	ID      routing.CustomerID
	Name    string
	Tier    routing.Tier
	Manager routing.AgentID // the account manager, "" when there is none
	// Team stands behind the manager, Language is an ISO 639 code; "" when there
	// is none.
	Team, Language string
}

// Row is a customer with one of the numbers that the customer calls from.
type Row struct {
	Number string // E.164, such as "+8613800000001"
	Customer
}

// Directory is a home of customers. Its methods may be called from any goroutine.
type Directory interface {
	// Lookup returns who has that number (E.164). The error is ErrUnknown when
	// nobody has, ErrGarbage when what is kept there makes no sense, anything
	// else when the home couldn't be asked. It may block until ctx ends, and a
	// little longer.
	Lookup(ctx context.Context, number string) (Customer, error)
}

var (
	// ErrUnknown says that no customer has the number.
	ErrUnknown = errors.New("no customer has this number")
	// ErrGarbage says that what the home keeps is no customer.
	ErrGarbage = errors.New("no customer record")
)

// columns are the fields of a customer, as a CSV file and a Redis hash name them;
// number is the key in Redis.
var columns = []string{"number", "id", "name", "tier", "manager", "team", "language"}

// maxField bounds each field, in bytes.
const maxField = 200

var (
	numberForm   = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	wordForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
)

// customerOf makes a customer of fields by name. What ends up in SIP headers and
// logs must be clean here.
func customerOf(field func(name string) string) (Customer, error) {
	for _, name := range columns[1:] {
		if err := clean(field(name)); err != nil {
			return Customer{}, fmt.Errorf("%s %w", name, err)
		}
	}
	tier, err := routing.ParseTier(field("tier"))
	switch {
	case field("tier") == "":
		return Customer{}, errors.New("tier is missing; use A1, A2, B1, B2 or C")
	case err != nil:
		return Customer{}, fmt.Errorf("tier %q is none; use A1, A2, B1, B2 or C", field("tier"))
	}
	for _, name := range []string{"manager", "team"} {
		if s := field(name); s != "" && !wordForm.MatchString(s) {
			return Customer{}, fmt.Errorf("%s %q is no name; use letters, digits, '.', '_' and '-', at most 64", name, s)
		}
	}
	if s := field("language"); s != "" && !languageForm.MatchString(s) {
		return Customer{}, fmt.Errorf("language %q is none; use an ISO 639 code, such as zh or en", s)
	}
	return Customer{
		ID: routing.CustomerID(field("id")), Name: field("name"), Tier: tier,
		Manager: routing.AgentID(field("manager")), Team: field("team"), Language: field("language"),
	}, nil
}

func clean(s string) error {
	switch {
	case len(s) > maxField:
		return fmt.Errorf("is longer than %d bytes", maxField)
	case !utf8.ValidString(s):
		return errors.New("is no UTF-8; save the file as UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("holds a control character")
	}
	return nil
}

// fields are the values of a row in the order of columns.
func (r Row) fields() []string {
	return []string{r.Number, string(r.ID), r.Name, r.Tier.String(), string(r.Manager), r.Team, r.Language}
}
