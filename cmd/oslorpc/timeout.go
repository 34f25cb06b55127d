package main

import (
	"errors"
	"time"
)

// timeout is the value of a flag: how long something may take.
type timeout time.Duration

// Set reads the value.
func (t *timeout) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("write a number and a unit, such as 500ms or 5s")
	case d <= 0:
		return errors.New("write a time above zero")
	}
	*t = timeout(d)
	return nil
}

// String returns the value for the help; nothing if there is none.
func (t *timeout) String() string {
	if *t == 0 {
		return ""
	}
	return time.Duration(*t).String()
}

// Type names the values in the help.
func (*timeout) Type() string { return "duration" }
