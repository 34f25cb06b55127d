package cli

import (
	"strconv"
	"time"
)

// Timeout is the value of a flag for a timeout.
type Timeout time.Duration

// Set parses the value.
func (t *Timeout) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return complaint("needs a unit: write " + text + "s")
	case err != nil:
		return complaint("is not a time: write a number and a unit, such as 500ms or 5s")
	case d <= 0:
		return complaint("is too short: write a time above zero")
	}
	*t = Timeout(d)
	return nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// String returns the value for the help, empty if there is none.
func (t *Timeout) String() string {
	if *t == 0 {
		return ""
	}
	return time.Duration(*t).String()
}

// Type names the values in the help.
func (*Timeout) Type() string { return "duration" }
