package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// AppendJSON appends to buf what MarshalJSON writes, in a fraction of its time:
// a journal writes every entry on the way to its decisions. On an error buf comes
// back as it was.
func (e Entry) AppendJSON(buf []byte) ([]byte, error) {
	if e.Event == nil {
		return buf, errors.New("journal entry has no event")
	}
	kind := e.Event.Kind()
	body, err := json.Marshal(e.Event)
	if err != nil {
		return buf, fmt.Errorf("write event %s: %w", kind, err)
	}
	buf = append(buf, `{"seq":`...)
	buf = strconv.AppendUint(buf, e.Seq, 10)
	buf = append(buf, `,"at":`...)
	buf = strconv.AppendInt(buf, int64(e.At), 10)
	buf = append(buf, `,"node":`...)
	buf = appendText(buf, e.Node)
	buf = append(buf, `,"kind":`...)
	buf = appendText(buf, kind)
	buf = append(buf, `,"event":`...)
	buf = append(buf, body...)
	return append(buf, '}'), nil
}

// appendText writes a JSON string as encoding/json does.
func appendText(buf []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			quoted, _ := json.Marshal(s) // a string always has one
			return append(buf, quoted...)
		}
	}
	buf = append(buf, '"')
	buf = append(buf, s...)
	return append(buf, '"')
}
