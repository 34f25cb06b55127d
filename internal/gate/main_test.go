package gate

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
)

func TestMain(m *testing.M) { anycarrier.Main(m) }
