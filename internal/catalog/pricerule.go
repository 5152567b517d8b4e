package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// PriceRule prices new listings of an import: every Every-th row costs Price, the
// others are free. The zero value makes everything free.
type PriceRule struct {
	Price market.Money
	Every int
}

// DefaultPriceRule makes every tenth listing cost nine dollars, so that there is
// something to buy.
var DefaultPriceRule = PriceRule{market.Money{Amount: 900, Currency: "USD"}, 10}

// ParsePriceRule reads "free", an amount ("9.00 USD", for every listing), or an amount
// for every n-th ("9.00 USD every 10").
func ParsePriceRule(s string) (PriceRule, error) {
	if strings.EqualFold(strings.TrimSpace(s), "free") {
		return PriceRule{}, nil
	}
	amount, every, ok := strings.Cut(s, "every")
	n := 1
	if ok {
		var err error
		if n, err = strconv.Atoi(strings.TrimSpace(every)); err != nil || n < 1 {
			return PriceRule{}, market.Errorf(market.Invalid, "%q is no price rule: after \"every\" goes a whole number from 1, as in \"9.00 USD every 10\".", s)
		}
	}
	m, err := market.ParseMoney(amount)
	if err != nil || m.Amount < 0 {
		return PriceRule{}, market.Errorf(market.Invalid, "%q is no price rule. Write \"free\", \"9.00 USD\" or \"9.00 USD every 10\".", s)
	}
	return PriceRule{m, n}, nil
}

func (p PriceRule) String() string {
	switch {
	case p.Every == 0 || p.Price.IsZero():
		return "free"
	case p.Every == 1:
		return p.Price.String()
	}
	return fmt.Sprintf("%s every %d", p.Price, p.Every)
}

func (p PriceRule) of(row int) market.Money {
	if p.Every > 0 && row%p.Every == 0 {
		return p.Price
	}
	return market.Money{Currency: p.Price.Currency}
}
