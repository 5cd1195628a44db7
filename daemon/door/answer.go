package door

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/daemon/policy"
)

// answer is what a door says, as a value: it outlives the request it is about.
type answer struct {
	Deny       bool
	Status     int
	RetryAfter int // seconds, rounded up
	RateLimit  string
	RatePolicy string
}

func answerOf(v *policy.Verdict) answer {
	a := answer{Deny: v.Deny, RateLimit: v.RateLimit, RatePolicy: v.RatePolicy}
	if v.Deny {
		a.Status = v.Status
		a.RetryAfter = int((v.RetryAfter + time.Second - 1) / time.Second)
	}
	return a
}

// append writes the answer to request id. An allow is proven by the receipt:
// NGINX goes on only when it equals its own $request_id. A denial is 403 with
// an empty body, for a body would cost NGINX the kept-alive connection; the
// status that the client gets travels beside it.
func (a *answer) append(b, id []byte, carry, redirect string, closing bool) []byte {
	switch {
	case a.Deny:
		b = append(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nX-Sallyport-Status: "...)
		b = strconv.AppendInt(b, int64(a.Status), 10)
		b = append(b, "\r\n"...)
		if a.RetryAfter > 0 {
			b = append(b, "X-Sallyport-Retry-After: "...)
			b = strconv.AppendInt(b, int64(a.RetryAfter), 10)
			b = append(b, "\r\n"...)
		}
	case redirect != "":
		b = append(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Accel-Redirect: "...)
		b = append(b, redirect...)
		b = append(b, "\r\nX-Sallyport-Receipt: "...)
		b = append(b, id...)
		b = append(b, "\r\n"...)
	default:
		b = append(b, "HTTP/1.1 204 No Content\r\nX-Sallyport-Receipt: "...)
		b = append(b, id...)
		b = append(b, "\r\n"...)
		if carry != "" {
			b = append(b, "X-Sallyport-Carry: "...)
			b = append(b, carry...)
			b = append(b, "\r\n"...)
		}
	}
	if a.RateLimit != "" {
		b = append(b, "X-Sallyport-RateLimit: "...)
		b = append(b, a.RateLimit...)
		b = append(b, "\r\nX-Sallyport-RateLimit-Policy: "...)
		b = append(b, a.RatePolicy...)
		b = append(b, "\r\n"...)
	}
	if closing {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}
