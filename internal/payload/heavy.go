package payload

import (
	"reflect"
	"runtime"
	"time"
)

// Encoding a large value temporarily needs several times its size in memory. So at most as many
// large values are encoded at a time as there are processors; more would not be faster.

// large has room for one element for each large value that is being encoded.
var large = make(chan struct{}, runtime.GOMAXPROCS(0))

// largeWait bounds the wait for a turn. Without it, a value whose own encoding waits for another
// large value could deadlock.
const largeWait = time.Second

// takeTurn waits until a large value may be encoded, for at most largeWait. Call end after the
// encoding.
func takeTurn() (end func()) {
	select {
	case large <- struct{}{}:
		return func() { <-large }
	default:
	}
	timer := time.NewTimer(largeWait)
	defer timer.Stop()
	select {
	case large <- struct{}{}:
		return func() { <-large }
	case <-timer.C:
		return func() {}
	}
}

// largeValue is the size, in bytes, from which a value counts as large.
const largeValue = 256 << 10

// maxWeighed is the depth down to which elements are examined for their sizes.
const maxWeighed = 3

// samples is how many elements of a collection are examined. The others count as equally large.
const samples = 4

// Weigh estimates the size of a value as JSON text, in bytes, from a few of its elements. It
// returns 0 if the value is not large.
func Weigh(v any) int {
	n := 0
	switch v := v.(type) {
	case nil, bool, int, int64, float64:
	case string:
		n = len(v)
	default:
		n = weigh(v, maxWeighed)
	}
	if n < largeValue {
		return 0
	}
	return n
}

// weigh estimates the size of a value as JSON text, in bytes. It examines elements down to the
// given depth.
func weigh(v any, depth int) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case map[string]any:
		sum, seen := 0, 0
		for _, element := range v {
			if seen == samples || depth == 0 {
				break
			}
			sum += weigh(element, depth-1)
			seen++
		}
		return scale(sum, seen, len(v))
	case []any:
		sum, seen := 0, 0
		for _, element := range v[:min(samples, len(v))] {
			if depth == 0 {
				break
			}
			sum += weigh(element, depth-1)
			seen++
		}
		return scale(sum, seen, len(v))
	default:
		return weighReflected(reflect.ValueOf(v), depth)
	}
}

// scale returns the estimated size of n elements, given that seen of them have the size sum.
func scale(sum, seen, n int) int { return sum*n/max(1, seen) + 8*n }

func weighReflected(v reflect.Value, depth int) (sum int) {
	if depth < 0 {
		return 0
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return weighReflected(v.Elem(), depth-1)
	case reflect.Struct:
		for i := range v.NumField() {
			sum += weighReflected(v.Field(i), depth-1)
		}
		return sum
	case reflect.Slice, reflect.Array:
		seen := min(samples, v.Len())
		for i := range seen {
			sum += weighReflected(v.Index(i), depth-1)
		}
		return scale(sum, seen, v.Len())
	case reflect.Map:
		seen := 0
		for entries := v.MapRange(); seen < samples && entries.Next(); seen++ {
			sum += weighReflected(entries.Value(), depth-1)
		}
		return scale(sum, seen, v.Len())
	default:
		return 8
	}
}
