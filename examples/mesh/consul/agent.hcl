# The agent of the example, beside -dev: a mesh in which nothing is allowed that no rule allows.
connect { enabled = true }

acl {
  enabled        = true
  default_policy = "deny"
  tokens {
    # Only for a demonstration on one machine. In a real cluster, `consul acl bootstrap` makes it.
    initial_management = "5ca1ab1e-0000-4000-8000-00000000000a"
  }
}
