package learn

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

// ReadJSONLines reads requests as `sallyport inspect` takes them. Their answers
// are not known.
func ReadJSONLines(in io.Reader, add func(Call)) (Lines, error) {
	var n Lines
	r, err := jsonl.NewReader(in)
	if err != nil {
		return n, err
	}
	var line []byte
	for {
		number := 0
		line, number, err = r.Next(line[:0])
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read requests: %w", err)
		}
		q := request.Get()
		if _, bad := jsonl.Parse(line, q); bad != nil {
			n.skip(number, bad)
		} else {
			n.Read++
			add(Call{Request: q})
		}
		q.Release()
	}
}

// Format is a kind of source.
type Format string

// The formats of sources.
const (
	AccessLog Format = "access-log"
	HAR       Format = "har"
	JSONLines Format = "jsonl"
	PCAP      Format = "pcap"
)

// Detect tells a format by a file's first bytes, a few hundred of them.
func Detect(head []byte) Format {
	if len(head) >= 4 {
		switch [4]byte(head[:4]) {
		case [4]byte{0xd4, 0xc3, 0xb2, 0xa1}, [4]byte{0xa1, 0xb2, 0xc3, 0xd4}, [4]byte{0x4d, 0x3c, 0xb2, 0xa1}, [4]byte{0xa1, 0xb2, 0x3c, 0x4d}, [4]byte{0x0a, 0x0d, 0x0d, 0x0a}:
			return PCAP
		}
	}
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	if len(head) == 0 || head[0] != '{' {
		return AccessLog
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	inside := bytes.TrimSpace(line[1:])
	switch {
	case len(inside) == 0 || bytes.HasPrefix(inside, []byte(`"log"`)):
		return HAR
	case bytes.Contains(line, []byte(`"t":"`)) && bytes.Contains(line, []byte(`"client":"`)) && bytes.Contains(line, []byte(`"proto":"`)):
		return AccessLog
	}
	return JSONLines
}
