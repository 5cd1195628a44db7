package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/request"
)

// Bounds of what is taken from folders of ordinary text.
const (
	maxTextFile     = 2 << 20
	piecesPerFile   = 6
	linesPerPiece   = 150 // of longer files, which give more pieces
	mostPerFile     = 24
	maxPieceLines   = 60
	maxPiece        = 6 << 10
	smallestPiece   = 8
	maxTextFiles    = 200_000
	minifiedLineLen = 2000
)

// addText takes pieces of the text files below the folders in as benign
// requests: what people paste into prompts, tickets and forms. It returns how
// many and a checksum of them. Which pieces is decided by the seed and the files' names.
func (s *set) addText(folders []string, most int, seed uint64) (n int, sum uint64, err error) {
	var d xxhash.Digest
	d.Reset()
	var paths []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Type().IsRegular() && len(paths) < maxTextFiles {
				paths = append(paths, path)
			}
			return nil
		})
		if err != nil {
			return 0, 0, fmt.Errorf("read ordinary text below %s: %w", folder, err)
		}
	}
	random := rand.New(rand.NewPCG(seed, 0x7e87))
	random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for _, path := range paths {
		if n >= most {
			break
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() > maxTextFile || info.Size() < smallestPiece {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return n, 0, fmt.Errorf("read ordinary text: %w", err)
		}
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		for _, piece := range pieces(random, string(text)) {
			s.add(&Sample{Class: "benign", Source: "text", Request: prompt(piece)})
			_, _ = d.WriteString(piece)
			n++
		}
	}
	return n, d.Sum64(), nil
}

// pieces cuts a few runs of lines out of a text, or of bytes where lines are long.
func pieces(random *rand.Rand, text string) []string {
	lines := strings.Split(text, "\n")
	seen := map[int]bool{}
	var out []string
	for range min(max(piecesPerFile, len(lines)/linesPerPiece), mostPerFile, len(lines)) {
		from := random.IntN(len(lines))
		if seen[from] {
			continue
		}
		seen[from] = true
		n := []int{1, 1, 3, 8, 20, maxPieceLines}[random.IntN(6)]
		piece := strings.Join(lines[from:min(len(lines), from+n)], "\n")
		if len(piece) > minifiedLineLen {
			at := random.IntN(len(piece) - minifiedLineLen/2)
			piece = piece[at:min(len(piece), at+20+random.IntN(maxPiece))]
		}
		piece = strings.TrimSpace(strings.ToValidUTF8(piece, ""))
		if len(piece) >= smallestPiece {
			out = append(out, piece)
		}
	}
	return slices.Compact(out)
}

func prompt(text string) *request.Request {
	body, err := json.Marshal(map[string]any{"messages": []any{map[string]string{"role": "user", "content": text}}})
	if err != nil {
		body = nil
	}
	return &request.Request{
		Method: "POST", URI: []byte("/v1/chat"), Protocol: "HTTP/1.1", Host: []byte("api.example.test"),
		Headers: []request.Header{{Name: []byte("Content-Type"), Value: []byte("application/json")}},
		Body:    request.Body{Present: true, Bytes: body, Length: int64(len(body))},
	}
}
