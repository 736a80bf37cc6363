package app

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds the operation of a request. It splits the path as it was sent,
// still percent-encoded, and decodes each segment by itself: a key may hold
// "/", "..", "%" or nothing that a path can. http.ServeMux would clean such
// paths and redirect, even if they are encoded.
type router struct {
	routes []*route
}

// route is one path with the operations on it, by method.
type route struct {
	segments []string // "{name}" stands for any one segment
	methods  map[string]*operation
}

func (rt *router) add(op *operation) {
	segments := strings.Split(op.path, "/")[1:]
	for _, r := range rt.routes {
		if slices.Equal(r.segments, segments) {
			r.methods[op.method] = op
			return
		}
	}
	rt.routes = append(rt.routes, &route{segments, map[string]*operation{op.method: op}})
}

// find returns the operation of a request and the decoded values of its
// variable segments. If the path is known and the method is not, op is nil and
// allow says which methods are. A route that comes first wins.
func (rt *router) find(r *http.Request) (op *operation, vars map[string]string, allow []string) {
	path, rooted := strings.CutPrefix(r.URL.EscapedPath(), "/")
	if !rooted {
		return nil, nil, nil
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil, nil // net/http refused it already
		}
		segments[i] = decoded
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body away
	}
	for _, route := range rt.routes {
		if !route.matches(segments) {
			continue
		}
		if op = route.methods[method]; op != nil {
			return op, route.vars(segments), nil
		}
		for m := range route.methods {
			allow = append(allow, m)
		}
	}
	slices.Sort(allow)
	return nil, nil, allow
}

func (r *route) matches(segments []string) bool {
	if len(segments) != len(r.segments) {
		return false
	}
	for i, s := range r.segments {
		if s != segments[i] && !variable(s) {
			return false
		}
	}
	return true
}

func (r *route) vars(segments []string) map[string]string {
	vars := map[string]string{}
	for i, s := range r.segments {
		if variable(s) {
			vars[s[1:len(s)-1]] = segments[i]
		}
	}
	return vars
}

func variable(segment string) bool { return strings.HasPrefix(segment, "{") }
