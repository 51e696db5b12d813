package config

import (
	"os"
	"reflect"
	"strings"
	"time"
)

// setDefaults gives the fields of a struct the values of their tags "default".
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		text, given := field.Tag.Lookup("default")
		switch {
		case given && f.Kind() == reflect.Slice:
			for _, s := range strings.Split(text, ",") {
				f.Set(reflect.Append(f, reflect.ValueOf(s)))
			}
		case given && readers[f.Type()] != nil:
			value, err := readers[f.Type()](text)
			if err != nil {
				panic("config: default of " + field.Name + " " + err.Error())
			}
			f.Set(reflect.ValueOf(value))
		case given:
			f.SetString(text)
		case f.Kind() == reflect.Struct && !isScalar(f.Type()):
			setDefaults(f)
		}
	}
}

// setOwnDefaults gives the defaults that no tag can say.
func (c *Config) setOwnDefaults() {
	c.Node = "node"
	if host, err := os.Hostname(); err == nil && wordForm.MatchString(host) {
		c.Node = host
	}
	for t, target := range map[*Tier]time.Duration{
		&c.Tiers.A1: 10 * time.Second, &c.Tiers.A2: 10 * time.Second,
		&c.Tiers.B1: 20 * time.Second, &c.Tiers.B2: 20 * time.Second,
		&c.Tiers.C: 30 * time.Second,
	} {
		t.Target = target
	}
}
