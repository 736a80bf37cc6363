package catalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

func wait[S any](step, signal string) *es.WaitStep[ask, S] {
	return es.Wait[ask, S](step, signal, func(es.Call[ask]) time.Duration { return time.Hour })
}

func choose(step string, ways ...es.Way[ask]) *es.ChooseStep[ask] {
	return es.Choose(step, func(es.Call[ask]) string { return "" }, ways...)
}

func act(step string) *es.ActStep[ask, es.None] {
	return es.Act(step, func(context.Context, es.Call[ask]) (es.None, error) { return es.None{}, nil })
}

// What is wrong with the steps of a command is found at start.
func TestFaultsOfSteps(t *testing.T) {
	none := func(es.Call[ask]) es.Events { return nil }
	_, elsewhere, _ := door("elsewhere")
	for name, c := range map[string]struct {
		steps func(times *es.Projection[key, int]) []es.Step[ask]
		says  []string
	}{
		"none": {func(*es.Projection[key, int]) []es.Step[ask] { return nil }, []string{`command "go" has no steps`}},
		"names": {func(times *es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{act("Call"), decide("open", times).Undo("Shut it", none)}
		}, []string{`command "go": a step's name is lower-case letters, digits and dashes, not "Call"`, `not "Shut it"`}},
		"one name twice": {func(times *es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{decide("open", times), act("open")}
		}, []string{`command "go": two steps, or undoings of steps, are named "open"`}},
		"one name for a step and an undoing": {func(times *es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{decide("open", times).Undo("shut", none), act("shut")}
		}, []string{`are named "shut"`}},
		"one name for two undoings": {func(times *es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{decide("open", times).Undo("shut", none), decide("open-too", times).Undo("shut", none)}
		}, []string{`are named "shut"`}},
		"one name in two ways": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{choose("side", es.Path[ask]("left", act("call")), es.Path[ask]("right", act("call")))}
		}, []string{`are named "call"`}},
		"signals": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{wait[es.None]("a", "Come in"), wait[es.None]("b", "retry-compensation"), wait[es.None]("c", "come"), wait[es.None]("d", "come")}
		}, []string{`a signal's name is lower-case letters, digits and dashes, not "Come in"`, `signal "retry-compensation" is Longrun's own`, `two steps wait for signal "come"`}},
		"a payload": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{wait[chan int]("a", "come").OrGoOn()}
		}, []string{`signal "come" has a payload that is not JSON`}},
		"ways": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{choose("none"), choose("side", es.Path[ask]("left"), es.Path[ask]("left"), es.Path[ask]("Right"))}
		}, []string{`choice "none" has no ways`, `choice "side" has two ways "left"`, `choice "side" has a way "Right"`}},
		"retries": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{act("a").Retry(es.Retry{Attempts: -1}), act("b").Timeout(-time.Second)}
		}, []string{`step "a" is tried again less than never`, `step "b" is tried again`}},
		"entities of another domain": {func(*es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{es.Look("look", ask.on, elsewhere), decide("open", elsewhere)}
		}, []string{`command "go": its entity "elsewhere" is not in`}},
		"what an undoing needs": {func(times *es.Projection[key, int]) []es.Step[ask] {
			return []es.Step[ask]{es.UndoBy(decide("open", times), "shut", elsewhere, func(int, es.Call[ask]) (es.Events, error) { return nil, nil }), act("call")}
		}, []string{`projection "times" is of entity "elsewhere", not "door"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, times, all := door("door")
			domains := domain("house", append(all, es.NewCommand("go", c.steps(times)...))...)
			for range 2 {
				_, err := catalog.New(domains...)
				for _, says := range c.says {
					require.ErrorContains(t, err, says)
				}
			}
		})
	}
}

func TestFaultsOfCommands(t *testing.T) {
	_, times, all := door("door")
	unrecorded := es.NewCommand("forget", decide("open", times), act("call")).Unrecorded()
	_, err := catalog.New(domain("house", append(all, unrecorded)...)...)
	require.ErrorContains(t, err, `command "forget": only a command of one decision can be unrecorded`)

	e, times, all := door("door")
	everyone := func(es.Call[es.None]) es.Group[key] { return e.All() }
	params := func(_ es.Call[es.None], k key) ask { return ask{k} }
	batch := es.NewBatch("open-all", everyone, command("open-slowly", times), params)
	_, err = catalog.New(domain("house", append(all, batch)...)...)
	require.ErrorContains(t, err, `command "open-all": its item, command "open-slowly", is not in domain "house"`)
}

// One step may be in two commands, and in a way of one of them alone.
func TestAStepMayBeInTwoCommands(t *testing.T) {
	_, times, all := door("door")
	call := act("call")
	c, err := catalog.New(domain("house", append(all,
		es.NewCommand("now", call, decide("open", times)),
		es.NewCommand("perhaps", choose("side", es.Path[ask]("left", call), es.Path[ask]("right"))))...)...)
	require.NoError(t, err)
	require.Empty(t, c.Commands["house.now"].Step("call").In)
	require.Equal(t, []catalog.Branch{{Choice: "side", Way: "left"}}, c.Commands["house.perhaps"].Step("call").In)
}

func TestWhatIsDirect(t *testing.T) {
	_, times, _ := door("door")
	of := func(c es.Definition) *catalog.Command { return es.NewDomain("x", c).Catalog().Commands[0] }
	require.NotNil(t, of(es.NewCommand("a", decide("open", times))).Direct())
	require.Nil(t, of(es.NewCommand("b", decide("open", times).When(func(es.Call[ask]) bool { return true }))).Direct())
	require.Nil(t, of(es.NewCommand("c", act("call"))).Direct())
	require.Nil(t, of(es.NewCommand("d", decide("open", times), act("call"))).Direct())

	undoable := of(es.NewCommand("e", decide("open", times).Undo("shut", func(es.Call[ask]) es.Events { return nil }), act("call")))
	require.Equal(t, "open", undoable.Decision("open").Step)
	require.True(t, undoable.Decision("shut").Undoes)
	require.Nil(t, undoable.Decision("call"))
	require.Nil(t, undoable.Signal("come"))
}
