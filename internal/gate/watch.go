package gate

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/policy"
)

// interval is how often the file is read. A change takes effect when two readings in a row have the
// same new content, since an editor may write a file in parts.
const interval = 500 * time.Millisecond

// reading is the result of reading a file: its text, or why it could not be read.
type reading struct{ text, problem string }

func read(path string) reading {
	text, err := policy.Read(path)
	if err != nil {
		return reading{problem: failure.Text(err)}
	}
	return reading{text: string(text)}
}

// Watch watches the policy file, and logs how many denials the audit log omits, until ctx ends.
func (g *Gate) Watch(ctx context.Context) {
	if g == nil {
		return
	}
	defer g.audit.flush(ctx)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	current := g.read
	last := current
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.audit.flush(ctx)
		if g.file == "" {
			continue
		}
		now := read(g.file)
		if now == last && now != current {
			current = now
			g.follow(now)
		}
		last = now
	}
}

// follow puts the new content of the file in force, if it is valid.
func (g *Gate) follow(now reading) {
	if now.problem == "" {
		p, err := policy.Parse(g.file, []byte(now.text))
		if err == nil {
			g.problem.Store(nil)
			g.enforce(p)
			g.log.Info("policy read", "file", g.file, "rules", len(p.Rules()), "dryrun", p.DryRun)
			return
		}
		now.problem = failure.Text(err)
	}
	g.problem.Store(&now.problem)
	g.log.Error("the policy file cannot be used, and the policy stays as it was", "file", g.file, "error", now.problem)
}
