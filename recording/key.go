package recording

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Key is a secret of 32 bytes that recordings are encrypted with: each file with a key of
// its own, made from this one and a random salt.
type Key struct {
	secret []byte
	// ID is the beginning of a hash of the key, 16 hexadecimal digits; it stands in each file.
	ID string
}

// String gives the key's ID, not the key.
func (k *Key) String() string { return "key " + k.ID }

// GoString gives the key's ID, not the key.
func (k *Key) GoString() string { return k.String() }

// ParseKey reads a key: 64 hexadecimal digits, as openssl rand -hex 32 gives them.
func ParseKey(text string) (*Key, error) {
	secret, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != 32 {
		return nil, errors.New("no key: it must be 64 hexadecimal digits")
	}
	sum := sha256.Sum256(append([]byte("hotline recording key "), secret...))
	return &Key{secret, hex.EncodeToString(sum[:8])}, nil
}

// ReadKey reads a file with a key in it.
func ReadKey(path string) (*Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key of recordings: %w", err)
	}
	k, err := ParseKey(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// of makes the key of one file.
func (k *Key) of(salt []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, salt, "hotline recording file", 32)
}
