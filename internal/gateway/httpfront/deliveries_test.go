package httpfront_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func (a answer) check(t *testing.T, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, body)
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a", "b"}, nil)
	f.post(t, "/v1/call/volumes/create", `{"name": "root", "size": 9007199254740993}`).check(t, 200, `{"name":"root","size":9007199254740993}`)
	f.post(t, "/v1/call/volumes/whoami?server=b", "").check(t, 200, `"b"`)
	f.post(t, "/v1/call/volumes/whoami?server=a&version=1.3&timeout=5s&exchange=openstack", "{}").check(t, 200, `"a"`)
	f.post(t, "/v1/call/volumes/old?namespace=legacy&version=2.0", "").check(t, 200, `"old"`)
	f.post(t, "/v1/call/volumes/note?order_key=k", "").check(t, 200, `null`)
}

// TestTextIsUntouched checks that neither the arguments nor the result are decoded on the way.
func TestTextIsUntouched(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	for _, text := range []string{`{"n":170141183460469231731687303715884105728}`, `{"n":1.0}`, `{"n":1e400,"s":"\u00e9\ud83d\ude00"}`, `{"b":[],"a":{}}`} {
		f.post(t, "/v1/call/volumes/echo", text).check(t, 200, text)
	}
}

func TestCurlNeedsNoContentType(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/json; charset=utf-8"} {
		f.post(t, "/v1/call/volumes/echo", `{"a":1}`, "Content-Type", kind).check(t, 200, `{"a":1}`)
	}
}

func TestRequestContextAndTrace(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f.post(t, "/v1/call/volumes/user", "", "Oslorpc-Context", `{"user":"alice"}`, "Traceparent", trace).
		check(t, 200, `{"context":{"user":"alice"},"trace":"`+trace+`"}`)
}

func TestCast(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a", "b"}, nil)
	f.post(t, "/v1/cast/volumes/note?server=b", "").check(t, 202, "")
	if got := <-f.casts; got != "b" {
		t.Errorf("server %s got the cast", got)
	}
}

func TestFanout(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"b", "a"}, nil)
	f.post(t, "/v1/fanout/volumes/note", "").check(t, 200, `{"accepted":["a","b"],"failed":[]}`)
	got := []string{<-f.casts, <-f.casts}
	if slices.Sort(got); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the servers %v got it", got)
	}
	skipped := f.post(t, "/v1/fanout/volumes/note?version=1.9&timeout=1s", "")
	if !strings.Contains(skipped.body, `"accepted":[],"failed":[{"server":"a","skipped":true,`) || !strings.Contains(skipped.body, `"kind":"UnsupportedVersion"`) {
		t.Errorf("got %d %s", skipped.status, skipped.body)
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a", "b"}, nil)
	var all struct {
		Replies []struct {
			Server string
			Result any
			Error  *problem
		}
	}
	got := f.post(t, "/v1/gather/volumes/whoami", "")
	if err := json.Unmarshal([]byte(got.body), &all); err != nil || len(all.Replies) != 2 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for _, r := range all.Replies {
		if r.Result != r.Server {
			t.Errorf("server %s answered %v", r.Server, r.Result)
		}
	}
	if got := f.post(t, "/v1/gather/volumes/nosuch", "").body; strings.Count(got, `"skipped":true,"error":{"type":"urn:oslorpc:error:NoSuchMethod"`) != 2 {
		t.Errorf("got %s", got)
	}
	lines := strings.Split(f.post(t, "/v1/gather/volumes/fail", "", "Accept", "application/x-ndjson").body, "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"kind":"Remote"`) || lines[2] != `{"end":{"replies":2}}` {
		t.Errorf("got %q", lines)
	}
}

func TestMulticall(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	got := f.post(t, "/v1/multicall/volumes/list", `{"Count":2}`)
	got.check(t, 200, `{"item":{"name":"a","size":0}}`+"\n"+`{"item":{"name":"a","size":1}}`+"\n"+`{"end":{"items":2}}`+"\n")
	if kind := got.header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("the type is %s", kind)
	}
	got = f.post(t, "/v1/multicall/volumes/list", `{"Count":1}`, "Accept", "text/event-stream")
	got.check(t, 200, "event: item\ndata: {\"name\":\"a\",\"size\":0}\n\nevent: end\ndata: {\"items\":1}\n\n")
	f.post(t, "/v1/multicall/volumes/list", `{"Count":0}`).check(t, 200, `{"end":{"items":0}}`+"\n")
	f.post(t, "/v1/multicall/volumes/whoami", "").check(t, 200, `{"item":"a"}`+"\n"+`{"end":{"items":1}}`+"\n")
}

// TestMulticallThatFails checks that a stream that was cut does not look complete.
func TestMulticallThatFails(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	lines := strings.Split(f.post(t, "/v1/multicall/volumes/list", `{"Count":1,"Fail":true}`).body, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], `{"error":{`) || !strings.Contains(lines[1], "the list is broken") {
		t.Errorf("got %q", lines)
	}
	first := f.post(t, "/v1/multicall/volumes/list", `{"Count":0,"Fail":true}`)
	if p := first.problem(t); first.status != 500 || p.Kind != "Remote" || p.Remote.Message != "the list is broken" {
		t.Errorf("got %d %s", first.status, first.body)
	}
}

// TestClientThatLeaves checks that a method is canceled when the client closes the connection.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	for _, path := range []string{"/v1/call/volumes/hang", "/v1/multicall/volumes/list"} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.http+path, strings.NewReader(`{}`))
		if strings.HasPrefix(path, "/v1/multicall") {
			r, err = http.NewRequestWithContext(ctx, http.MethodPost, f.http+path, strings.NewReader(`{"Count":1,"Hang":true}`))
		}
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return
			}
			defer func() { _ = response.Body.Close() }()
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
				continue
			}
		}()
		<-f.running
		leave()
		<-f.canceled
		<-ended
	}
}
