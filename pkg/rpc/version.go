package rpc

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of an interface. The zero value is 0.0. An absent version means
// [DefaultVersion].
type Version struct {
	// Major changes when a version is not compatible with the previous one.
	Major uint32
	// Minor rises when a compatible version adds something.
	Minor uint32
	// Revision rises when a version adds something within the same minor version. It is usually 0.
	Revision uint32
}

// DefaultVersion is the version of a message or an endpoint that gives none.
var DefaultVersion = Version{Major: 1}

// ParseVersion reads "major.minor" or "major.minor.revision": decimal numbers below 2^32, without
// sign, space or superfluous leading zeros. oslo.messaging is less strict, and checks a version
// only when it compares it.
func ParseVersion(s string) (Version, error) {
	var v Version
	parts := [3]*uint32{&v.Major, &v.Minor, &v.Revision}
	rest, n := s, 0
	for more := true; more; n++ {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		if n == len(parts) || !decimal(part) {
			return Version{}, badVersion(s)
		}
		number, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return Version{}, badVersion(s)
		}
		*parts[n] = uint32(number)
	}
	if n < 2 {
		return Version{}, badVersion(s)
	}
	return v, nil
}

// VersionOrDefault is ParseVersion, with [DefaultVersion] for the empty string.
func VersionOrDefault(s string) (Version, error) {
	if s == "" {
		return DefaultVersion, nil
	}
	return ParseVersion(s)
}

func decimal(s string) bool {
	if s == "" || (len(s) > 1 && s[0] == '0') {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func badVersion(s string) error {
	return fmt.Errorf(`version %s is malformed: write "major.minor" or "major.minor.revision", such as "1.4", `+
		"in decimal numbers below 2^32 without leading zeros", quote(s))
}

// String formats the version for ParseVersion, as "major.minor", or as "major.minor.revision" if
// the revision is not 0.
func (v Version) String() string {
	if v.Major < fewVersions && v.Minor < fewVersions && v.Revision == 0 {
		return texts[v.Major][v.Minor]
	}
	return v.format()
}

// texts are the texts of small versions, which are the most common, so that String need not build
// them.
var texts = func() (t [fewVersions][fewVersions]string) {
	for major := range t {
		for minor := range t[major] {
			t[major][minor] = Version{Major: uint32(major), Minor: uint32(minor)}.format()
		}
	}
	return t
}()

const fewVersions = 16

func (v Version) format() string {
	s := strconv.FormatUint(uint64(v.Major), 10) + "." + strconv.FormatUint(uint64(v.Minor), 10)
	if v.Revision != 0 {
		s += "." + strconv.FormatUint(uint64(v.Revision), 10)
	}
	return s
}

// Serves reports whether an interface of version v can serve a message that asks for requested. The
// major versions must be equal, and the requested minor version must not be later. Revisions count
// only when the minor versions are equal. (oslo.messaging: version_is_compatible.)
func (v Version) Serves(requested Version) bool {
	switch {
	case v.Major != requested.Major:
		return false
	case v.Minor != requested.Minor:
		return v.Minor > requested.Minor
	default:
		return v.Revision >= requested.Revision
	}
}

// Compare orders versions numerically: negative if v is earlier than w, zero if they are equal,
// positive if it is later.
func (v Version) Compare(w Version) int {
	for _, pair := range [3][2]uint32{{v.Major, w.Major}, {v.Minor, w.Minor}, {v.Revision, w.Revision}} {
		switch {
		case pair[0] < pair[1]:
			return -1
		case pair[0] > pair[1]:
			return 1
		}
	}
	return 0
}
