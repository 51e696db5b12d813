package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"hotline/routing"
)

// A segment is text that less can read:
//
//	hotline-journal 1 first=21 lost=0
//	5d1b8c3e {"seq":21,"at":1790000000000000,"node":"n1","kind":"tick","event":{}}
//	...
//
// The first line has the format's version, the first entry's number and how
// many entries could not be written just before it. Each other line has the
// CRC-32C (Castagnoli) of the JSON, a space, the JSON and a newline.

const formatVersion = "hotline-journal 1"

// maxLine bounds an entry; a policy of ten thousand seats has about 2 MB.
const maxLine = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcDigits = 8

func appendLine(buf []byte, e routing.Entry) ([]byte, error) {
	start := len(buf)
	line, err := e.AppendJSON(append(buf, "00000000 "...))
	if err != nil {
		return line[:start], err
	}
	body := line[start+crcDigits+1:]
	if len(body) > maxLine-crcDigits-2 {
		return line[:start], fmt.Errorf("entry of %d bytes is too long; the limit is %d", len(body), maxLine)
	}
	crc := crc32.Checksum(body, castagnoli)
	for i := crcDigits - 1; i >= 0; i-- {
		line[start+i] = "0123456789abcdef"[crc&0xf]
		crc >>= 4
	}
	return append(line, '\n'), nil
}

var errNotWhole = errors.New("checksum and line do not belong together")

// checkLine returns the JSON of a line (given without its newline) that is whole.
func checkLine(line []byte) ([]byte, error) {
	if len(line) < crcDigits+1 || line[crcDigits] != ' ' {
		return nil, errNotWhole
	}
	want, err := strconv.ParseUint(string(line[:crcDigits]), 16, 32)
	body := line[crcDigits+1:]
	if err != nil || crc32.Checksum(body, castagnoli) != uint32(want) {
		return nil, errNotWhole
	}
	return body, nil
}

func parseLine(line []byte) (routing.Entry, error) {
	body, err := checkLine(line)
	if err != nil {
		return routing.Entry{}, err
	}
	var e routing.Entry
	err = json.Unmarshal(body, &e)
	return e, err
}

// header is the first line of a segment.
type header struct {
	first uint64 // number of the first entry
	lost  uint64 // entries that could not be written before it
}

func (h header) line() []byte {
	return fmt.Appendf(nil, "%s first=%d lost=%d\n", formatVersion, h.first, h.lost)
}

func parseHeader(line []byte) (header, error) {
	rest, ok := strings.CutPrefix(string(line), formatVersion+" ")
	if !ok {
		return header{}, fmt.Errorf("first line is %.40q, not %q; is it a journal of another version?", line, formatVersion)
	}
	var h header
	first, lost, ok := strings.Cut(rest, " ")
	a, err1 := strconv.ParseUint(strings.TrimPrefix(first, "first="), 10, 64)
	b, err2 := strconv.ParseUint(strings.TrimPrefix(lost, "lost="), 10, 64)
	h.first, h.lost = a, b
	if !ok || err1 != nil || err2 != nil || !bytes.Equal(append(bytes.Clone(line), '\n'), h.line()) {
		return header{}, fmt.Errorf("first line %.60q can't be read", line)
	}
	return h, nil
}
