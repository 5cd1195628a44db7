package score

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/sallyport/sallyport/daemon/check/score/profile"
)

// Listing is what GET /context answers.
type Listing struct {
	Parameters []profile.Shown `json:"parameters"`
}

// maxImport bounds an imported context, in bytes.
const maxImport = 64 << 20

// errNoContext answers when the context is switched off.
var errNoContext = errors.New("the context is switched off: see enabled in [score.context]")

// ControlHandlers are what the control socket serves.
func (c *Check) ControlHandlers() map[string]http.Handler {
	with := func(serve func(x *context, w http.ResponseWriter, r *http.Request) (any, int, error)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.context == nil {
				answer(w, http.StatusNotFound, map[string]string{"error": errNoContext.Error()})
				return
			}
			out, status, err := serve(c.context, w, r)
			if err != nil {
				answer(w, status, map[string]string{"error": err.Error()})
				return
			}
			answer(w, http.StatusOK, out)
		})
	}
	return map[string]http.Handler{
		"GET /context": with(func(x *context, _ http.ResponseWriter, _ *http.Request) (any, int, error) {
			return Listing{Parameters: x.book.Load().Show()}, 0, nil
		}),
		"GET /context/export": with(func(x *context, _ http.ResponseWriter, _ *http.Request) (any, int, error) {
			data, err := x.book.Load().Export()
			return json.RawMessage(data), http.StatusInternalServerError, err
		}),
		"POST /context/import": with(func(x *context, w http.ResponseWriter, r *http.Request) (any, int, error) {
			data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxImport))
			if err != nil {
				return nil, http.StatusBadRequest, err
			}
			if err := x.take(data); err != nil {
				return nil, http.StatusBadRequest, err
			}
			if x.path != "" {
				if err := x.save(); err != nil {
					return nil, http.StatusInternalServerError, err
				}
			}
			return map[string]int{"parameters": len(x.book.Load().Show())}, 0, nil
		}),
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away gets no answer
}
