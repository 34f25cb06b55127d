package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// SplitAddr returns the host and the port of a "host:port" address to which other processes can
// connect. An error says what is wrong with the address and what to write. It does not repeat the
// address.
func SplitAddr(addr string) (host string, port int, err error) {
	switch {
	case strings.Contains(addr, "://"):
		return "", 0, errors.New(`it is a URL: write only "host:port"`)
	case strings.ContainsFunc(addr, unicode.IsSpace):
		return "", 0, errors.New("it has a blank: remove it")
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, whyNoHostPort(addr, err)
	}
	if err := CheckHost(host); err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("the port must be a number from 1 to 65535, and is %q", text)
	}
	port = int(number)
	if canonical := net.JoinHostPort(host, strconv.Itoa(port)); canonical != addr {
		return "", 0, fmt.Errorf("other programs would read it as another address: write %q", canonical)
	}
	return host, port, nil
}

func whyNoHostPort(addr string, err error) error {
	if _, bare := netip.ParseAddr(addr); bare == nil || strings.Count(addr, ":") > 1 && !strings.Contains(addr, "[") {
		return errors.New(`it has too many colons: write an IPv6 address in brackets, as in "[::1]:7000"`)
	}
	if of, ok := errors.AsType[*net.AddrError](err); ok {
		return fmt.Errorf(`%s: write "host:port"`, of.Err)
	}
	return err
}

// CheckHost returns an error if other processes cannot connect to a host: it must be a name or a
// specific IP address.
func CheckHost(host string) error {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && !ip.IsUnspecified():
		return nil
	case host == "" || err == nil:
		return errors.New("others cannot connect to an unspecified host: write the name or the address of one that they can reach")
	case strings.ContainsFunc(host, unicode.IsSpace):
		return errors.New("it has a blank: remove it")
	case strings.ContainsAny(host, ":/=%?#[]@,") || strings.ContainsFunc(host, unicode.IsControl):
		return fmt.Errorf("%q is not a host: write a name or an IP address", host)
	default:
		return nil
	}
}
