package stream

import "encoding/binary"

// table gives the strings of a commit their numbers, in the order of first use.
type table struct {
	list  []string
	index map[string]uint64 // only when there are many
}

// scanned is how many strings are cheaper to compare than to hash.
const scanned = 16

// ref returns the number of s, 0 if s is empty, and adds s if it is new.
func (t *table) ref(s string) uint64 {
	if s == "" {
		return 0
	}
	if t.index != nil {
		if n, ok := t.index[s]; ok {
			return n
		}
	} else {
		for i, known := range t.list {
			if known == s {
				return uint64(i) + 1
			}
		}
	}
	t.list = append(t.list, s)
	n := uint64(len(t.list))
	switch {
	case t.index != nil:
		t.index[s] = n
	case n == scanned:
		t.index = make(map[string]uint64, 4*scanned)
		for i, known := range t.list {
			t.index[known] = uint64(i) + 1
		}
	}
	return n
}

// collect adds the strings of a.
func (t *table) collect(a *Append) {
	t.ref(a.ID)
	for _, field := range a.Context.fields() {
		t.ref(*field)
	}
	for i := range a.Events {
		t.ref(a.Events[i].Name)
	}
}

// append writes the table.
func (t *table) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.list)))
	for _, s := range t.list {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	for _, s := range t.list {
		b = append(b, s...)
	}
	return b
}

// appendAppend writes a, whose strings were collected.
func (t *table) appendAppend(b []byte, a *Append) []byte {
	b = binary.AppendUvarint(b, t.ref(a.ID))
	b = append(b, a.ParamsHash[:]...)
	for _, field := range a.Context.fields() {
		b = binary.AppendUvarint(b, t.ref(*field))
	}
	b = binary.AppendUvarint(b, uint64(len(a.Events)))
	for i := range a.Events {
		e := &a.Events[i]
		b = binary.AppendUvarint(b, t.ref(e.Name))
		b = binary.AppendVarint(b, int64(e.Version))
		b = appendOptional(b, e.Data)
	}
	return appendOptional(b, a.Result)
}
