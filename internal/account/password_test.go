package account

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// published is a hash of "password" from the tests of Argon2's reference implementation
// (phc-winner-argon2, src/test.c).
const published = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestPublishedHash(t *testing.T) {
	h := newHasher()
	for password, want := range map[string]bool{"password": true, "Password": false, "": false} {
		got, err := h.match(context.Background(), password, &market.Account{Password: published})
		if err != nil || got != want {
			t.Errorf("%q: %t, %v; want %t", password, got, err, want)
		}
	}
}

func TestHashesAreSaltedAndRead(t *testing.T) {
	h := newHasher()
	ctx := context.Background()
	one, err := h.hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("the same password has the same hash twice")
	}
	p, err := parsePHC(one)
	if err != nil || p.cost != today || p.encode() != one {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestUnreadableHashes(t *testing.T) {
	for _, h := range []market.PasswordHash{
		"", "secret", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=18$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=2,p=0$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$!!!",
	} {
		if p, err := parsePHC(h); err == nil {
			t.Errorf("%q was read as %+v", string(h), p)
		}
	}
}

func TestSignInRenewsAnOldHash(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	in.update(func(tx *store.Tx) error {
		a.Password = published
		return store.Accounts.Put(tx, &a)
	})
	first := in.signIn(Attempt{Email: address, Password: "password"})
	if p, err := parsePHC(first.Account.Password); err != nil || p.cost != today {
		t.Errorf("the hash has the cost %+v, %v; want today's", p.cost, err)
	}
	second := in.signIn(Attempt{Email: address, Password: "password", Device: first.Device})
	if second.Device != first.Device {
		t.Error("the browser's mark was not made with the new hash")
	}
}

func TestTooManyHashesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hasher{slots: make(chan struct{}, 1), ran: func() { t.Error("a hash ran without a slot") }}
		h.slots <- struct{}{}
		if _, err := h.key(t.Context(), password, nobody); !market.Is(err, market.Unavailable) {
			t.Errorf("%v, want Unavailable", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.key(ctx, password, nobody); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want Canceled", err)
		}
	})
}

func TestNewPasswordsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := NewPassword()
		if len(p) != 19 || seen[p] || checkPassword(p) != nil {
			t.Fatalf("%q", p)
		}
		seen[p] = true
	}
}
