package market

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// machine is one state machine for tests that go through all.
type machine struct {
	typ    string // of Go
	to     func(from, next string) (string, error)
	causes map[string]func(from, next string) (string, error)
}

type mover[S any] interface {
	~string
	To(S) (S, error)
}

func machineOf[S mover[S]](typ string, causes ...caused[S]) machine {
	m := machine{typ: typ, causes: map[string]func(from, next string) (string, error){}}
	m.to = func(from, next string) (string, error) {
		got, err := S(from).To(S(next))
		return string(got), err
	}
	for _, c := range causes {
		m.causes[c.name] = func(from, next string) (string, error) {
			got, err := c.move(S(from), S(next))
			return string(got), err
		}
	}
	return m
}

// caused is a method that makes the moves of one cause.
type caused[S any] struct {
	name string
	move func(from, next S) (S, error)
}

// machines are all state machines, by their names in testdata/states.txt.
var machines = map[string]machine{
	"checkout": machineOf[CheckoutState]("CheckoutState"),
	"order":    machineOf("OrderState", caused[OrderState]{"RefundReturned", OrderState.RefundReturned}),
	"line":     machineOf("LineState", caused[LineState]{"Reinstate", func(s, _ LineState) (LineState, error) { return s.Reinstate("won") }}),
	"payment":  machineOf[PaymentState]("PaymentState"),
	"refund":   machineOf("RefundState", caused[RefundState]{"ReturnedByBank", func(s, _ RefundState) (RefundState, error) { return s.ReturnedByBank() }}),
	"dispute":  machineOf("DisputeState", caused[DisputeState]{"Overturned", func(s, _ DisputeState) (DisputeState, error) { return s.Overturned() }}),
	"subscription": machineOf("SubscriptionState",
		caused[SubscriptionState]{"PeriodEnded", func(s, _ SubscriptionState) (SubscriptionState, error) { return s.PeriodEnded(true) }},
		caused[SubscriptionState]{"Terminate", func(s, _ SubscriptionState) (SubscriptionState, error) { return s.Terminate("malware") }}),
	"invoice":     machineOf[InvoiceState]("InvoiceState"),
	"license":     machineOf("LicenseState", caused[LicenseState]{"Reinstate", func(s, _ LicenseState) (LicenseState, error) { return s.Reinstate("won") }}),
	"activation":  machineOf[ActivationState]("ActivationState"),
	"entitlement": machineOf("EntitlementState", caused[EntitlementState]{"Reinstate", func(s, _ EntitlementState) (EntitlementState, error) { return s.Reinstate("won") }}),
	"hold":        machineOf[HoldState]("HoldState"),
	"payee":       machineOf[PayeeState]("PayeeState"),
	"bucket":      machineOf("Bucket", caused[Bucket]{"Returned", func(b, _ Bucket) (Bucket, error) { return b.Returned() }}),
	"payout":      machineOf[PayoutState]("PayoutState"),
	"listing":     machineOf[ListingState]("ListingState"),
	"release":     machineOf("ReleaseState", caused[ReleaseState]{"Overrule", func(s, _ ReleaseState) (ReleaseState, error) { return s.Overrule("harmless") }}),
	"seller":      machineOf("SellerState", caused[SellerState]{"Reapply", func(s, _ SellerState) (SellerState, error) { return s.Reapply(at, at) }}),
	"review":      machineOf[ReviewState]("ReviewState"),
	"case":        machineOf("CaseState", caused[CaseState]{"Decide", func(s, _ CaseState) (CaseState, error) { return s.Decide("removed", "malware") }}),
	"endpoint":    machineOf[EndpointState]("EndpointState"),
	"delivery":    machineOf("DeliveryState", caused[DeliveryState]{"Replay", func(s, _ DeliveryState) (DeliveryState, error) { return s.Replay() }}),
	"replica":     machineOf[ReplicaState]("ReplicaState"),
	"drill":       machineOf[DrillState]("DrillState"),
	"instance":    machineOf[InstanceState]("InstanceState"),
}

// diagram is a machine as testdata/states.txt draws it.
type diagram struct {
	states, starts, ends map[string]bool
	arrows               map[arrow]bool
}

type arrow struct{ from, next, cause string }

func diagrams(t *testing.T) map[string]*diagram {
	text, err := os.ReadFile("testdata/states.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*diagram{}
	for line := range strings.Lines(string(text)) {
		line, _, _ := strings.Cut(strings.TrimSpace(line), "+")
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, ": ")
		d := all[name]
		if d == nil {
			d = &diagram{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[arrow]bool{}}
			all[name] = d
		}
		if !d.read(strings.Fields(rest)) {
			t.Fatalf("testdata/states.txt: %q is said twice or in other words than the first lines give", line)
		}
	}
	return all
}

// read takes in "start x", "end x", "x -> y" and "x -> y by Cause".
func (d *diagram) read(words []string) bool {
	switch {
	case len(words) == 2 && words[0] == "start":
		d.states[words[1]], d.starts[words[1]] = true, true
		return true
	case len(words) == 2 && words[0] == "end":
		d.states[words[1]], d.ends[words[1]] = true, true
		return true
	}
	a := arrow{}
	switch {
	case len(words) == 3 && words[1] == "->":
		a = arrow{words[0], words[2], ""}
	case len(words) == 5 && words[1] == "->" && words[3] == "by":
		a = arrow{words[0], words[2], words[4]}
	}
	if a.from == "" || d.arrows[a] {
		return false
	}
	d.states[a.from], d.states[a.next], d.arrows[a] = true, true, true
	return true
}

// TestEveryMoveOfEveryStateMachine tries each state with each other, by To and by each
// cause: what is drawn is done, and everything else refused.
func TestEveryMoveOfEveryStateMachine(t *testing.T) {
	for name, d := range diagrams(t) {
		m, ok := machines[name]
		if !ok {
			t.Errorf("there is no machine %q", name)
			continue
		}
		states := append(slices.Sorted(maps.Keys(d.states)), "", "unknown")
		for _, from := range states {
			for _, next := range states {
				got, err := m.to(from, next)
				if d.arrows[arrow{from, next, ""}] {
					if err != nil || got != next {
						t.Errorf("%s: %q to %q gives %q, %v", name, from, next, got, err)
					}
				} else if !Is(err, Conflict) || got != from {
					t.Errorf("%s: %q to %q gives %q, %v; want it refused", name, from, next, got, err)
				}
				for cause, move := range m.causes {
					d.try(t, name, arrow{from, next, cause}, move)
				}
			}
		}
	}
}

// try checks a cause's move, which may lead elsewhere than to next when next isn't drawn.
func (d *diagram) try(t *testing.T, name string, a arrow, move func(from, next string) (string, error)) {
	got, err := move(a.from, a.next)
	switch {
	case d.arrows[a] && (err != nil || got != a.next):
		t.Errorf("%s: %s of %q to %q gives %q, %v", name, a.cause, a.from, a.next, got, err)
	case err == nil && !d.arrows[arrow{a.from, got, a.cause}]:
		t.Errorf("%s: %s of %q gives %q; want it refused", name, a.cause, a.from, got)
	case err != nil && (!Is(err, Conflict) || got != a.from):
		t.Errorf("%s: %s of %q gives %q, %v", name, a.cause, a.from, got, err)
	}
}

// TestDiagramsAreWhole: every state is reached from a start, exactly the ends have no
// plain way out, and every cause makes a move.
func TestDiagramsAreWhole(t *testing.T) {
	for name, d := range diagrams(t) {
		reached := maps.Clone(d.starts)
		for grown := true; grown; {
			n := len(reached)
			for a := range d.arrows {
				if reached[a.from] {
					reached[a.next] = true
				}
			}
			grown = len(reached) > n
		}
		for s := range d.states {
			if !reached[s] {
				t.Errorf("%s: nothing leads to %q", name, s)
			}
			leaves := false
			for a := range d.arrows {
				leaves = leaves || a.from == s && a.cause == ""
			}
			if leaves == d.ends[s] {
				t.Errorf("%s: a plain move leaves %q: %t, and it is an end: %t", name, s, leaves, d.ends[s])
			}
		}
		for cause := range machines[name].causes {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(d.arrows)), func(a arrow) bool { return a.cause == cause }) {
				t.Errorf("%s: %s makes no move", name, cause)
			}
		}
		for a := range d.arrows {
			if a.cause != "" && machines[name].causes[a.cause] == nil {
				t.Errorf("%s: no test tries %s", name, a.cause)
			}
		}
	}
}

// TestNoStateIsForgotten compares the diagrams with the package: every type that has a
// method To has a diagram, with exactly its constants as states.
func TestNoStateIsForgotten(t *testing.T) {
	all, types := diagrams(t), map[string]string{}
	for name, m := range machines {
		types[m.typ] = name
		if all[name] == nil {
			t.Errorf("testdata/states.txt doesn't draw %q", name)
		}
	}
	constants, movers := declared(t)
	for _, typ := range movers {
		d := all[types[typ]]
		if d == nil {
			t.Errorf("there is no diagram of %s", typ)
			continue
		}
		if got, want := slices.Sorted(maps.Keys(d.states)), slices.Sorted(slices.Values(constants[typ])); !slices.Equal(got, want) {
			t.Errorf("%s has the states %v, and the diagram %v", typ, want, got)
		}
	}
	if len(movers) != len(machines) {
		t.Errorf("%d types have a method To, and %d are tested", len(movers), len(machines))
	}
}

// declared returns the values of the constants of every named type of the package, and
// the types with a method To.
func declared(t *testing.T) (constants map[string][]string, movers []string) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	constants = map[string][]string{}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv != nil && n.Name.Name == "To" {
					movers = append(movers, n.Recv.List[0].Type.(*ast.Ident).Name)
				}
			case *ast.ValueSpec:
				addConstant(constants, n)
			}
			return true
		})
	}
	return constants, movers
}

func addConstant(constants map[string][]string, spec *ast.ValueSpec) {
	typ, ok := spec.Type.(*ast.Ident)
	if !ok || len(spec.Values) != 1 {
		return
	}
	if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
		value, _ := strconv.Unquote(lit.Value)
		constants[typ.Name] = append(constants[typ.Name], value)
	}
}

// TestCausesNeedTheirReason: a move that is made for a reason isn't made without.
func TestCausesNeedTheirReason(t *testing.T) {
	for name, err := range map[string]error{
		"license":      second(LicenseRevoked.Reinstate(" ")),
		"entitlement":  second(EntitlementRevoked.Reinstate("")),
		"line":         second(LineRevoked.Reinstate("\n")),
		"release":      second(ReleaseBlocked.Overrule("")),
		"subscription": second(SubscriptionActive.Terminate("")),
		"case":         second(CaseTriaged.Decide("removed", "")),
		"case, action": second(CaseTriaged.Decide("", "malware")),
	} {
		if !Is(err, Invalid) || err.(*Error).Field == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestReapplyWaits(t *testing.T) {
	if got, err := SellerRejected.Reapply(at, at.Add(1)); got != SellerRejected || !Is(err, Conflict) || !strings.Contains(Message(err), "1 March 2026") {
		t.Errorf("before its time: %q, %v", got, err)
	}
	if got, err := SellerRejected.Reapply(at.Add(1), at); got != SellerApplied || err != nil {
		t.Errorf("after: %q, %v", got, err)
	}
}

func TestPeriodEndedWithoutTheFlag(t *testing.T) {
	for s := range diagrams(t)["subscription"].states {
		if got, err := SubscriptionState(s).PeriodEnded(false); string(got) != s || err != nil {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}
