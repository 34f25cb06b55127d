package intruder

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, "../../cmd/oslorpc") }
