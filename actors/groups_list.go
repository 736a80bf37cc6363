package actors

import (
	"context"
	"strconv"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

const (
	// listPage is how many keys are looked at together at most, while few of
	// them are members.
	listPage = 2048
	// listTime is how long a listing goes on while it has less than was asked
	// for.
	listTime = 5 * time.Second
)

// MemberKeys lists the members of a group, shard by shard, in the order in which
// their keys were registered. next is "" at the end only: where members are few
// among many, a page may be short, or even empty. An entity that cannot be judged
// fails the page it would be on.
func (s *System) MemberKeys(ctx context.Context, g *catalog.Group, asOf *time.Time, cursor string, limit int) (keys []string, next string, err error) {
	var at time.Time
	if asOf != nil {
		at = *asOf
	}
	if err := s.checkGroup(g, at); err != nil {
		return nil, "", err
	}
	shard, from, err := parseKeysCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	began := time.Now() // not s.now: this is no time of a commit
	for size := limit; shard < shards; size = min(2*size, listPage) {
		some, err := s.nextKeys(ctx, g.EntityOf().Type, shard, from, size)
		if err != nil {
			return nil, "", faultOf(err)
		}
		if len(some) > 0 {
			page, err := s.judgePage(ctx, g, at, shard, some)
			if err != nil {
				return nil, "", faultOf(err)
			}
			var taken bool
			if keys, from, taken = page.list(keys, limit); !taken {
				if len(keys) < limit {
					return nil, "", page.Failed[0].Fault
				}
				return keys, placeCursor(shard, from), nil
			}
		}
		if len(some) < size {
			shard, from = shard+1, 1
		}
		if shard < shards && (len(keys) == limit || time.Since(began) > listTime) {
			return keys, placeCursor(shard, from), nil
		}
	}
	return keys, "", nil
}

// list adds the page's members to keys, up to limit or to an entity that could
// not be judged. from is the place of what was not taken; all says that nothing
// was left.
func (p *MemberPage) list(keys []string, limit int) (longer []string, from uint64, all bool) {
	failed := p.To + 1
	if len(p.Failed) > 0 {
		failed = p.Failed[0].Place
	}
	for _, m := range p.Members {
		if len(keys) == limit || m.Place > failed {
			return keys, min(m.Place, failed), false
		}
		keys = append(keys, m.Key)
	}
	return keys, failed, failed > p.To
}

// nextKeys reads so many keys of a shard, or all there are.
func (s *System) nextKeys(ctx context.Context, entityType string, shard int, from uint64, most int) ([]registration, error) {
	var keys []registration
	for r, err := range s.registrations(ctx, entityType, shard, from) {
		if err != nil {
			return nil, err
		}
		if keys = append(keys, r); len(keys) == most {
			break
		}
	}
	return keys, nil
}

func placeCursor(shard int, from uint64) string {
	return encodeCursor(strconv.Itoa(shard), strconv.FormatUint(from, 10))
}
