package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// keyed is an empty encrypted replica in a directory.
func keyed(t *testing.T) *place {
	root := filepath.Join(t.TempDir(), "replica")
	p := &place{t: t, url: "file://" + root, root: root, key: NewRecoveryKey()}
	p.c = p.client()
	return p
}

// with is the same replica, reached with another key.
func (p *place) with(k *Key) *place {
	q := *p
	q.key = k
	q.c = q.client()
	return &q
}

// TestNothingIsReadable: no record, blob, name or key is in the objects of an encrypted replica.
func TestNothingIsReadable(t *testing.T) {
	p := keyed(t)
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("Scheherazade")
	sum := n.upload("a thousand and one nights")
	mustSync(t, r)
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	plainName := (&Client{}).contentName(sum)
	lo, hi := plainName.txids()
	n.sell("Dunyazade")
	mustSync(t, r)
	objects := 0
	filepath.WalkDir(p.root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		objects++
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"Scheherazade", "Dunyazade", "thousand", string(sum[:]), string(plainName[:]), string(p.key.mac), string(p.key.public)} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
		if strings.Contains(name, ltx.FormatFilename(lo, hi)) {
			t.Errorf("%s is named by a hash that anybody can compute", name)
		}
		return nil
	})
	if objects < 6 {
		t.Errorf("there are %d objects, want files, a snapshot, a segment, a blob and the manifest", objects)
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

// TestWrongKeys are refused in words, by a server as by a restore, and never tried again.
func TestWrongKeys(t *testing.T) {
	sealed, plain := keyed(t), &place{t: t, url: "file://" + t.TempDir()}
	nodes := map[*place]*node{}
	for _, p := range []*place{sealed, plain} {
		nodes[p] = openNode(t, t.TempDir())
		nodes[p].sell("one")
		mustSync(t, nodes[p].replicate(p.client()))
	}
	server, err := ParseKey(sealed.key.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		p       *place
		key     *Key
		want    string
		reading bool // only a restore is refused
	}{
		{"another key", sealed, NewRecoveryKey(), "Give the right key", false},
		{"no key", sealed, nil, "Give that key", false},
		{"a key where none belongs", plain, NewRecoveryKey(), "take the key away", false},
		{"a server key for reading", sealed, server, "Give the recovery key", true},
	} {
		p := tt.p.with(tt.key)
		_, err := Restore(ctx, []*Client{p.c}, filepath.Join(t.TempDir(), "x"), Target{}, RestoreOptions{})
		if !errors.Is(err, ErrKey) || !market.Is(err, market.Forbidden) || !strings.Contains(market.Message(err), tt.want) {
			t.Errorf("%s: restoring: %v, want a sentence with %q", tt.name, err, tt.want)
		}
		if tt.reading {
			continue
		}
		n := nodes[tt.p]
		if err := New(n.db, n.blobs, p.c, Options{}).Open(ctx); !errors.Is(err, ErrKey) || !final(err) {
			t.Errorf("%s: opening: %v", tt.name, err)
		}
	}
}

// TestServerKeyBacksUp: a server that holds the key that only writes does all that a
// server does, over restarts and lost answers; the recovery key restores it.
func TestServerKeyBacksUp(t *testing.T) {
	p := keyed(t)
	server, err := ParseKey(p.key.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	s := p.with(server)
	n := openNode(t, t.TempDir())
	for i := range 4 {
		c := s.client()
		wire := &lossy{transport: c.at}
		c.at = wire
		r := n.replicate(c)
		if got := r.Position().TXID; got != ltx.TXID(2*i) {
			t.Fatalf("after restart %d the replica stands at file %d, want %d", i, got, 2*i)
		}
		n.upload(strings.Repeat("file ", i+1))
		mustSync(t, r)
		if i%2 == 1 {
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
		}
		wire.lose = 1
		n.sell("seller-" + string(rune('a'+i)))
		if _, err := r.Sync(ctx); err == nil {
			t.Fatal("a lost answer went unnoticed")
		}
		mustSync(t, r)
		n.reopen()
	}
	got, rep := p.restore(Target{})
	if got.digest() != n.digest() || rep.Blobs != 4 {
		t.Errorf("the restored data differ; %d blobs, want 4", rep.Blobs)
	}
}

// forge writes a file of a replica without its key: with another, or without.
func forge(t *testing.T, name string, f footer, k *Key) {
	t.Helper()
	w, err := newFileWriter(t.TempDir(), k)
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	if err := w.set([]byte{1, 2, 3}, []byte("a sale that never was"), false); err != nil {
		t.Fatal(err)
	}
	body, err := w.finish(&f)
	if err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&Client{key: k}).sealed(&f, body, size)
	if err != nil {
		t.Fatal(err)
	}
	defer out.discard()
	b, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestForgery: whoever can write to the bucket, but lacks the key, can't add, change,
// leave out or reorder a file without being noticed.
func TestForgery(t *testing.T) {
	p := keyed(t)
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	var at []Position
	for _, name := range []string{"one", "two", "three", "four"} {
		n.sell(name)
		at = append(at, mustSync(t, r))
	}
	name := func(i ltx.TXID) string { return p.file(1, levelChanges, i, i) }
	whole := map[ltx.TXID][]byte{}
	for i := range ltx.TXID(4) {
		b, err := os.ReadFile(name(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		whole[i+1] = b
	}
	mend := func() {
		for i, b := range whole {
			if err := os.WriteFile(name(i), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	next := footer{
		Generation: 1, TXID: 4, LSNMin: at[2].LSN + 1, LSNMax: at[3].LSN, PrevChain: at[2].Chain, Chain: at[3].Chain, PrevLink: at[2].Link,
		Node: n.db.Node().ID, Schema: store.SchemaVersion, Time: at[3].Time.UnixMilli(),
	}
	stolen := &Key{recipient: p.key.recipient, public: p.key.public, mac: bytes.Repeat([]byte{1}, 32)}
	for what, attack := range map[string]func(){
		"a file that isn't encrypted":       func() { forge(t, name(4), next, nil) },
		"a file for another key":            func() { forge(t, name(4), next, NewRecoveryKey()) },
		"a file for the public key, no MAC": func() { forge(t, name(4), next, stolen) },
		"a file under another number":       func() { os.WriteFile(name(4), whole[3], 0o600) },
		"the body of another file":          func() { os.WriteFile(name(4), graft(t, whole[4], whole[3]), 0o600) },
		"a changed public part":             func() { os.WriteFile(name(4), rewritten(t, whole[4]), 0o600) },
	} {
		t.Log(what)
		attack()
		p.refuse(Target{}, ErrCorrupt, filepath.Base(name(4)))
		mend()
	}
	// A file from another history of the same key: a server that ran twice.
	forge(t, name(3), footer{
		Generation: 1, TXID: 3, LSNMin: 3, LSNMax: 3, PrevChain: at[1].Chain, Chain: at[2].Chain, PrevLink: Link{9},
		Node: n.db.Node().ID, Schema: store.SchemaVersion, Time: at[2].Time.UnixMilli(),
	}, p.key)
	p.refuse(Target{}, ErrCorrupt, filepath.Base(name(3)))
	mend()
	manifest := filepath.Join(p.root, manifestKey(1))
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, bytes.Replace(b, []byte("nod_"), []byte("nod_x"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	p.refuse(Target{}, ErrCorrupt, "manifest.json")
}

// graft puts the encrypted body of one file under the public part of another.
func graft(t *testing.T, public, body []byte) []byte {
	t.Helper()
	return append(append(append([]byte{}, public[:ltx.HeaderSize]...), body[ltx.HeaderSize:publicStart(body)]...), public[publicStart(public):]...)
}

// publicStart is where the MAC of an encrypted file begins.
func publicStart(b []byte) int {
	return len(b) - trailerSize - int(binary.BigEndian.Uint32(b[len(b)-trailerSize:])) - len(Link{})
}

// rewritten changes the public part of a file, with all checksums as they should be.
func rewritten(t *testing.T, b []byte) []byte {
	t.Helper()
	start := publicStart(b) + len(Link{})
	var f footer
	if err := cbor.Unmarshal(b[start:len(b)-trailerSize], &f); err != nil {
		t.Fatal(err)
	}
	f.Committed++
	public, err := cbor.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]byte{}, b[:start]...), withTrailer(public)...)
}

// TestPartsOfLargeSealedFile: the footer and single tables of an encrypted file are read
// where it is, without fetching the rest; with the server key its public part.
func TestPartsOfLargeSealedFile(t *testing.T) {
	p := keyed(t)
	w, err := newFileWriter(t.TempDir(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	noise := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 60_000)
	for i := range 100 {
		for j := range value {
			value[j] = byte(noise.Uint32())
		}
		if err := w.set([]byte{1, byte(i)}, value, false); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if err := w.endTable(); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := &footer{Generation: 1, TXID: 9, MinTXID: 3, LSNMin: 5, LSNMax: 30, Node: "nod_1", Schema: store.SchemaVersion, Link: Link{7}, PrevLink: Link{6},
		Blobs: [][32]byte{{1}, {2}}}
	body, err := w.finish(f)
	if err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.c.putFile(ctx, 2, f, body, size); err != nil {
		t.Fatal(err)
	}
	files, err := p.c.list(ctx, generationPath(1), 2)
	if err != nil || len(files) != 1 {
		t.Fatalf("listed %v, %v", files, err)
	}
	ref := fileRef{1, 2, 3, 9, files[0].Size}
	server, err := ParseKey(p.key.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{p.client(), p.with(server).client()} {
		got, err := c.footerOf(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		if got.LSNMax != 30 || got.Link != f.Link || got.PrevLink != f.PrevLink || len(got.BlobNames) != 2 {
			t.Errorf("the footer is %+v", got)
		}
		if reads := c.key.CanRead(); reads != (len(got.Tables) == 10) || reads != (len(got.Blobs) == 2) {
			t.Errorf("reading is %v, and there are %d tables and %d blobs", reads, len(got.Tables), len(got.Blobs))
		}
		if n := c.Requests().BytesIn; n > uint64(ref.size)/10 {
			t.Errorf("%d of %d bytes were fetched for the footer", n, ref.size)
		}
	}
	c := p.client()
	cf, err := openWith(c.key, "large", &rangeReader{ctx, c, ref}, ref.size)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	if err := cf.read(7, func(key, _ []byte, _ bool) error { keys++; return nil }); err != nil || keys != 10 {
		t.Errorf("table 8 has %d keys, %v; want 10", keys, err)
	}
	if n := c.Requests().BytesIn; n > uint64(ref.size)/4 {
		t.Errorf("%d of %d bytes were fetched for a tenth of them", n, ref.size)
	}
}

// TestFormat1 restores what was written before encryption, merging and segments, and goes
// on from it.
func TestFormat1(t *testing.T) {
	root := filepath.Join(t.TempDir(), "replica")
	if err := os.CopyFS(root, os.DirFS("testdata/format1")); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, url: "file://" + root, root: root}
	p.c = p.client()
	names := func(n *node) string {
		var all []string
		err := n.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
			for _, name := range []string{"one", "two", "three", "four", "five"} {
				has, err := store.Sellers.Has(tx, market.SellerID("sel_"+name))
				if err != nil {
					return err
				}
				if has {
					all = append(all, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, " ")
	}
	for _, tt := range []struct {
		target Target
		want   string
	}{
		{Target{Generation: 1, TXID: 1}, "one two"},
		{Target{Generation: 1, TXID: 2}, "one"},
		{Target{Generation: 1, TXID: 3}, "one three"},
		{Target{}, "three four"},
	} {
		got, _ := p.restore(tt.target)
		if names(got) != tt.want {
			t.Errorf("the restore to %+v has %q, want %q", tt.target, names(got), tt.want)
		}
	}
	heir, rep := p.restore(Target{})
	if rep.Blobs != 1 {
		t.Errorf("%d blobs were restored, want 1", rep.Blobs)
	}
	r := New(heir.db, heir.blobs, p.client(), Options{SpoolDir: t.TempDir(), TakeOver: true})
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	heir.sell("five")
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	got, _ := p.restore(Target{})
	if got.digest() != heir.digest() || names(got) != "three four five" {
		t.Errorf("the restore of what went on has %q", names(got))
	}
}

// FuzzSealedFile: whatever comes from a bucket as an encrypted file is read or refused,
// also when somebody with the key has made it to confuse a reader.
func FuzzSealedFile(f *testing.F) {
	k, err := recoveryKey(make([]byte, seedSize))
	if err != nil {
		f.Fatal(err)
	}
	server, err := serverKey(k.public, k.mac)
	if err != nil {
		f.Fatal(err)
	}
	w, err := newFileWriter(f.TempDir(), k)
	if err != nil {
		f.Fatal(err)
	}
	defer w.discard()
	if err := w.set([]byte{1, 2}, []byte("value"), false); err != nil {
		f.Fatal(err)
	}
	seed := &footer{Generation: 1, TXID: 2, Node: "nod_1", LSNMax: 3, Blobs: [][32]byte{{4}}}
	body, err := w.finish(seed)
	if err != nil {
		f.Fatal(err)
	}
	public, secret, _, err := seed.split(k)
	if err != nil {
		f.Fatal(err)
	}
	table := make([]byte, seed.Tables[0].Size)
	if err := readFull(body, table, ltx.HeaderSize); err != nil {
		f.Fatal(err)
	}
	f.Add(public, table, secret, uint32(len(secret)), true)
	f.Add(public, table, secret, uint32(len(secret)), false)
	f.Fuzz(func(t *testing.T, public, tables, secret []byte, length uint32, vouched bool) {
		b := madeOf(t, k, public, tables, secret, length, vouched)
		for _, key := range []*Key{k, server} {
			cf, err := openWith(key, "fuzzed", bytes.NewReader(b), int64(len(b)))
			if err != nil {
				if !errors.Is(err, ErrCorrupt) && !market.Is(err, market.Conflict) {
					t.Fatalf("got %v, want a *CorruptError", err)
				}
				continue
			}
			if cf.MAC == (Link{}) || key.CanRead() != (cf.r != nil) {
				t.Fatal("a file without a MAC is taken, or read without a key")
			}
			for i := range cf.Tables {
				if err := cf.read(i, func([]byte, []byte, bool) error { return nil }); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("reading a table: %v", err)
				}
			}
		}
	})
}

// madeOf puts a sealed file together. When it is vouched for, the public part goes with
// the secret one, and has the header and MAC that belong to it.
func madeOf(t *testing.T, k *Key, public, tables, secret []byte, length uint32, vouched bool) []byte {
	t.Helper()
	f := footer{Version: formatVersion}
	if cbor.Unmarshal(public, &f) == nil && vouched {
		f.Inner = k.sum("secret part", secret)
		var err error
		if public, err = cbor.Marshal(f); err != nil {
			t.Fatal(err)
		}
	}
	b := bytes.NewBuffer(f.header())
	plain := binary.BigEndian.AppendUint32(append(bytes.Clone(tables), secret...), length)
	if err := k.encrypt(b, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	mac := k.sum("file", public)
	b.Write(mac[:])
	b.Write(withTrailer(bytes.Clone(public)))
	return b.Bytes()
}
