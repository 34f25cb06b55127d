package serve

import (
	"github.com/spf13/pflag"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/trust/jwt"
)

func (s *serving) addTokenFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.tokens.Keys, "token-keys", "", "`file` with the public keys of the issuer of callers' tokens: a JSON Web Key Set or PEM")
	flags.StringVar(&s.tokens.Issuer, "token-issuer", "", "`name` of the issuer of callers' tokens")
	flags.StringVar(&s.tokens.Audience, "token-audience", "", "`name` of the audience that callers' tokens must be for")
}

// verifyTokens configures the verification of tokens if the flags request it.
func (s *serving) verifyTokens(p *cli.Program) error {
	c := s.tokens
	if c == (jwt.Config{}) {
		return nil
	}
	if c.Keys == "" || c.Issuer == "" || c.Audience == "" {
		return cli.Usage("--token-keys, --token-issuer and --token-audience are needed together")
	}
	v, err := jwt.Open(c)
	if err != nil {
		return cli.Usage("--token-keys: %v", err)
	}
	p.Trust.Tokens = v
	return nil
}
