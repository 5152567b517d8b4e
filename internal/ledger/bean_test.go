package ledger

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
)

// The directives of a beancount file as this package writes them.
var (
	beanString    = `"((?:[^"\\\n]|\\["\\n])*)"`
	beanDate      = `(\d{4}-\d\d-\d\d)`
	beanName      = `((?:Assets|Liabilities|Equity|Income|Expenses)(?::[A-Z0-9][A-Za-z0-9-]*)+)`
	beanAmount    = `(-?\d+(?:\.\d+)? [A-Z]{3})`
	optionLine    = regexp.MustCompile(`^option ` + beanString + ` ` + beanString + `$`)
	commodityLine = regexp.MustCompile(`^` + beanDate + ` commodity ([A-Z]{3})$`)
	openLine      = regexp.MustCompile(`^` + beanDate + ` open ` + beanName + `  ([A-Z]{3}(?:,[A-Z]{3})*)$`)
	headLine      = regexp.MustCompile(`^` + beanDate + ` \* ` + beanString + `$`)
	metaLine      = regexp.MustCompile(`^  ([a-z]+): ` + beanString + `$`)
	entryLine     = regexp.MustCompile(`^  ` + beanName + `  ` + beanAmount + `$`)
	balanceLine   = regexp.MustCompile(`^` + beanDate + ` balance ` + beanName + `  (-?\d+(?:\.\d+)?) ~ 0 ([A-Z]{3})$`)
)

// bean is a beancount file read back, strictly: names are known before they are used,
// dates don't go back, amounts have the digits of their currency.
type bean struct {
	testing.TB
	owner    map[string]string // ledger accounts by their name in the file
	holds    map[string]string // currencies of a name
	known    map[string]bool   // currencies
	sums     map[[2]string]market.Money
	balances map[[2]string]market.Money
	causes   []string
	last     string
	opened   string // the name opened last
}

func readBean(t testing.TB, text string) *bean {
	t.Helper()
	b := &bean{TB: t, owner: map[string]string{}, holds: map[string]string{}, known: map[string]bool{}, sums: map[[2]string]market.Money{}, balances: map[[2]string]market.Money{}}
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !b.read(line) {
			t.Errorf("not beancount: %q", line)
		}
	}
	return b
}

// read takes in a line, and reports whether it is one of those that there are.
func (b *bean) read(line string) bool {
	b.Helper()
	for _, kind := range []struct {
		form *regexp.Regexp
		take func(m []string)
	}{
		{optionLine, func(m []string) {}},
		{commodityLine, func(m []string) {
			b.date(m[1])
			b.known[m[2]] = true
		}},
		{openLine, func(m []string) {
			b.date(m[1])
			if b.opened = m[2]; b.holds[b.opened] != "" {
				b.Errorf("opened twice: %s", b.opened)
			}
			b.holds[b.opened] = m[3]
		}},
		{headLine, func(m []string) { b.date(m[1]) }},
		{metaLine, func(m []string) {
			switch m[1] {
			case "account":
				b.owner[b.opened] = m[2]
			case "cause":
				b.causes = append(b.causes, m[2])
			}
		}},
		{entryLine, func(m []string) { b.add(b.sums, m[1], m[2]) }},
		{balanceLine, func(m []string) {
			if m[1] <= b.last && len(b.balances) == 0 {
				b.Errorf("a balance of %s, and a transaction of %s", m[1], b.last)
			}
			b.date(m[1])
			b.add(b.balances, m[2], m[3]+" "+m[4])
		}},
	} {
		if m := kind.form.FindStringSubmatch(line); m != nil {
			kind.take(m)
			return true
		}
	}
	return false
}

func (b *bean) date(day string) {
	b.Helper()
	if day < b.last {
		b.Errorf("%s after %s", day, b.last)
	}
	b.last = day
}

func (b *bean) add(to map[[2]string]market.Money, name, text string) {
	b.Helper()
	amount, err := market.ParseMoney(text)
	code := string(amount.Currency)
	if err != nil || amount.String() != text || !b.known[code] || !strings.Contains(b.holds[name], code) {
		b.Errorf("%s of %s, which holds %q: %v", text, name, b.holds[name], err)
		return
	}
	k := [2]string{b.owner[name], code}
	if to[k], err = to[k].Add(amount); err != nil {
		b.Error(err)
	}
}

// beanCheck runs beancount's own check over a file and returns its complaints.
func beanCheck(t testing.TB, text string) string {
	t.Helper()
	program := testenv.Binary(t, "bean-check", "install Debian's package beancount, or pip install beancount")
	path := filepath.Join(t.TempDir(), "books.beancount")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(program, "--no-cache", path).CombinedOutput()
	if err == nil && len(said) == 0 {
		return ""
	}
	return fmt.Sprintf("%v: %s", err, said)
}
