package config

import "reflect"

// NeedsRestart names the fields that differ between two configurations and that
// a running server can't take over ("sip.listen", "tiers.A1.target"), in the
// order of the file. Everything else is taken over by a reload.
func NeedsRestart(old, new *Config) []string {
	return changed(reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem(), "")
}

func changed(a, b reflect.Value, path string) []string {
	var names []string
	for i := range a.NumField() {
		field := a.Type().Field(i)
		name := join(path, field.Tag.Get("yaml"))
		switch {
		case field.Tag.Get("restart") != "":
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				names = append(names, name)
			}
		case field.Type.Kind() == reflect.Struct && !isScalar(field.Type):
			names = append(names, changed(a.Field(i), b.Field(i), name)...)
		}
	}
	return names
}
