package trust

// The environment variables that oslorpc.Open reads for what neither the program nor the transport
// URL sets. Blanks at their beginning and end are ignored, and an empty one is as if it were not
// set.
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
	// InsecureVariable is true for Config.Plaintext, or false.
	InsecureVariable = "OSLORPC_INSECURE"
	// PolicyVariable has the path of the policy file, Config.Policy.File.
	PolicyVariable = "OSLORPC_POLICY"
	// HideVariable has the names of what Config.Hide hides: failures, introspection and reflection,
	// with commas between them.
	HideVariable = "OSLORPC_HIDE"
)

// Variables returns the names of all of these environment variables.
func Variables() []string {
	return []string{
		CAVariable, CertVariable, KeyVariable, WorkloadAPIVariable, ServerNameVariable, IdentityVariable, TokenFileVariable, InsecureVariable,
		PolicyVariable, HideVariable,
	}
}
