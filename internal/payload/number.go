package payload

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxSafe is the largest integer to which no other integer rounds in a double. A larger number
	// in a protobuf value may have been rounded by its sender.
	maxSafe = 1<<53 - 1
	// maxDigits bounds the digits of a parsed integer, as in Python: the time to parse one grows
	// with the square of its length.
	maxDigits = 4300
)

// writeFloat writes an integral float with a fraction, so that a peer in a language that
// distinguishes 1 from 1.0 gets a float. It leaves all other cases to the library: NaN, and values
// that must be strings, such as the keys of a map.
func writeFloat(enc *jsontext.Encoder, f float64, bits int) error {
	if !isIntegral(f) {
		return errors.ErrUnsupported
	}
	if kind, n := enc.StackIndex(enc.StackDepth()); kind == '{' && n%2 == 0 {
		return errors.ErrUnsupported
	}
	if quoted, _ := json.GetOption(enc.Options(), json.StringifyNumbers); quoted {
		return errors.ErrUnsupported
	}
	return writeIntegral(enc, f, bits)
}

// isIntegral reports whether a float is integral and small enough to be written without an
// exponent.
func isIntegral(f float64) bool { return f == math.Trunc(f) && math.Abs(f) < 1e21 }

func writeIntegral(enc *jsontext.Encoder, f float64, bits int) error {
	var buf [32]byte
	return enc.WriteValue(strconv.AppendFloat(buf[:0], f, 'f', 1, bits))
}

// number returns a parsed number for an untyped Go value: an int64 if it is written as an integer
// that fits, a *big.Int if it does not fit, and a float64 if it has a fraction or an exponent. Only
// numbers that JSON writes as floats are rounded.
func number(dec *jsontext.Decoder, literal string) (any, error) {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return n, nil
	}
	if isInteger(literal) {
		n := new(big.Int)
		return n, setBig(dec, n, literal)
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return nil, numberError[float64](dec, strconv.ErrRange)
	}
	return f, nil
}

// readBig parses a *big.Int. The library would parse one of any size.
func readBig(dec *jsontext.Decoder, n *big.Int) error {
	switch dec.PeekKind() {
	case '0':
	case '"', 't', 'f', '[', '{':
		return &json.SemanticError{JSONPointer: dec.StackPointer(), JSONKind: dec.PeekKind(), GoType: reflect.TypeFor[big.Int]()}
	default: // null, for which the library has a rule, or malformed text
		return errors.ErrUnsupported
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	literal := tok.String()
	if !isInteger(literal) {
		return numberError[big.Int](dec, strconv.ErrSyntax)
	}
	return setBig(dec, n, literal)
}

func setBig(dec *jsontext.Decoder, n *big.Int, literal string) error {
	if len(literal) > maxDigits {
		return numberError[big.Int](dec, reason(fmt.Sprintf("an integer may have at most %d digits", maxDigits)))
	}
	n.SetString(literal, 10)
	return nil
}

// isInteger reports whether a JSON number is written as an integer.
func isInteger(literal string) bool { return !strings.ContainsAny(literal, ".eE") }

// numberError returns an error about the number that was just parsed for a T.
func numberError[T any](dec *jsontext.Decoder, why error) error {
	return &json.SemanticError{JSONPointer: dec.StackPointer(), JSONKind: '0', GoType: reflect.TypeFor[T](), Err: why}
}
