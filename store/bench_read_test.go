package store

import (
	"fmt"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// shelfOf30k opens a database of 30,000 agents as they lie after an import.
func shelfOf30k(b *testing.B) *DB {
	db := open(b, Options{Dir: b.TempDir()})
	insertMany(b, db, 30_000)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkLoad(b *testing.B) {
	db := shelfOf30k(b)
	b.ReportAllocs()
	cpu := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			_, err := Agents.Load(tx, market.AgentID(fmt.Sprintf("agt_%06d", i*7919%30_000)))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadBySlug(b *testing.B) {
	db := shelfOf30k(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			_, err := AgentBySlug.Load(tx, fmt.Sprint("s", i*7919%30_000))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan100 reads a page of a hundred from a random place of an index.
func BenchmarkScan100(b *testing.B) {
	db := shelfOf30k(b)
	var cursors []Cursor
	err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
		for row, err := range PopularAgents.Scan(tx, All{}, "") {
			if err != nil {
				return err
			}
			cursors = append(cursors, row.Cursor)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	cursors = cursors[:len(cursors)-100]
	b.ReportAllocs()
	cpu := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		n := 0
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			for _, err := range PopularAgents.Scan(tx, All{}, cursors[i*7919%len(cursors)]) {
				if err != nil {
					return err
				}
				if n++; n == 100 {
					break
				}
			}
			return nil
		})
		if err != nil || n != 100 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCheck30k(b *testing.B) {
	db := shelfOf30k(b)
	for b.Loop() {
		rep, err := db.Check(b.Context(), CheckOptions{})
		if err != nil || !rep.OK() {
			b.Fatal(rep, err)
		}
	}
}
