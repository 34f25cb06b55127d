package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/hashicorp/consul/api"
)

// Consul removes services that the ACL token may not read from lists, so an empty list does not
// prove that there are no services. A header says whether a list was filtered, but not to callers
// without a token. For the list of all names the header is nearly always set, since hardly any
// token may read everything. So an empty list is accepted only after a check that no permission is
// missing.

// errHidden means that the ACL token lacks permission to read the services.
var errHidden = errors.New("the ACL token, or its absence, hides services or the nodes that they are on: give a token that may read both, " +
	"in the URL's consul-token-file or in CONSUL_HTTP_TOKEN")

// mayHide reports whether a list may have been filtered.
func mayHide(meta *api.QueryMeta) bool {
	return meta.ResultsFilteredByACLs || meta.DefaultACLPolicy == "deny"
}

// mustRead returns errHidden if the token may not read services of this name.
func (c *client) mustRead(ctx context.Context, name string) error {
	may, err := c.mayRead(ctx, name)
	if err == nil && !may {
		return errHidden
	}
	return err
}

// mustSee returns errHidden if the list of the services of this name may be empty only because the
// token may not read them, or their nodes. Meta describes the answer with the list.
func (c *client) mustSee(ctx context.Context, name string, meta *api.QueryMeta) error {
	if meta.ResultsFilteredByACLs {
		return errHidden
	}
	if err := c.mustRead(ctx, name); err != nil {
		return err
	}
	if !c.anonymous {
		return nil
	}
	// Perhaps only the nodes are hidden. The list of names does not depend on nodes: if it has the
	// name, there are services.
	names, _, err := c.api.Catalog().Services(c.readOptions(ctx))
	if _, is := names[name]; err != nil || !is {
		return err
	}
	again, _, err := c.api.Health().Service(name, "", false, c.readOptions(ctx))
	if err == nil && len(again) == 0 {
		return errHidden
	}
	return err
}

func (c *client) readOptions(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{Datacenter: c.dc}).WithContext(ctx)
}

// mayRead asks Consul whether the token may read services of this name. It returns true if the
// agent does not support the question.
func (c *client) mayRead(ctx context.Context, name string) (bool, error) {
	question, err := json.Marshal([]map[string]string{{"Resource": "service", "Access": "read", "Segment": name}})
	if err != nil {
		return false, err
	}
	target := c.guard.scheme + "://" + c.agents.addrs[0] + "/v1/internal/acl/authorize"
	if c.dc != "" {
		target += "?dc=" + url.QueryEscape(c.dc)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(question))
	if err != nil {
		return false, err
	}
	answer, err := c.reads.Do(request)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return true, nil
	}
	var permissions []struct{ Allow bool }
	if err := json.NewDecoder(answer.Body).Decode(&permissions); err != nil {
		return false, err
	}
	return len(permissions) != 1 || permissions[0].Allow, nil
}

// drain reads the rest of a short answer, so that the connection can be reused.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 64<<10) }
