# Nothing may send to the topic stock.
Kind = "service-intentions"
Name = "oslorpc-openstack-stock"
Sources = [
  { Name = "*", Action = "deny" },
]
