package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"hotline/ivr"
	"hotline/routing"
)

var (
	flowsType    = reflect.TypeFor[map[string]*ivr.Flow]()
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	intType      = reflect.TypeFor[int]()
	boolType     = reflect.TypeFor[bool]()
	configType   = reflect.TypeFor[Config]()
)

// readers read the types that are more than text. Each returns what is wrong in
// a few words.
var readers = map[reflect.Type]func(string) (any, error){
	intType:                           func(s string) (any, error) { return readInt(s) },
	boolType:                          func(s string) (any, error) { return readBool(s) },
	durationType:                      func(s string) (any, error) { return readDuration(s) },
	reflect.TypeFor[float64]():        func(s string) (any, error) { return readNumber(s) },
	reflect.TypeFor[Times]():          func(s string) (any, error) { return readTimes(s) },
	reflect.TypeFor[Hours]():          func(s string) (any, error) { return readHours(s) },
	reflect.TypeFor[Size]():           func(s string) (any, error) { return readSize(s) },
	reflect.TypeFor[Ports]():          func(s string) (any, error) { return readPorts(s) },
	reflect.TypeFor[netip.Addr]():     func(s string) (any, error) { return readAddr(s) },
	reflect.TypeFor[netip.AddrPort](): func(s string) (any, error) { return readAddrPort(s) },
	reflect.TypeFor[netip.Prefix]():   func(s string) (any, error) { return readPrefix(s) },
	reflect.TypeFor[routing.Tier]():   func(s string) (any, error) { return readTier(s) },
}

// examples are hints by type.
var examples = map[string]string{
	"int":            "write a whole number, such as 100",
	"bool":           "write true or false",
	"time.Duration":  "write a number and a unit, such as 500ms, 15s, 5m or 1h",
	"float64":        "write a number, such as 120 or 0.5",
	"config.Times":   "write constant 5s, exponential 180s, lognormal 180s 1.2 (mean, squared coefficient of variation), erlang 2 180s, empirical 60s 90s ..., or never",
	"config.Hours":   `write "Mon-Fri 09:00-18:00", "Sat 22:00-06:00" or "Sun"`,
	"config.Size":    "write a number and a unit, such as 512KiB, 64MiB or 1GiB",
	"config.Ports":   `write the first and the last port, such as "20000-29999"`,
	"netip.Addr":     "write an IP address, such as 192.0.2.10",
	"netip.AddrPort": `write an IP address and a port, such as "192.0.2.10:5060"`,
	"netip.Prefix":   "write an IP address or a network, such as 192.0.2.10 or 192.0.2.0/24",
	"routing.Tier":   "use A1, A2, B1, B2 or C",
	"string":         "write a text",
	"config.Secret":  "write a text, or ${NAME} to take it from the environment",
}

func isScalar(t reflect.Type) bool {
	_, ok := readers[t]
	return ok || t.Kind() == reflect.String
}

// sample stands for an element in a hint.
func sample(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Struct && !isScalar(t):
		return "{" + fieldNames(t)[0] + ": ...}"
	case t == reflect.TypeFor[netip.Prefix]():
		return "192.0.2.0/24"
	default:
		return "one"
	}
}

func (d *decoder) scalar(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	text, literal, ok := d.text(node, path)
	if !ok {
		if !d.bad[path] {
			d.broken(path, start(node), examples[v.Type().String()], "%s must be one value, not %s", last(path), kind(node))
		}
		return
	}
	if err := d.read(node, v, text, literal); err != nil {
		shown := " " + quote(text)
		if v.Type() == secretType {
			shown = ""
		}
		hint := examples[v.Type().String()]
		if v.Kind() == reflect.String && readers[v.Type()] == nil {
			hint = `put it in quotes: "` + text + `"`
			if shown == "" {
				hint = "put it in quotes"
			}
		}
		d.broken(path, start(node), hint, "%s%s %s", last(path), shown, err)
		return
	}
	if what, hint := outOfRange(v, text, tag); what != "" {
		d.broken(path, start(node), hint, "%s %s", last(path), what)
	}
}

// read sets v to text. A number without quotes is no text: YAML would have
// dropped leading zeros and a plus sign. What comes from the environment has no
// quotes and no type.
func (d *decoder) read(node ast.Node, v reflect.Value, text string, literal bool) error {
	if reader := readers[v.Type()]; reader != nil {
		if literal && node.GetToken() != nil && isQuoted(node) && (v.Type() == intType || v.Type() == boolType) {
			return errors.New("is a text, because of its quotes")
		}
		value, err := reader(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(value))
		return nil
	}
	if _, isText := node.(*ast.StringNode); !isText {
		if _, isText := node.(*ast.LiteralNode); !isText {
			return fmt.Errorf("is %s, not a text", kind(node))
		}
	}
	v.SetString(text)
	return nil
}

func isQuoted(node ast.Node) bool {
	origin := strings.TrimSpace(node.GetToken().Origin)
	return strings.HasPrefix(origin, `"`) || strings.HasPrefix(origin, "'")
}

func readInt(s string) (int, error) {
	n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil {
		return 0, errors.New("is no whole number")
	}
	return n, nil
}

func readBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("is neither true nor false")
}

func readDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.Atoi(s); err == nil {
		return 0, errors.New("has no unit")
	}
	return 0, errors.New("is no duration")
}

func readSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "KMGTiB ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errors.New("is no size")
	}
	var shift uint
	switch strings.TrimSpace(s[len(digits):]) {
	case "B":
	case "KiB":
		shift = 10
	case "MiB":
		shift = 20
	case "GiB":
		shift = 30
	case "":
		return 0, errors.New("has no unit")
	default:
		return 0, errors.New("has an unknown unit")
	}
	if n < 0 || n > math.MaxInt64>>shift {
		return 0, errors.New("is no size")
	}
	return Size(n << shift), nil
}

// readPorts reads a range of ports; nothing is none.
func readPorts(s string) (Ports, error) {
	if s == "" {
		return Ports{}, nil
	}
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		return Ports{}, errors.New("is no range of ports")
	}
	first, err := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	switch {
	case err != nil || err2 != nil:
		return Ports{}, errors.New("is no range of ports from 1 to 65535")
	case first == 0:
		return Ports{}, errors.New("begins at port 0")
	case first > last:
		return Ports{}, errors.New("ends before it begins")
	case first+first%2+1 > last:
		return Ports{}, errors.New("holds no pair of an even port and the next")
	}
	return Ports{uint16(first), uint16(last)}, nil
}

// readAddr reads an IP address; nothing is none.
func readAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("is no IP address")
	}
	return a.Unmap(), nil
}

func readAddrPort(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err == nil && a.Addr().Zone() == "" {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPort{}, errors.New("has no port")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, errors.New("is no IP address and port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return netip.AddrPort{}, errors.New("has no port from 0 to 65535")
	}
	if host == "" {
		return netip.AddrPort{}, errors.New("has no IP address")
	}
	return netip.AddrPort{}, errors.New("has a name in place of an IP address")
}

func readPrefix(s string) (netip.Prefix, error) {
	if a, err := readAddr(s); err == nil && a.IsValid() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("is neither an IP address nor a network")
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("is no network: its first address is %s", p.Masked())
	}
	return p, nil
}

func readTier(s string) (routing.Tier, error) {
	t, err := routing.ParseTier(s)
	if err != nil {
		return t, errors.New("is no tier")
	}
	return t, nil
}

var (
	wordForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	codeForm     = regexp.MustCompile(`^[0-9*#]{1,16}$`)
	languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
)

// outOfRange checks a value against the tags of its field.
func outOfRange(v reflect.Value, text string, tag reflect.StructTag) (what, hint string) {
	if v.Kind() == reflect.String {
		return badText(v.String(), tag)
	}
	low, high := tag.Get("min"), tag.Get("max")
	reader := readers[v.Type()]
	if low == "" || reader == nil {
		return "", ""
	}
	least, _ := reader(low)
	most, _ := reader(high)
	if n := v.Int(); n < reflect.ValueOf(least).Int() || n > reflect.ValueOf(most).Int() {
		return quote(text) + " is out of range", fmt.Sprintf("use %s to %s", low, high)
	}
	return "", ""
}

func badText(s string, tag reflect.StructTag) (what, hint string) {
	if names := tag.Get("oneof"); names != "" {
		known := strings.Split(names, "|")
		for _, k := range known {
			if s == k {
				return "", ""
			}
		}
		return "can't be " + quote(s), "use " + oneOf(known)
	}
	switch {
	case strings.ContainsAny(s, "\x00\r\n"):
		return "has more than one line", "write it in one line"
	case s == "":
		return "", ""
	case tag.Get("word") != "" && !wordForm.MatchString(s):
		return quote(s) + " is no name", "use letters, digits, '.', '_' and '-', at most 64"
	case tag.Get("code") != "" && !codeForm.MatchString(s):
		return quote(s) + " can't be dialled", `use digits, * and #, such as "*1"`
	case tag.Get("language") != "" && !languageForm.MatchString(s):
		return quote(s) + " is no language", "use an ISO 639 code, such as zh or en"
	case tag.Get("hostport") != "" && !isHostPort(s):
		return quote(s) + " is no address", "write host:port, such as 127.0.0.1:6379"
	}
	return "", ""
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	return err == nil && err2 == nil && n > 0 && isHost(host)
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	// Digits and dots only would be an IP address that is wrong.
	return len(s) <= 253 && hostForm.MatchString(s) && strings.Trim(s, "0123456789.") != ""
}
