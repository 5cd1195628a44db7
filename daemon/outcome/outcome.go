// Package outcome is how a request ended, as NGINX's access log tells it after
// the answer was sent.
package outcome

import (
	"net/netip"
	"time"
)

// Outcome is one finished request.
type Outcome struct {
	ID       string // $request_id
	Time     time.Time
	Client   netip.Addr
	Host     string
	Method   string
	URI      string // the raw request target
	Site     string // filled in by the daemon from its policy
	Route    string
	Protocol string

	Status        int   // the status the client got
	RequestBytes  int64 // $request_length
	ResponseBytes int64 // $bytes_sent

	RequestTime time.Duration
	// UpstreamTime sums the tries at the backend; lists such as "0.1, 0.2"
	// and "0.1 : 0.2" are understood, a door's own part left out.
	UpstreamTime   time.Duration
	UpstreamStatus int    // of the last try, 0 if no backend was asked
	UpstreamAddr   string // of the last try

	// Authenticated says that the request carried a credential.
	Authenticated bool
	// Denied says that Sallyport refused it; then the backend never saw it.
	Denied bool
	// FailedOpen says that NGINX let it pass because the daemon did not answer.
	FailedOpen bool
}
