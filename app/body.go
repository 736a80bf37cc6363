package app

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// bodyTimeout is how long a client may take to send a body of at most maxBody.
const bodyTimeout = 30 * time.Second

// readBody reads the JSON body of a request.
func readBody(w http.ResponseWriter, r *request) ([]byte, error) {
	if err := checkContentType(r, "application/json"); err != nil {
		return nil, err
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has a connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return nil, catalog.Faultf(catalog.TooLarge, "the body has more than %d bytes", large.Limit)
	}
	if err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the body cannot be read to its end: %v", err)
	}
	return body, nil
}

// checkContentType refuses a body that says it is something else than one of
// the accepted types. One that says nothing is taken as the first.
func checkContentType(r *request, accepted ...string) error {
	given := r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(given)
	charset := strings.ToLower(parameters["charset"])
	if err != nil || !slices.Contains(accepted, media) || charset != "" && charset != "utf-8" {
		return invalid("Content-Type", fmt.Sprintf("is %q; expected %s", given, strings.Join(accepted, " or ")))
	}
	return nil
}
