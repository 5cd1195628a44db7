package profile

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/endpoint"
)

var options = Options{Max: 256, MinClients: 12, NormalShare: 0.2, Discount: 8, Raise: 1.2, Seed: 42}

// client spreads numbers over all hashes, as endpoint.Client does.
func client(n int) uint64 { return uint64(n+1) * 0x9e3779b97f4a7c15 }

func send(b *Book, from uint64, ids ...uint16) Seen {
	s := Seen{Key: 7, Name: []byte("form:body"), Classes: 0b11, Length: 20, Logit: 2}
	for _, id := range ids {
		s.Evidence = append(s.Evidence, model.Evidence{ID: id, Logit: 1})
	}
	seen := []Seen{s}
	b.Judge(Visit{Site: "s", Method: "POST", Template: []byte("/cms"), Client: from, Now: time.Unix(1, 0), Teach: true}, seen)
	return seen[0]
}

func TestAProfileCountsForNothingWhileItWarmsUp(t *testing.T) {
	b := New(options)
	for n := range options.MinClients {
		if got := send(b, client(n), 1, 2); got.Change != 0 {
			t.Fatalf("client %d: changed by %v", n, got.Change)
		}
	}
	if got := send(b, client(99), 1, 2); got.Change >= 0 || got.Why == "" {
		t.Fatalf("after the warm-up: %+v", got)
	}
}

func TestOneClientTeachesNothingHoweverOftenItSends(t *testing.T) {
	b := New(options)
	for n := range 40 {
		send(b, client(n), 1)
	}
	for range 5000 {
		send(b, client(3), 9)
	}
	if got := send(b, client(3), 9); got.Change < 0 {
		t.Fatalf("one client made its own sign normal: %+v", got)
	}
}

func TestOneClientInTwentyTeachesNothing(t *testing.T) {
	b := New(options)
	for n := range 2000 {
		if n%20 == 0 {
			send(b, client(n), 9)
		} else {
			send(b, client(n), 1)
		}
	}
	if got := send(b, client(0), 9); got.Change < 0 {
		t.Fatalf("5%% of the clients made their sign normal: %+v", got)
	}
	if got := send(b, client(1), 1); got.Change >= 0 {
		t.Fatalf("what 95%% send is not normal: %+v", got)
	}
}

func TestANewSignBesideNormalOnesIsNoDiscount(t *testing.T) {
	b := New(options)
	for n := range 100 {
		send(b, client(n), 1, 2)
	}
	if got := send(b, client(5), 1, 2, 9); got.Change < 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestAValueUnlikeAllOthersCountsForMore(t *testing.T) {
	b := New(options)
	for n := range 100 {
		send(b, client(n))
	}
	seen := []Seen{{Key: 7, Classes: 0b1100011, Length: 20, Evidence: []model.Evidence{{ID: 1, Logit: 1}}}}
	b.Judge(Visit{Site: "s", Method: "POST", Template: []byte("/cms"), Client: client(1), Now: time.Unix(2, 0)}, seen)
	if seen[0].Change <= 0 || seen[0].Change > float32(options.Raise) {
		t.Fatalf("got %+v", seen[0])
	}
}

func TestInventedParametersAndEndpointsTakeBoundedRoom(t *testing.T) {
	b := New(options)
	for n := range 5000 {
		seen := []Seen{{Key: uint64(n), Name: []byte(fmt.Sprint("form:", n)), Evidence: []model.Evidence{{ID: 1, Logit: 1}}}}
		b.Judge(Visit{Site: "s", Method: "POST", Template: []byte(fmt.Sprint("/", n%1000)), Client: client(n % 3), Now: time.Unix(int64(n), 0), Teach: true}, seen)
	}
	if shown := b.Show(); len(shown) > options.Max*maxParams {
		t.Fatalf("%d parameters held", len(shown))
	}
	b.book.Each(func(e *endpoint.Entry[Profile]) {
		if e.Value.lexicons > maxLexicons {
			t.Errorf("%s: %d lexicons", e.Template, e.Value.lexicons)
		}
	})
}

func FuzzImport(f *testing.F) {
	b := New(options)
	for n := range 20 {
		send(b, client(n), 1, 2)
	}
	data, err := b.Export()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"endpoints":[{"clients":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Import(data, options)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("%v is no ErrState", err)
			}
			return
		}
		send(b, client(1), 1)
		b.Show()
	})
}

func TestAnExportIsReadBackWhole(t *testing.T) {
	b := New(options)
	for n := range 50 {
		send(b, client(n), 1, uint16(n%3))
	}
	data, err := b.Export()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Import(data, Options{Max: 64, MinClients: 12, NormalShare: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Export()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, second) {
		t.Fatalf("exported\n%s\nand again\n%s", data, second)
	}
}
