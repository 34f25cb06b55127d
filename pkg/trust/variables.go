package trust

// The environment variables that oslorpc.Open reads for settings that neither the program nor the
// transport URL sets. Blanks around their values are ignored. An empty variable counts as not set.
const (
	// CAVariable names the variable for Config.CA.
	CAVariable = "OSLORPC_CA"
	// CertVariable names the variable for Config.Cert.
	CertVariable = "OSLORPC_CERT"
	// KeyVariable names the variable for Config.Key.
	KeyVariable = "OSLORPC_KEY"
	// WorkloadAPIVariable names the variable for Config.WorkloadAPI.
	WorkloadAPIVariable = "OSLORPC_WORKLOAD_API"
	// ServerNameVariable names the variable for Config.ServerName.
	ServerNameVariable = "OSLORPC_SERVER_NAME"
	// IdentityVariable names the variable for Config.Identity.
	IdentityVariable = "OSLORPC_IDENTITY"
	// TokenFileVariable names the variable for Config.TokenFile.
	TokenFileVariable = "OSLORPC_TOKEN_FILE" //nolint:gosec // It is a name.
	// InsecureVariable names the variable for Config.Plaintext. Its value is true or false.
	InsecureVariable = "OSLORPC_INSECURE"
	// PolicyVariable names the variable for Config.Policy.File, the path of the policy file.
	PolicyVariable = "OSLORPC_POLICY"
	// HideVariable names the variable for Config.Hide. Its value lists one or more of failures,
	// introspection and reflection, separated by commas.
	HideVariable = "OSLORPC_HIDE"
)

// Variables returns the names of all these environment variables.
func Variables() []string {
	return []string{
		CAVariable, CertVariable, KeyVariable, WorkloadAPIVariable, ServerNameVariable, IdentityVariable, TokenFileVariable, InsecureVariable,
		PolicyVariable, HideVariable,
	}
}
