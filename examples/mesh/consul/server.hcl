# A Consul server for production, beside what every cluster needs: bootstrap_expect, retry_join,
# encrypt. `consul validate consul/server.hcl` checks it.
server     = true
datacenter = "dc1"
data_dir   = "/opt/consul"

connect { enabled = true }

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

# Each process of a mesh waits with two questions at its agent, beside those of discovery.
limits { http_max_conns_per_client = 1000 }

# The agents' own connections have TLS, and clients of the API prove nothing but their token.
auto_encrypt { allow_tls = true }
tls {
  defaults {
    ca_file         = "/etc/consul.d/ca.pem"
    cert_file       = "/etc/consul.d/server.pem"
    key_file        = "/etc/consul.d/server-key.pem"
    verify_incoming = true
    verify_outgoing = true
  }
  internal_rpc { verify_server_hostname = true }
}
