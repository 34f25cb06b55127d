//go:build race

package main

// race is true with the race detector, with which pools forget some of what they have.
const race = true
