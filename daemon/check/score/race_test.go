package score

import (
	"sync"
	"testing"
	"time"
)

func TestManyVisitsAtOnceShareOneCheck(t *testing.T) {
	c := testCheck(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 40 {
				denied(c, g*40+n, time.Unix(int64(n), 0), "/cms/pages", "body", "<img src=x onerror=alert(1)>", false)
				_ = c.context.book.Load().Show()
			}
		})
	}
	all.Wait()
	if shown := c.context.book.Load().Show(); len(shown) == 0 {
		t.Fatal("nothing was learned")
	}
}
