package intruder

import (
	"crypto/x509"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/tlstest"
)

// TestNames has an attacker that uses names that look like others.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "topics", wants: "pass a message off as one to a topic that it may use", do: topics},
		{name: "exchanges", wants: "leave the exchange out, or name one, to slip past a rule with an exchange", do: exchanges, may: []string{"quote"}},
		{name: "methods", wants: "name a method such that the gate and the server read different names", do: methods},
		{name: "namespaces", wants: "reach an interface by another spelling of its namespace", do: namespaces},
		{name: "fanout", wants: "have one server spread its message", do: fanoutTarget},
	} {
		t.Run(a.name, a.play)
	}
}

// wantNoRun fails unless a message was denied, or refused because its target is malformed. It
// returns the number of denials.
func wantNoRun(t *testing.T, what string, err error) int {
	t.Helper()
	switch status.Code(err) {
	case codes.PermissionDenied:
		wantDenied(t, what, err)
		return 1
	case codes.InvalidArgument, codes.Internal: // Internal: the name is not UTF-8
		return 0
	default:
		t.Errorf("%s: got %v", what, err)
		return 0
	}
}

func topics(t *testing.T, f *fleet) (denials int) {
	conn := f.dial(t, "payments-1")
	for _, topic := range []string{
		"Payments", "PAYMENTS", "payments.", ".payments", "payments ", " payments", "payments\x00", "payments\t", "payments/", "openstack/payments",
		"ｐａｙｍｅｎｔｓ", "рayments", "pay\u200bments", "payments\u202e", "*", "pay*", "payments,printers", "%70ayments", "payments\xff",
	} {
		m := message("quote")
		m.Target.Topic = &topic
		denials += wantNoRun(t, topic, forms["Call"](soon(t), conn, m))
	}
	if denials < 8 {
		t.Errorf("only %d were denied", denials)
	}
	return denials
}

func exchanges(t *testing.T, f *fleet) (denials int) {
	conn := f.dial(t, "payments-1")
	for _, exchange := range []string{"openstack", "OpenStack", "other", "*", "openstack ", "openstack/", "nova"} {
		for _, method := range []string{"transfer", "quote"} {
			m := message(method)
			m.Target.Exchange = &exchange
			err := forms["Call"](soon(t), conn, m)
			if method == "quote" && exchange == "openstack" {
				if err != nil {
					t.Errorf("the default exchange by its name: %v", err)
				}
				continue
			}
			denials += wantNoRun(t, exchange, err)
		}
	}
	return denials
}

func methods(t *testing.T, f *fleet) (denials int) {
	conn := f.dial(t, "payments-1")
	for _, method := range []string{
		"Transfer", "TRANSFER", "transfer ", " transfer", "quote/../transfer", "quote.transfer", "transfer.quote", "payments.transfer", "/transfer",
		"payments/transfer", "quote\x00transfer", "quote\ntransfer", "quote,transfer", "ｔransfer", "trans\u00adfer", "trans\u200bfer", "Quote", "quote ", "*",
		"volumes.CreateVolume", "typedtest.v1.InventoryService/CreateVolume", "_transfer", "quote;transfer", "%74ransfer",
	} {
		for form, send := range forms {
			denials += wantNoRun(t, form+" "+method, send(soon(t), conn, message(method)))
		}
	}
	return min(denials, 50)
}

func namespaces(t *testing.T, f *fleet) (denials int) {
	conn := f.dial(t, "payments-1")
	for _, namespace := range []string{"", " ", "Volumes", "volumes ", "volumes.", "null", "typedtest.v1.InventoryService", "\x00", "*"} {
		for _, method := range []string{"CreateVolume", "transfer"} {
			m := message(method)
			m.Target.Namespace = &namespace
			denials += wantNoRun(t, namespace, forms["Call"](soon(t), conn, m))
		}
	}
	return denials
}

func fanoutTarget(t *testing.T, f *fleet) (denials int) {
	conn := f.dial(t, "payments-1")
	for form, send := range forms {
		m := message("report")
		m.Target.Fanout = new(true)
		denials += wantNoRun(t, form, send(soon(t), conn, m))
	}
	return denials
}

// TestCertificatesThatNameOthers has an authority that certifies every request, and an attacker
// whose certificate almost names another server. The servers never take the attacker for the other
// one.
func TestCertificatesThatNameOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for name, subject := range map[string]tlstest.Subject{
		"a slash behind":          {URIs: []string{clerk + "/"}},
		"another case":            {URIs: []string{"spiffe://cloud/user/Clerk"}},
		"another domain":          {URIs: []string{"spiffe://cloud.example/user/clerk"}},
		"a user of the domain":    {URIs: []string{"spiffe://x@cloud/user/clerk"}},
		"a port":                  {URIs: []string{"spiffe://cloud:1/user/clerk"}},
		"an escaped slash":        {URIs: []string{"spiffe://cloud/user%2Fclerk"}},
		"dots":                    {URIs: []string{"spiffe://cloud/user/../user/clerk"}},
		"a query":                 {URIs: []string{clerk + "?x"}},
		"a fragment":              {URIs: []string{"spiffe://cloud/user/#/clerk"}},
		"another scheme":          {URIs: []string{"https://cloud/user/clerk"}},
		"no URI but a DNS name":   {DNS: []string{"cloud"}, CommonName: clerk},
		"a common name":           {CommonName: clerk},
		"a URI as a DNS name":     {URIs: []string{"dns:a.hosts.example"}},
		"a URI as a DNS name, 2":  {URIs: []string{"DNS:a.hosts.example"}},
		"a URI as a user":         {URIs: []string{"user:0"}},
		"a URI as a token":        {URIs: []string{"token:https://issuer.example/robot"}},
		"a URI as an address":     {URIs: []string{"ip:127.0.0.1"}},
		"two labels":              {DNS: []string{"a.b.hosts.example"}},
		"a suffix":                {DNS: []string{"a.hosts.example.evil.example"}},
		"no label":                {DNS: []string{"hosts.example"}},
		"a certificate of a host": {IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
	} {
		files := f.authority.Issue(subject).Write(t.TempDir())
		err := forms["Call"](soon(t), dialAt(t, f.instance("payments-1").Addr, files), message("transfer"))
		wantDenied(t, name, err)
	}
	denied := 0
	for _, l := range f.log.lines(t) {
		if l.Audit.Verdict == "denied" && l.Audit.Identity != "" && l.Audit.Address != "" {
			denied++
		}
	}
	if denied < 21 {
		t.Errorf("the audit log has %d denials:\n%s", denied, &f.log)
	}
	f.checkServes(t)
}

// TestCertificatesForServersOnly checks that such certificates do not authenticate clients.
func TestCertificatesForServersOnly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	files := f.authority.Issue(tlstest.Subject{URIs: []string{clerk}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).Write(t.TempDir())
	if err := forms["Call"](soon(t), dialAt(t, f.instance("payments-1").Addr, files), message("transfer")); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	f.log.wantHandshakes(t, 1)
	f.checkServes(t)
}
