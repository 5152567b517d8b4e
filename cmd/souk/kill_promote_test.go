package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

// TestKilledPromotion kills a promotion at each of the writes that it makes, before and
// after the bucket has done it, while the old primary sells: whatever that has confirmed
// is in the one history that goes on, and what it sells after it was sealed isn't
// confirmed, though it keeps no lease and was idle.
func TestKilledPromotion(t *testing.T) {
	for _, how := range []string{"of a stopped standby", "of a running standby"} {
		t.Run(how, func(t *testing.T) { killPromotion(t, how == "of a running standby") })
	}
}

// killing is a promotion that is killed.
type killing struct {
	t       *testing.T
	bucket  *testenv.FaultyS3
	standby string
	running bool // in the process of the standby
}

func killPromotion(t *testing.T, running bool) {
	dir, server := t.TempDir(), testenv.S3(t)
	old, direct := filepath.Join(dir, "old"), server.URL("souk")
	k := &killing{t: t, bucket: testenv.NewFaultyS3(t, server), standby: filepath.Join(dir, "standby"), running: running}
	importSample(t, old)
	primary := serve(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", direct, "--sync", "orders")
	free, _ := pick(t, visit(t, primary.URL))
	var confirmed []string
	sell := func() (sold bool) {
		v := visit(t, primary.URL)
		if v.open("/readyz").status != http.StatusOK {
			return false // it has noticed
		}
		p := v.checkOut(fmt.Sprintf("buyer%d@example.com", len(confirmed)), free.Slug)
		if p.status == http.StatusOK && strings.HasPrefix(p.url.Path, "/o/") {
			confirmed = append(confirmed, p.url.Path)
			return true
		}
		return false
	}
	if !sell() {
		t.Fatal("the primary doesn't sell")
	}
	mustSouk(t, "restore", "--from", direct, "--data", k.standby)

	killed, refused := 0, 0
	for n := 1; n < 6; n++ {
		for _, fault := range []testenv.Fault{testenv.Drop, testenv.Forget} {
			if !k.attempt(n, fault) {
				continue
			}
			killed++
			if !sell() {
				refused++
			} else if refused > 0 {
				t.Errorf("after %d kills the old primary sells again", killed)
			}
		}
	}
	k.bucket.Choose(nil)
	if killed < 4 || refused == 0 {
		t.Errorf("%d promotions were killed, and the old primary refused %d purchases after them: nothing was tested", killed, refused)
	}
	t.Logf("%d promotions killed, %d purchases confirmed, %d refused", killed, len(confirmed), refused)
	if _, err := os.Stat(filepath.Join(k.standby, promotedFile)); err != nil {
		mustSouk(t, "promote", "--data", k.standby, "--from", direct)
	}

	heir := serve(t, "standby", "--data", k.standby, "--addr", "127.0.0.1:0", "--from", direct)
	w := visit(t, heir.URL)
	for _, path := range confirmed {
		if p := w.open(path); p.status != http.StatusOK {
			t.Errorf("the receipt %s was confirmed, and has status %d at the new primary", path, p.status)
		}
	}
	if p := w.checkOut("grace@example.com", free.Slug); p.status != http.StatusOK {
		t.Errorf("buying at the new primary: status %d\n%s", p.status, p.Text())
	}
	heir.Stop()
	if out := mustSouk(t, "replica", "list", "--from", direct); !strings.Contains(out, "Generation 2") || strings.Contains(out, "Generation 3") {
		t.Errorf("want two generations, the old primary's and the new one's:\n%s", out)
	}
	if out := mustSouk(t, "replica", "verify", "--full", "--from", direct); !strings.Contains(out, "Nothing is damaged or missing") {
		t.Error(out)
	}
}

// attempt begins a promotion and kills it at its nth write; false when it ended before.
func (k *killing) attempt(n int, fault testenv.Fault) bool {
	k.t.Helper()
	url := k.bucket.URL("souk")
	victim := exec.Command(binary(k.t), "promote", "--data", k.standby, "--from", url)
	if k.running {
		r := serve(k.t, "standby", "--data", k.standby, "--addr", "127.0.0.1:0", "--from", url)
		defer r.Kill()
		victim = r.cmd
	}
	writes, killed := 0, false
	k.bucket.Choose(func(r *http.Request) testenv.Fault {
		if r.Method != http.MethodPut || killed {
			return testenv.NoFault
		}
		if writes++; writes < n {
			return testenv.NoFault
		}
		killed = true
		if victim.Process != nil {
			victim.Process.Kill()
		}
		return fault
	})
	if k.running {
		souk(k.t, "promote", "--data", k.standby)
	} else {
		victim.Run()
	}
	k.bucket.Choose(nil) // waits for a request under way
	return killed
}
