package actors

import (
	"sync"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// host holds the entities that are open in this process: at most a limit of
// them, the least recently used are let go.
type host struct {
	limit int
	idle  func(*entity) // writes a head for an entity that is let go; the entity is in nobody's hands
	solo  bool          // there is no sidecar: every entity is at home here

	mu       sync.Mutex
	entities map[stream.ID]*entity
	newest   *entity
	oldest   *entity
	free     int // entities on the list: those without pins
}

func newHost(limit int, solo bool, idle func(*entity)) *host {
	return &host{limit: limit, solo: solo, idle: idle, entities: map[stream.ID]*entity{}}
}

// acquire holds an entity in memory until release. viaSidecar says that its
// actor was called here, so it is at home here.
func (h *host) acquire(id stream.ID, def *catalog.Entity, viaSidecar bool) *entity {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entities[id]
	if e == nil {
		e = newEntity(id, def)
		h.entities[id] = e
	} else if e.pins == 0 {
		h.unlist(e)
	}
	e.pins++
	if viaSidecar {
		e.active, e.placed, e.doomed = true, true, false
	}
	return e
}

// claim has an entity called here directly although the sidecar did not activate
// it here.
func (h *host) claim(id stream.ID, def *catalog.Entity) {
	e := h.acquire(id, def, false)
	h.mu.Lock()
	e.active = true
	h.mu.Unlock()
	h.release(e)
}

// told is the progress of a batch whose actor is here; nil if that is not so, or
// it is not known.
func (h *host) told(id stream.ID) *flow.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entities[id]; e != nil && e.placed && !e.stale.Load() {
		return e.told.Load()
	}
	return nil
}

// local acquires an entity that the sidecar activated here, and has not let go
// of; else nil. This is the short way.
func (h *host) local(id stream.ID, def *catalog.Entity) *entity {
	if h.solo {
		return h.acquire(id, def, true)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entities[id]
	if e == nil || !e.active {
		return nil
	}
	if e.pins == 0 {
		h.unlist(e)
	}
	e.pins++
	return e
}

// release lets go of an entity, which then may be dropped from memory.
func (h *host) release(e *entity) {
	h.mu.Lock()
	var gone *entity
	if e.pins--; e.pins == 0 {
		if e.doomed {
			delete(h.entities, e.id)
			gone = e
		} else {
			h.list(e)
			if h.free > h.limit {
				gone = h.oldest
				h.unlist(gone)
				delete(h.entities, gone.id)
			}
		}
	}
	h.mu.Unlock()
	if gone != nil {
		h.idle(gone)
	}
}

// deactivate drops an entity whose actor the sidecar let go of.
func (h *host) deactivate(id stream.ID) {
	h.mu.Lock()
	e := h.entities[id]
	gone := h.drop(e)
	h.mu.Unlock()
	if gone {
		h.idle(e)
	}
}

// lost drops all entities: each may have moved.
func (h *host) lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entities {
		h.drop(e)
	}
}

// drop takes an entity from the short way, and from memory if nobody holds it.
func (h *host) drop(e *entity) (gone bool) {
	if e == nil {
		return false
	}
	e.active, e.placed = false, false
	if e.pins > 0 {
		e.doomed = true
		e.stale.Store(true)
		return false
	}
	h.unlist(e)
	delete(h.entities, e.id)
	return true
}

// close drops every entity that nobody holds and returns them: the process
// stops.
func (h *host) close() (gone []*entity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entities {
		if h.drop(e) {
			gone = append(gone, e)
		}
	}
	return gone
}

func (h *host) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.entities)
}

func (h *host) list(e *entity) {
	e.older = h.newest
	if h.newest != nil {
		h.newest.newer = e
	} else {
		h.oldest = e
	}
	h.newest = e
	h.free++
}

func (h *host) unlist(e *entity) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		h.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		h.oldest = e.newer
	}
	e.older, e.newer = nil, nil
	h.free--
}
