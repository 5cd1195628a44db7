package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

// judge appends the answer to a line.
type judge func(dst, line []byte, number int) (answer []byte, ok bool)

// pipe judges lines on many workers and writes the answers in the lines' order.
type pipe struct {
	lines   *jsonl.Reader
	out     io.Writer
	workers int

	judged, failed atomic.Int64
}

// Bounds of a batch of lines.
const (
	batchLines = 256
	batchBytes = 256 << 10
)

// batch is some lines in a row, and their answers.
type batch struct {
	text    []byte
	ends    []int
	numbers []int
	long    []bool // no line, but one too long to be read
	answers []byte
	ready   chan struct{}
}

// run judges all lines. Workers take batches from one channel; the writer
// takes them from another in the order they were read and waits for each.
func (p *pipe) run(newJudge func() (judge, error)) error {
	judges := make([]judge, p.workers)
	for i := range judges {
		j, err := newJudge()
		if err != nil {
			return err
		}
		judges[i] = j
	}
	work, order := make(chan *batch, p.workers), make(chan *batch, 2*p.workers)
	var workers sync.WaitGroup
	for _, j := range judges {
		workers.Go(func() {
			for b := range work {
				p.judge(j, b)
				close(b.ready)
			}
		})
	}
	var written error
	var broken atomic.Bool
	done := make(chan struct{})
	free := sync.Pool{New: func() any { return new(batch) }}
	go func() {
		defer close(done)
		for b := range order {
			<-b.ready
			if written == nil {
				if _, written = p.out.Write(b.answers); written != nil {
					broken.Store(true)
				}
			}
			free.Put(b)
		}
	}()
	var err error
	for err == nil && !broken.Load() {
		b := free.Get().(*batch)
		err = p.fill(b)
		if len(b.ends) > 0 {
			order <- b
			work <- b
		}
	}
	close(work)
	close(order)
	workers.Wait()
	<-done
	switch {
	case written != nil:
		return fmt.Errorf("write the answers: %w", written)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read the requests: %w", err)
	}
	return nil
}

func (p *pipe) fill(b *batch) error {
	b.text, b.ends, b.numbers, b.long, b.answers = b.text[:0], b.ends[:0], b.numbers[:0], b.long[:0], b.answers[:0]
	b.ready = make(chan struct{})
	for len(b.ends) < batchLines && len(b.text) < batchBytes {
		text, n, err := p.lines.Next(b.text)
		long := errors.As(err, new(jsonl.TooLong))
		if err != nil && !long {
			return err
		}
		b.text = text
		b.ends, b.numbers, b.long = append(b.ends, len(text)), append(b.numbers, n), append(b.long, long)
	}
	return nil
}

func (p *pipe) judge(j judge, b *batch) {
	start, ok := 0, false
	for i, end := range b.ends {
		if b.long[i] {
			b.answers, ok = appendUnread(b.answers, jsonl.ID{}, b.numbers[i], jsonl.TooLong{}), false
		} else {
			b.answers, ok = j(b.answers, b.text[start:end:end], b.numbers[i])
		}
		if !ok {
			p.failed.Add(1)
		}
		p.judged.Add(1)
		start = end
	}
}

// countingReader counts what was read of a file, for the progress line.
type countingReader struct {
	in io.Reader
	n  atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// showProgress keeps one line on a terminal up to date until it is stopped.
func showProgress(w *os.File, p *pipe, read *countingReader, size int64) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	start := time.Now()
	line := func() {
		judged := p.judged.Load()
		rate := float64(judged) / max(time.Since(start).Seconds(), 1e-3)
		of := ""
		if size > 0 {
			of = fmt.Sprintf(" (%d%%)", min(100, read.n.Load()*100/size))
		}
		fmt.Fprintf(w, "\r\x1b[K%s requests judged%s, %s a second", humanize.Comma(judged), of, humanize.Comma(int64(rate)))
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				line()
				fmt.Fprintln(w)
				return
			case <-tick.C:
				line()
			}
		}
	}()
	return func() { close(quit); <-done }
}
