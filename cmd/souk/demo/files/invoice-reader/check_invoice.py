"""Checks that an invoice (JSON on standard input) adds up, and says where it doesn't."""

import decimal
import json
import sys

CENT = decimal.Decimal("0.01")


def money(value):
    return decimal.Decimal(str(value)).quantize(CENT, decimal.ROUND_HALF_UP)


def questions(inv):
    net = decimal.Decimal(0)
    tax = {}
    for n, line in enumerate(inv["lines"], 1):
        due = money(decimal.Decimal(str(line["quantity"])) * decimal.Decimal(str(line["price"])))
        if due != money(line["amount"]):
            yield f"line {n}: {line['quantity']} × {line['price']} is {due}, the page says {line['amount']}"
        net += money(line["amount"])
        tax[line["rate"]] = tax.get(line["rate"], 0) + money(line["amount"])
    total = net
    for rate, base in tax.items():
        total += money(base * decimal.Decimal(str(rate)) / 100)
    if abs(total - money(inv["total"])) > CENT:
        yield f"the lines with tax make {total}, the page says {inv['total']}"
    if inv.get("iban") and inv.get("iban_before") and inv["iban"] != inv["iban_before"]:
        yield "the account to pay to has changed: call the supplier on the number you had before"


if __name__ == "__main__":
    found = list(questions(json.load(sys.stdin)))
    print("\n".join(found) or "It adds up.")
    sys.exit(bool(found))
