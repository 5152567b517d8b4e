package market

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// AttributeName is the slug of an attribute ("region").
type AttributeName string

// Attribute is a fact about agents that the operator of a marketplace has thought of, besides
// those of Facts: where its data stays, whether it is certified.
type Attribute struct {
	Name    AttributeName `cbor:"id"`
	Title   string        `cbor:"title"` // "Data stays in"
	Kind    AttributeKind `cbor:"kind"`
	Choices []string      `cbor:"choices,omitempty"` // of AttributeChoice, in the order in which they are shown
	Place   int           `cbor:"place,omitempty"`   // on the label, the smallest first
}

// AttributeKind is what an attribute's values are.
type AttributeKind string

const (
	AttributeText   AttributeKind = "text"   // a line
	AttributeNumber AttributeKind = "number" // decimal: "12", "-0.5"
	AttributeYesNo  AttributeKind = "yes-no" // "yes" or "no"
	AttributeChoice AttributeKind = "choice" // one of Choices
)

// AttributeValue is what an agent says to an attribute.
type AttributeValue struct {
	Name  AttributeName `cbor:"n"`
	Value string        `cbor:"v"`
}

// Limits of attributes: choices of one, and values of an agent. Titles, choices and values
// have MaxFactText bytes at most.
const (
	MaxChoices    = 64
	MaxAttributes = 32
)

var (
	attributeForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	numberForm    = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`)
)

// Clean brings an attribute into the form that is stored, or is Invalid with the field.
func (a *Attribute) Clean() error {
	if a.Title = CleanText(a.Title); a.Title == "" || len(a.Title) > MaxFactText {
		return FieldErrorf("title", "An attribute's title has 1 to %d bytes.", MaxFactText)
	}
	if !attributeForm.MatchString(string(a.Name)) || len(a.Name) > MaxTagLen {
		return FieldErrorf("attribute", "The name %q must be lower-case letters, digits and single hyphens, %d at most.", a.Name, MaxTagLen)
	}
	choices := make([]string, len(a.Choices))
	for i, c := range a.Choices {
		if choices[i] = CleanText(c); choices[i] == "" || len(choices[i]) > MaxFactText || slices.Contains(choices[:i], choices[i]) {
			return FieldErrorf("choices", "The choice %q must have 1 to %d bytes, and be there once.", c, MaxFactText)
		}
	}
	if a.Choices = choices; len(choices) == 0 {
		a.Choices = nil
	}
	switch a.Kind {
	case AttributeText, AttributeNumber, AttributeYesNo:
		if len(choices) > 0 {
			return FieldErrorf("choices", "Only an attribute of the kind choice has choices.")
		}
	case AttributeChoice:
		if len(choices) == 0 || len(choices) > MaxChoices {
			return FieldErrorf("choices", "An attribute of the kind choice has 1 to %d choices.", MaxChoices)
		}
	default:
		return FieldErrorf("kind", "%q is no kind of an attribute. There are text, number, yes-no and choice.", a.Kind)
	}
	return nil
}

// Value is a text as a value of the attribute, in the form that is stored; Invalid for one
// that isn't of its kind.
func (a *Attribute) Value(text string) (string, error) {
	text = CleanText(text)
	switch {
	case text == "" || len(text) > MaxFactText:
		return "", FieldErrorf("attributes", "A value of %s has 1 to %d bytes.", a.Name, MaxFactText)
	case a.Kind == AttributeNumber && !numberForm.MatchString(text):
		return "", FieldErrorf("attributes", "%s is a number, as 12 or 0.5, and %q isn't one.", a.Name, text)
	case a.Kind == AttributeYesNo && text != "yes" && text != "no":
		return "", FieldErrorf("attributes", "%s is yes or no, and not %q.", a.Name, text)
	case a.Kind == AttributeChoice && !slices.Contains(a.Choices, text):
		return "", FieldErrorf("attributes", "%s is one of %s, and not %q.", a.Name, quotedList(a.Choices), text)
	}
	return text, nil
}

func quotedList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = strconv.Quote(t)
	}
	return strings.Join(quoted, ", ")
}
