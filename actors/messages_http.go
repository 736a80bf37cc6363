package actors

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// httpTopics read topics by the sidecar's HTTP callbacks. The sidecar asks once
// which they are, when something listens for it.
type httpTopics struct {
	inboxes
	stopped chan struct{} // closed when no message is handled any more
	once    sync.Once
}

func newHTTPTopics(cfg SidecarConfig, topics []Topic) *httpTopics {
	return &httpTopics{inboxes: newInboxes(topics, cfg.Log), stopped: make(chan struct{})}
}

// stop handles no new message and waits for those that are being handled. What
// arrives meanwhile waits too, and is refused in the end: a refusal at once would
// bring it back here.
func (t *httpTopics) stop(ctx context.Context) error {
	defer t.once.Do(func() { close(t.stopped) })
	return t.drain(ctx)
}

func (t *httpTopics) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /dapr/subscribe", t.subscriptions)
	mux.HandleFunc("POST /topics/{pubsub}/{topic}", t.message)
	// The sidecar drops a message that is answered with 404, and may deliver what
	// the process before this one subscribed to.
	mux.HandleFunc("/topics/", t.refuse)
}

// httpSubscription is what the sidecar reads of /dapr/subscribe.
type httpSubscription struct {
	PubSub   string            `json:"pubsubname"`
	Topic    string            `json:"topic"`
	Route    string            `json:"route"`
	Metadata map[string]string `json:"metadata"`
}

func (t *httpTopics) subscriptions(w http.ResponseWriter, _ *http.Request) {
	all := []httpSubscription{}
	for _, i := range t.inboxes {
		route := "/topics/" + url.PathEscape(i.PubSub) + "/" + url.PathEscape(i.Name)
		all = append(all, httpSubscription{PubSub: i.PubSub, Topic: i.Name, Route: route, Metadata: rawPayload})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // the sidecar asks again if it breaks off
}

func (t *httpTopics) message(w http.ResponseWriter, r *http.Request) {
	i := t.find(r.PathValue("pubsub"), r.PathValue("topic"))
	if i == nil {
		t.refuse(w, r)
		return
	}
	if i.take(r.Context()) != nil {
		t.refuse(w, r) // no answer would be a success
		return
	}
	defer i.giveBack()
	if !i.calls.enter() {
		select {
		case <-t.stopped:
		case <-r.Context().Done():
		}
		t.refuse(w, r)
		return
	}
	defer i.calls.leave()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !i.handle(r.Context(), unwrap(i.Name, body)) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"RETRY"}`) // a sidecar that went away delivers again anyway
	}
}

func (t *httpTopics) refuse(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the topic is not read here", http.StatusServiceUnavailable)
}

func (t *httpTopics) find(pubsub, topic string) *inbox {
	for _, i := range t.inboxes {
		if i.PubSub == pubsub && i.Name == topic {
			return i
		}
	}
	return nil
}

// unwrap takes off the envelope in which the sidecar posts a raw payload.
func unwrap(topic string, body []byte) []byte {
	if m := readMessage(topic, body); m.ContentType == "application/octet-stream" {
		return m.Data
	}
	return body
}
