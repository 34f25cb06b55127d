package trust

// The environment variables that oslorpc.Open reads for settings that neither the program nor the
// transport URL sets. Blanks around their values are ignored. An empty variable counts as not set.
const (
	// CAVariable has the path of Config.CA.
	CAVariable = "OSLORPC_CA"
	// CertVariable has the path of Config.Cert.
	CertVariable = "OSLORPC_CERT"
	// KeyVariable has the path of Config.Key.
	KeyVariable = "OSLORPC_KEY"
	// WorkloadAPIVariable has Config.WorkloadAPI.
	WorkloadAPIVariable = "OSLORPC_WORKLOAD_API"
	// ServerNameVariable has Config.ServerName.
	ServerNameVariable = "OSLORPC_SERVER_NAME"
	// IdentityVariable has the template of Config.Identity.
	IdentityVariable = "OSLORPC_IDENTITY"
	// TokenFileVariable has the path of Config.TokenFile.
	TokenFileVariable = "OSLORPC_TOKEN_FILE" //nolint:gosec // It is a name.
	// InsecureVariable is the value of Config.Plaintext: true or false.
	InsecureVariable = "OSLORPC_INSECURE"
	// PolicyVariable has the path of the policy file, Config.Policy.File.
	PolicyVariable = "OSLORPC_POLICY"
	// HideVariable lists what Config.Hide hides: failures, introspection and reflection, separated by
	// commas.
	HideVariable = "OSLORPC_HIDE"
)

// Variables returns the names of all these environment variables.
func Variables() []string {
	return []string{
		CAVariable, CertVariable, KeyVariable, WorkloadAPIVariable, ServerNameVariable, IdentityVariable, TokenFileVariable, InsecureVariable,
		PolicyVariable, HideVariable,
	}
}
