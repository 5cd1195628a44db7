package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/cespare/xxhash/v2"
)

// The file: a line of magic, a line of JSON (Info), the binary part, and the
// xxhash64 of all that as eight bytes. Numbers are little-endian.
const (
	fileMagic = "sallyport attack model 1\n"
	// MaxFile bounds a model file, in bytes.
	MaxFile = 4 << 20
)

// ErrModel says that a file is not a model this program can use.
var ErrModel = errors.New("not a usable attack model")

// Load reads the model file at path.
func Load(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read attack model: %w", err)
	}
	if info.Size() > MaxFile {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d expected", path, ErrModel, info.Size(), MaxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read attack model: %w", err)
	}
	m, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Encode is the model as a file's bytes.
func (m *Model) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(fileMagic)
	head, err := json.Marshal(m.Info)
	if err != nil {
		return nil, fmt.Errorf("encode attack model: %w", err)
	}
	b.Write(head)
	b.WriteByte('\n')
	floats := append([]float32{m.bias, m.cut, m.slope}, m.scale[:]...)
	floats = append(floats, m.headScale[:]...)
	floats = append(floats, m.headBias[:]...)
	for _, f := range floats {
		b.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))
	}
	for _, w := range [][]int8{m.weights, m.heads} {
		for _, v := range w {
			b.WriteByte(byte(v))
		}
	}
	b.Write(binary.LittleEndian.AppendUint64(nil, xxhash.Sum64(b.Bytes())))
	return b.Bytes(), nil
}

// Decode reads a model file. It is all or nothing.
func Decode(data []byte) (*Model, error) {
	if len(data) > MaxFile || len(data) < len(fileMagic)+8 || !bytes.HasPrefix(data, []byte(fileMagic)) {
		return nil, fmt.Errorf("%w: no %q at its start", ErrModel, fileMagic[:len(fileMagic)-1])
	}
	body, sum := data[:len(data)-8], binary.LittleEndian.Uint64(data[len(data)-8:])
	if xxhash.Sum64(body) != sum {
		return nil, fmt.Errorf("%w: its checksum differs; copy or train it again", ErrModel)
	}
	head, rest, ok := bytes.Cut(body[len(fileMagic):], []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: no description", ErrModel)
	}
	m := &Model{}
	if err := json.Unmarshal(head, &m.Info); err != nil {
		return nil, fmt.Errorf("%w: description: %w", ErrModel, err)
	}
	if m.Info.Version != featureVersion {
		return nil, fmt.Errorf("%w: made for features of version %d, this program has %d; train it again", ErrModel, m.Info.Version, featureVersion)
	}
	floats := make([]float32, 3+len(m.scale)+2*int(classCount))
	if want := 4*len(floats) + featureCount + int(classCount)*classFeatures; len(rest) != want {
		return nil, fmt.Errorf("%w: %d bytes of weights, %d expected", ErrModel, len(rest), want)
	}
	for i := range floats {
		f := math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return nil, fmt.Errorf("%w: a weight is no number", ErrModel)
		}
		floats[i] = f
	}
	rest = rest[4*len(floats):]
	m.bias, m.cut, m.slope = floats[0], floats[1], floats[2]
	floats = floats[3:]
	floats = floats[copy(m.scale[:], floats):]
	floats = floats[copy(m.headScale[:], floats):]
	copy(m.headBias[:], floats)
	m.weights = signed(rest[:featureCount])
	m.heads = signed(rest[featureCount:])
	m.Info.Sum = fmt.Sprintf("%016x", sum)
	m.Info.Size = len(data)
	return m, nil
}

func signed(b []byte) []int8 {
	out := make([]int8, len(b))
	for i, c := range b {
		out[i] = int8(c)
	}
	return out
}
