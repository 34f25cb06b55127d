# The shop may send to the topic stock. What it may send there, the policy of the servers says.
Kind = "service-intentions"
Name = "oslorpc-openstack-stock"
Sources = [
  { Name = "shop", Action = "allow" },
  { Name = "*", Action = "deny" },
]
