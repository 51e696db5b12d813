package recording

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Options say where an S3 store is.
type S3Options struct {
	// Endpoint is host:port, or a host. Bucket must be there. Prefix stands before all keys.
	Endpoint, Bucket, Prefix string
	// Region of the bucket; "" asks the store.
	Region string
	// AccessKey and SecretKey; both "" for a store that asks for none.
	AccessKey, SecretKey string
	// TLS encrypts the connection.
	TLS bool
}

// s3Store is a Remote.
type s3Store struct {
	client *minio.Client
	http   *http.Transport
	opt    S3Options
}

// NewS3 is a store that speaks S3. It doesn't connect yet.
func NewS3(opt S3Options) (Remote, error) {
	t := s3Transport()
	o := &minio.Options{Secure: opt.TLS, Region: opt.Region, MaxRetries: 1, Transport: t}
	if opt.AccessKey != "" {
		o.Creds = credentials.NewStaticV4(opt.AccessKey, opt.SecretKey, "")
	}
	c, err := minio.New(opt.Endpoint, o)
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	return &s3Store{c, t, opt}, nil
}

// s3Transport gives a store that says nothing up.
func s3Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = uploaders, 30*time.Second
	t.ResponseHeaderTimeout = time.Minute
	return t
}

// Close ends the connections that rest.
func (s *s3Store) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

func (s *s3Store) Bucket() string { return s.opt.Bucket }

// Put stores a file in one piece, with its MD5 for the store to check, and then asks the store
// what it has.
func (s *s3Store) Put(ctx context.Context, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := md5.New() // what S3 calls a checksum; nobody is to be kept out by it
	size, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	name := s.opt.Prefix + key
	if _, err := s.client.PutObject(ctx, s.opt.Bucket, name, f, size, minio.PutObjectOptions{
		SendContentMd5: true, DisableMultipart: true, ContentType: contentType(key),
	}); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	has, err := s.client.StatObject(ctx, s.opt.Bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return fmt.Errorf("upload: ask for what is stored: %w", err)
	}
	// With encryption by KMS the ETag is no MD5; then the store has checked Content-MD5 alone.
	kms := strings.HasPrefix(has.Metadata.Get("X-Amz-Server-Side-Encryption"), "aws:kms")
	if has.Size != size || !kms && !strings.EqualFold(strings.Trim(has.ETag, `"`), hex.EncodeToString(sum.Sum(nil))) {
		return errors.New("upload: the store has something else than was sent")
	}
	return nil
}

func contentType(key string) string {
	if strings.HasSuffix(key, encExt) {
		return "application/octet-stream"
	}
	return "audio/wav"
}

func (s *s3Store) Delete(ctx context.Context, key string) error {
	err := s.client.RemoveObject(ctx, s.opt.Bucket, s.opt.Prefix+key, minio.RemoveObjectOptions{})
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchKey {
		return fmt.Errorf("erase from S3: %w", err)
	}
	return nil
}
