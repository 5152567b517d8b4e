package replica

import (
	"os"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.InMemory(m)) }
