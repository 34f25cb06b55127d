package workload

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
