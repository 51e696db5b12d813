package routing

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told says of each text of an event whether an export hides it.
var told = map[string]bool{
	"CallArrived.Number": true, "CallArrived.Diversions": true, "CallIdentified.Customer": true,

	"CallArrived.Call": false, "CallArrived.DID": false, "CallArrived.Trunk": false, "CallArrived.Attestation": false,
	"CallAnswered.Call": false, "CallEnded.Call": false, "CallEnded.Cause": false,
	"CallIdentified.Call": false, "CallIdentified.Manager": false, "CallIdentified.Team": false,
	"CallIdentified.Language": false, "CallIdentified.Source": false,
	"CallQueued.Call": false, "CallQueued.Queue": false, "CallQueued.Language": false,
	"SeatRegistered.Seat": false, "SeatUnregistered.Seat": false, "SeatFreed.Seat": false, "WrapUpEnded.Seat": false, "WrapUpExtended.Seat": false,
	"AgentStatusChanged.Agent": false, "AgentStatusChanged.Status": false, "AgentStatusChanged.Reason": false,
	"OfferRinging.Call": false, "OfferRinging.Seat": false, "OfferAnswered.Call": false, "OfferAnswered.Seat": false,
	"OfferFailed.Call": false, "OfferFailed.Seat": false, "OfferFailed.Cause": false,
	"TalkStarted.Call": false, "TalkStarted.Seat": false, "HoldChanged.Call": false,
	"CallTaken.Call": false, "CallTaken.Seat": false, "CallForwarded.Call": false, "CallForwarded.To": false, "OwnCallChanged.Seat": false,
	"CallRequeued.Call": false, "CallRequeued.Queue": false,
	"Estimated.Queue": false, "Estimated.Tiers": false,
}

// TestRedactKnowsEveryField fails when an event gets a new text: say in
// redact.go and here whether it tells who called.
func TestRedactKnowsEveryField(t *testing.T) {
	mark := func(kind, value string) string { return "hidden " + kind + " " + value }
	for kind, decode := range decoders {
		ev, err := decode([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if kind == (PolicyChanged{}).Kind() {
			continue // it knows no callers
		}
		typ := reflect.TypeOf(ev)
		filled := reflect.New(typ).Elem()
		for i := range typ.NumField() {
			switch f := typ.Field(i); f.Type.Kind() {
			case reflect.String:
				filled.Field(i).SetString("x")
			case reflect.Bool, reflect.Uint64, reflect.Uint8, reflect.Int64, reflect.Int:
			default:
				if _, ok := told[typ.Name()+"."+f.Name]; !ok {
					t.Errorf("%s.%s is new and no text: teach Redact and this test about it", typ.Name(), f.Name)
				}
			}
		}
		out := reflect.ValueOf(Redact(filled.Interface().(Event), mark))
		for i := range typ.NumField() {
			if typ.Field(i).Type.Kind() != reflect.String {
				continue
			}
			name := typ.Name() + "." + typ.Field(i).Name
			hide, ok := told[name]
			if !ok {
				t.Errorf("%s is new: does it tell who called? Say so here and in redact.go", name)
			}
			if got := strings.HasPrefix(out.Field(i).String(), "hidden "); ok && got != hide {
				t.Errorf("%s: hidden %t, want %t", name, got, hide)
			}
		}
	}
}

// fill puts a text into every text field, and one element into every list.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("plain")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// wantHidden looks for fields by their names; it doesn't look into lists within
// lists, whose names must not be of callers.
func wantHidden(t *testing.T, path string, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		caller := strings.Contains(name, "Number") || strings.Contains(name, "Customer") || name == "ANI"
		switch {
		case f.Kind() == reflect.Slice && (path == "" || name == "Diversions"):
			wantHidden(t, path+"."+name, f.Index(0))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Type().Elem().NumField() {
				if n := f.Type().Elem().Field(j).Name; n == "Number" || n == "Customer" {
					t.Errorf("%s.%s.%s is in a list that Redact shares with the state", path, name, n)
				}
			}
		case f.Kind() == reflect.Struct:
			wantHidden(t, path+"."+name, f)
		case f.Kind() == reflect.String && (f.String() == "hidden") != caller:
			t.Errorf("%s.%s is %s", path, name, f)
		}
	}
}

func TestRedactHidesAllOfASnapshot(t *testing.T) {
	f := New().Freeze()
	fill(reflect.ValueOf(&f.wire).Elem())
	f.Redact(func(string, string) string { return "hidden" })
	wantHidden(t, "", reflect.ValueOf(f.wire))
}

// Whom a call was diverted from is hidden like who calls, in a list of its own: the
// event's belongs to a state.
func TestRedactHidesDiversions(t *testing.T) {
	ev := CallArrived{Call: "c1", Number: "+8613800000000", Diversions: []Diversion{{"+8613899999999", "no-answer"}, {"+8613800000000", "unknown"}, {"", "unknown"}}}
	got := Redact(ev, func(kind, value string) string { return kind + "?" + value[len(value)-1:] }).(CallArrived)
	want := []Diversion{{"number?9", "no-answer"}, {"number?0", "unknown"}, {"", "unknown"}}
	if diff := cmp.Diff(want, got.Diversions); diff != "" || got.Number != got.Diversions[1].Number {
		t.Errorf("number %s: %s", got.Number, diff)
	}
	if ev.Diversions[0].Number != "+8613899999999" {
		t.Errorf("the event itself has %v now", ev.Diversions)
	}
}

func TestRedactAState(t *testing.T) {
	s := busyState(t)
	f := s.Freeze()
	f.Redact(func(kind, value string) string { return kind + "?" })
	data, err := f.Encode()
	if err != nil || strings.Contains(string(data), "138") || strings.Contains(string(data), `"k1"`) {
		t.Errorf("error %v, %s", err, data)
	}
	if c, _ := s.Call("waiting"); c.Customer != "k1" {
		t.Errorf("the state itself has customer %s", c.Customer)
	} else if c.Diversions[0].Number != "+8613899999999" {
		t.Errorf("the state itself has %v", c.Diversions)
	}
	back, err := Restore(data)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := back.Call("waiting"); c.Customer != "customer?" || c.Number != "" || c.Diversions[0] != (Diversion{"number?", "no-answer"}) || c.Attestation != "A" {
		t.Errorf("%+v", c)
	}
}
