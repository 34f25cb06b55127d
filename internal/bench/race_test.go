//go:build race

package main

// race is true with the race detector. With it, pools drop some of their objects.
const race = true
