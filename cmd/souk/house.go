package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/drill"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/media"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
)

// house is an open data directory: the store with its files and its search index.
type house struct {
	cfg     Config
	log     *slog.Logger
	db      *store.DB
	blobs   *blob.Store
	media   *media.Variants
	pages   *pagecache.Cache
	index   *search.Index
	catalog *catalog.Catalog
	people  *account.Roster
	bank    *sandbox.Bank // nil where Stripe takes the payments
	drills  *drill.Runner // nil until it is asked for (drillRunner), or the server has started

	attached *replica.Attachment // nil unless part of the data is still in a replica

	// What replicate sets.
	takeOver bool // from the server that writes to the replica
	promoted bool // by this process: only the first replica has to open
	replicas []*shipper
	duty     *duty
	acks     *acks // nil where nothing waits for a replica
}

// openHouse opens the data directory, making it when it isn't there.
func openHouse(cfg Config) (*house, error) { return openHouseAs(cfg, false) }

// openHouseAs is openHouse, or opens the directory of a standby.
func openHouseAs(cfg Config, standby bool) (*house, error) {
	h := &house{cfg: cfg, log: cfg.logger()}
	o := h.storeOptions(standby)
	err := h.attach(&o)
	if err != nil {
		return nil, err
	}
	if h.db, err = store.Open(o); err != nil {
		return nil, err
	}
	if err := h.furnish(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// furnish opens what stands beside the database.
func (h *house) furnish() (err error) {
	if h.blobs, err = blob.Open(filepath.Join(h.cfg.Data, "blobs")); err != nil {
		return err
	}
	if h.attached != nil {
		h.blobs.SetFetch(h.attached.FetchBlob)
	}
	if err = h.openMedia(); err != nil {
		return err
	}
	synonyms, err := synonymsIn(h.cfg.Data)
	if err != nil {
		return err
	}
	h.index, err = search.Open(search.Options{Dir: filepath.Join(h.cfg.Data, "search"), DB: h.db, Logger: h.log, Synonyms: synonyms})
	if err != nil {
		return err
	}
	h.catalog = &catalog.Catalog{Store: h.db, Tenant: market.MainTenant, Index: h.index, Logger: h.log}
	h.pages = pagecache.New(h.db, pagecache.Options{})
	h.people = account.New(account.Config{Store: h.db, Tenant: market.MainTenant, Logger: h.log})
	return nil
}

func (h *house) storeOptions(standby bool) store.Options {
	return store.Options{
		Dir: filepath.Join(h.cfg.Data, "store"), Logger: h.log, CacheSize: h.cfg.CacheSize, MinFree: uint64(h.cfg.MinFree), Standby: standby,
	}
}

func (h *house) close() error {
	defer flushLog(h.log)
	var errs []error
	if h.bank != nil {
		errs = append(errs, h.bank.Close())
	}
	if h.index != nil {
		errs = append(errs, h.index.Close())
	}
	return errors.Join(append(errs, h.db.Close())...)
}

// checkBlob compares a blob with what its record says, by size; full reads its content too.
func (h *house) checkBlob(ctx context.Context, full bool) func(sha256 string, size int64) error {
	return func(sha256 string, size int64) error {
		sum, err := blob.ParseSum(sha256)
		if err != nil {
			return err
		}
		f, err := h.blobs.Open(ctx, sum)
		if err != nil {
			return err
		}
		defer f.Close()
		if f.Size() != size {
			return fmt.Errorf("it has %d bytes instead of %d", f.Size(), size)
		}
		if full {
			return h.blobs.Verify(ctx, sum)
		}
		return nil
	}
}

// mailHost is the domain of the marketplace's mail where none is configured.
func mailHost(baseURL string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(baseURL, "https://"), "http://")
	host, _, _ = strings.Cut(host, ":")
	if strings.ContainsAny(host, "[]") || strings.Trim(host, "0123456789.") == "" {
		return "localhost"
	}
	return host
}
