package payload

import (
	"errors"
	"math"
	"math/big"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxSafe is the largest integer that a double holds and no other integer rounds to. A number beyond it in a protobuf
// value may already have been rounded by its sender.
const maxSafe = 1<<53 - 1

// writeFloat writes an integral float with a fraction, so that a reader in a language that tells 1 from 1.0 gets a
// float. Everything else, NaN included, is left to the library.
func writeFloat(enc *jsontext.Encoder, f float64, bits int) error {
	if f != math.Trunc(f) || math.Abs(f) >= 1e21 {
		return errors.ErrUnsupported
	}
	var buf [32]byte
	return enc.WriteValue(strconv.AppendFloat(buf[:0], f, 'f', 1, bits))
}

// readUntyped decides what a number becomes in an untyped Go value: int64 if it is written as an integer that fits, *big.Int if it does
// not fit, float64 if it has a fraction or an exponent. Nothing is rounded but what JSON wrote as a float.
func readUntyped(dec *jsontext.Decoder, dst *any) error {
	if dec.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	literal, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if *dst, err = number(string(literal)); err != nil {
		return err
	}
	return nil
}

func number(literal string) (any, error) {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return n, nil
	}
	if n, ok := new(big.Int).SetString(literal, 10); ok {
		return n, nil
	}
	return strconv.ParseFloat(literal, 64)
}
