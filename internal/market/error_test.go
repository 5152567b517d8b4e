package market

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestErrorsKeepTheirKindAndHideTheirCause(t *testing.T) {
	cause := errors.New("disk /dev/sda3 is gone")
	known := Errorf(Unavailable, "Please try %s.", "later").Because(cause)
	wrapped := fmt.Errorf("order: settle ord_1: %w", known)
	if KindOf(wrapped) != Unavailable || !Is(wrapped, Unavailable) || Is(wrapped, Internal) || !errors.Is(wrapped, cause) {
		t.Errorf("%v is %v", wrapped, KindOf(wrapped))
	}
	if got := Message(wrapped); got != "Please try later." {
		t.Errorf("a person reads %q", got)
	}
	if got := wrapped.Error(); !strings.Contains(got, "sda3") || !strings.Contains(got, "ord_1") {
		t.Errorf("the log has %q", got)
	}
	if got := Message(fmt.Errorf("store: %w", cause)); strings.Contains(got, "sda3") || got == "" {
		t.Errorf("a person reads %q", got)
	}
	if KindOf(cause) != Internal || !Is(cause, Internal) || Is(nil, Internal) {
		t.Error("an error of no kind isn't internal, or none is")
	}
	// The outermost sentence counts.
	outer := Errorf(Conflict, "Outer.").Because(known)
	if KindOf(outer) != Conflict || Message(outer) != "Outer." {
		t.Errorf("%v is %v", outer, KindOf(outer))
	}
	if e := FieldErrorf("email", "Bad."); e.Field != "email" || e.Kind != Invalid {
		t.Errorf("%+v", e)
	}
	// Of several errors at once the first that a person may read counts.
	if both := errors.Join(cause, known, outer); KindOf(both) != Unavailable || Message(both) != "Please try later." {
		t.Errorf("%v is %v", both, KindOf(both))
	}
	// A sentence may have a sign that formats, and a field may have a cause.
	if e := FieldErrorf("price", "It is %d%% off.", 5).Because(cause); e.Error() != "It is 5% off: disk /dev/sda3 is gone" || e.Field != "price" || !errors.Is(e, cause) {
		t.Errorf("%+v", e)
	}
	if base := Errorf(Conflict, "Base."); base.Because(cause) == base || base.Err != nil {
		t.Error("Because changes its error")
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := Internal; k <= Unavailable; k++ {
		if name := k.String(); name == "" || strings.Contains(name, "(") || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if got := (Unavailable + 1).String(); got != "kind(9)" {
		t.Errorf("a kind that isn't one is called %q", got)
	}
}
