package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Config of a System. The zero value of a field means its default.
type Config struct {
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	ShortWay bool             // call entities that live in this process directly
	MaxOpen  int              // entities kept in memory; 20,000
	Flushers int              // group commits in flight; what serves the store best
	Now      func() time.Time // the clock of commits

	GroupCache      int // entities kept folded for identity groups; 200,000
	GroupCacheBytes int // what these may take in memory, roughly; 256 MiB
	GroupReads      int // reads for identity groups in flight; 4
}

// System runs the entities of a catalog on one host. All its methods may be
// called at the same time; every error it answers with is a *catalog.Fault.
type System struct {
	catalog  *catalog.Catalog
	store    stream.Store
	reader   stream.Reader
	opener   *opener
	sidecar  Invoker
	log      *slog.Logger
	metrics  *metrics
	now      func() time.Time
	shortWay bool

	host      *host
	lanes     *lanes
	flusher   *flusher
	journals  []*journal
	heads     *headWriter
	groups    *groups
	followers followers
	unknown   sync.Map // events that were reported

	begun chan struct{} // closed when what this host records can be listed
	begin func()        // closes begun
}

// New makes a System over a store. Without a sidecar (nil) it is alone: every
// entity lives in this process. Close it.
func New(domains []*catalog.Domain, store stream.Store, sidecar Invoker, cfg Config) (*System, error) {
	var all *catalog.Catalog
	own := ownDomain(indexDomain(), commandDomain(func() *catalog.Catalog { return all }), scheduleDomain())
	all, err := catalog.New(append([]*catalog.Domain{own}, domains...)...)
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = 20_000
	}
	if cfg.Flushers == 0 {
		cfg.Flushers = cmp.Or(store.Traits().Writers, 2)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &System{
		catalog: all, store: store, reader: stream.Reader{Store: store}, opener: &opener{reader: stream.Reader{Store: store}}, sidecar: sidecar,
		log: cfg.Log, now: cfg.Now, shortWay: cfg.ShortWay || sidecar == nil,
		begun: make(chan struct{}),
	}
	s.begin = sync.OnceFunc(func() { close(s.begun) })
	if sidecar == nil { // there is no other host
		s.begin()
	}
	s.metrics = newMetrics(cfg.Metrics, func() float64 { return float64(s.host.size()) })
	for range cfg.Flushers {
		s.journals = append(s.journals, newJournal(cfg.Now))
	}
	s.heads = newHeadWriter(store, cfg.Log)
	s.groups = newGroups(cmp.Or(cfg.GroupReads, 4), cmp.Or(cfg.GroupCache, 200_000), cmp.Or(cfg.GroupCacheBytes, 256<<20), cfg.Metrics)
	s.flusher = newFlusher(store, s.journals, cfg.Log, s.metrics)
	s.host = newHost(cfg.MaxOpen, sidecar == nil, func(e *entity) { s.letGo(e) })
	s.lanes = newLanes(s.send)
	return s, nil
}

// ownDomain is Longrun's own, of several parts.
func ownDomain(parts ...*catalog.Domain) *catalog.Domain {
	own := &catalog.Domain{Name: catalog.Reserved, Own: true}
	for _, p := range parts {
		own.Entities = append(own.Entities, p.Entities...)
		own.Projections = append(own.Projections, p.Projections...)
		own.Commands = append(own.Commands, p.Commands...)
	}
	return own
}

// Catalog is what the system hosts, Longrun's own types among it.
func (s *System) Catalog() *catalog.Catalog { return s.catalog }

// Begin makes this host's journals known, so that the commands it records can
// be listed. It needs actors to be hosted; other hosts may bring commands as soon
// as they are, and these wait for it.
func (s *System) Begin(ctx context.Context) error {
	for _, j := range s.journals {
		if err := s.registerKey(ctx, j.id); err != nil {
			return fmt.Errorf("register a journal: %w", err)
		}
	}
	s.begin()
	return nil
}

// Close waits for the commands in flight, writes what is worth a head, and
// stops. Nothing may be started any more.
func (s *System) Close() {
	s.lanes.wait.Wait()
	s.flusher.close()
	ctx, cancel := context.WithTimeout(context.Background(), headTime)
	defer cancel()
	for _, e := range s.host.close() {
		if !s.letGo(e) && ctx.Err() == nil {
			s.heads.write(ctx)
			s.letGo(e)
		}
	}
	s.heads.close()
}

// registerKey puts an entity's key into the index of its type. It returns when
// that is committed.
func (s *System) registerKey(ctx context.Context, id stream.ID) error {
	shard := shardOf(id)
	params, err := json.Marshal(register{Shard: shard.Key, Key: id.Key})
	if err != nil {
		return err
	}
	_, err = s.Do(ctx, Command{Name: registerCommand, ID: uuid.NewString(), Params: params, Context: stream.Context{Source: "longrun"}})
	return err
}

// letGo is told of an entity that leaves memory. It is false if a head should
// have been written, and there was no room for it.
func (s *System) letGo(e *entity) bool {
	return !e.open || e.tail.Number < e.headAt+headIdle || s.writeHead(e)
}

// writeHead writes a hint of where the entity stands, without waiting for it;
// false if there is no room for one. The caller has the entity's turn, or the
// entity to itself.
func (s *System) writeHead(e *entity) bool {
	if e.unknown != "" {
		return true
	}
	if !s.heads.put(e.id, e.head) {
		return false
	}
	e.headAt = e.tail.Number
	return true
}

// Types are the actor types that a System hosts.
func (s *System) Types() []string {
	var types []string
	for t := range s.catalog.Entities {
		types = append(types, t)
	}
	return types
}

// Invoke serves a call that came through the sidecar (Handler).
func (s *System) Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error) {
	def := s.catalog.Entities[actorType]
	if def == nil {
		return nil, fmt.Errorf("no entity type %q here", actorType)
	}
	id, err := entityOf(actorType, actorID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	e := s.host.acquire(id, def, true)
	defer s.host.release(e)
	switch method {
	case methodDo:
		return s.serveDo(ctx, e, payload)
	case methodProject:
		return serveRead(ctx, e, payload, s.projectNow)
	case methodClassify:
		return serveRead(ctx, e, payload, s.classifyNow)
	case methodLook:
		return serveRead(ctx, e, payload, s.lookNow)
	}
	return nil, fmt.Errorf("no method %q", method)
}

// Deactivate drops an entity from memory (Handler).
func (s *System) Deactivate(_ context.Context, actorType, actorID string) {
	if id, err := entityOf(actorType, actorID); err == nil {
		s.host.deactivate(id)
	}
}

// Lost drops every entity from memory (Handler).
func (s *System) Lost() { s.host.lost() }

// Ready says what keeps the system from serving.
func (s *System) Ready(ctx context.Context) error {
	if _, err := s.store.Read(ctx, []string{"longrun~ready"}); err != nil {
		return faultOf(fmt.Errorf("the state store cannot be read: %w", err))
	}
	return nil
}

var _ Handler = (*System)(nil)

func unknownName(what, name string, id stream.ID) *catalog.Fault {
	return catalog.Faultf(catalog.NotFound, "no %s %q of %s", what, name, id.Type)
}
