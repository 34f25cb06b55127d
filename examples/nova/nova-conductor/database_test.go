package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *database {
	t.Helper()
	db, err := openDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// saved saves an instance regardless of its task.
func saved(db *database, i rpcapi.Instance) error {
	_, err := db.save(i, nil)
	return err
}

// names returns the names of all instances in the order of the list.
func names(db *database) []string {
	var all []string
	for _, i := range db.list(func(rpcapi.Instance) bool { return true }) {
		all = append(all, i.DisplayName)
	}
	return all
}

func wantNames(t *testing.T, db *database, want ...string) {
	t.Helper()
	if got := names(db); !slices.Equal(got, want) {
		t.Errorf("it has %q, want %q", got, want)
	}
}

var (
	a = rpcapi.Instance{UUID: "2", DisplayName: "a", Host: "c1", VMState: rpcapi.Active, Flavor: rpcapi.Flavor{Name: "m1.tiny", VCPUs: 1}}
	b = rpcapi.Instance{UUID: "1", DisplayName: "b", VMState: rpcapi.Failed, Fault: "no host"}
)

// The database contains the same with and without a file. With a file, the contents are still there
// the next time.
func TestDatabase(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "db.json")} {
		t.Run(name, func(t *testing.T) {
			db := open(t, path)
			wantNames(t, db)
			do(t, db.create(b))
			do(t, db.create(a))
			do(t, db.create(a)) // once more
			wantNames(t, db, "a", "b")
			changed := a
			changed.TaskState = "migrating"
			do(t, saved(db, changed))
			if got, err := db.get(a.UUID); got != changed || err != nil {
				t.Errorf("saved: %+v, %v", got, err)
			}
			wantTask(t, db, "rebooting", "migrating")
			wantTask(t, db, "migrating", "")
			wantTask(t, db, "", "migrating")
			do(t, db.destroy(b))
			do(t, db.destroy(b))
			wantNames(t, db, "a")
			_, getErr := db.get(b.UUID)
			for what, err := range map[string]error{"get": getErr, "save": saved(db, b)} {
				if gone, ok := errors.AsType[*rpcapi.InstanceNotFound](err); !ok || gone.InstanceID != b.UUID {
					t.Errorf("%s what is not there: %v", what, err)
				}
			}
			wantNames(t, db, "a")
			if path != "" {
				if again := open(t, path); !maps.Equal(again.instances, db.instances) {
					t.Errorf("read back: %+v", again.instances)
				}
			}
		})
	}
}

// wantTask tries to save instance a if it is in a task, and then in the next task, and checks which
// attempts succeed.
func wantTask(t *testing.T, db *database, task, next string) {
	t.Helper()
	before, err := db.get(a.UUID)
	do(t, err)
	after := before
	after.TaskState = next
	want := after
	_, err = db.save(after, map[string]string{rpcapi.ExpectedTaskState: task})
	if before.TaskState != task {
		want = before
		if unexpected, ok := errors.AsType[*rpcapi.UnexpectedTaskState](err); !ok || unexpected.Actual != before.TaskState {
			t.Errorf("in the task %q, where %q was expected: %v", before.TaskState, task, err)
		}
	} else if err != nil {
		t.Error(err)
	}
	if now, err := db.get(a.UUID); now != want || err != nil {
		t.Errorf("now it is %+v, %v", now, err)
	}
}

// A caller that begins a task changes nothing else, even if its copy is outdated, and gets the
// current instance. A caller that ends the task may change other fields.
func TestTaskOfAnInstanceThatHasMoved(t *testing.T) {
	db := open(t, "")
	moved, known := a, a
	moved.Host = "c2"
	do(t, db.create(moved))
	known.TaskState, moved.TaskState = rpcapi.Rebooting, rpcapi.Rebooting
	if now, err := db.save(known, map[string]string{rpcapi.ExpectedTaskState: ""}); now != moved || err != nil {
		t.Errorf("in the task it is %+v, %v", now, err)
	}
	if now, err := db.get(a.UUID); now != moved || err != nil {
		t.Errorf("in the task it is %+v, %v", now, err)
	}
	ended := moved
	ended.TaskState, ended.Flavor.Name = "", "m1.large"
	if now, err := db.save(ended, map[string]string{rpcapi.ExpectedTaskState: rpcapi.Rebooting}); now != ended || err != nil {
		t.Errorf("after it, it is %+v, %v", now, err)
	}
}

func TestDatabaseThatIsNone(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"1":2}`} {
		path := filepath.Join(t.TempDir(), "db.json")
		do(t, os.WriteFile(path, []byte(text), 0o600))
		if db, err := openDatabase(path); err == nil {
			t.Errorf("%q is a database with %+v", text, db.instances)
		}
	}
	if _, err := openDatabase(t.TempDir()); err == nil {
		t.Error("a directory is a database")
	}
}

// A change that cannot be written has no effect.
func TestDatabaseThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.json")
	db := open(t, path)
	do(t, db.create(a))
	do(t, os.Mkdir(path+".next", 0o700)) // is in the way
	changed := a
	changed.Host = "c2"
	for what, err := range map[string]error{"create": db.create(b), "save": saved(db, changed), "destroy": db.destroy(a)} {
		if err == nil {
			t.Errorf("%s does not fail", what)
		}
	}
	for where, db := range map[string]*database{"in memory": db, "in the file": open(t, path)} {
		if got, err := db.get(a.UUID); got != a || err != nil || len(db.instances) != 1 {
			t.Errorf("%s: %+v, %v", where, db.instances, err)
		}
	}
	do(t, os.Remove(path+".next"))
	do(t, saved(db, changed))
	wantNames(t, open(t, path), "a")
}
