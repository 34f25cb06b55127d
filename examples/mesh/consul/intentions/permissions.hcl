# The shop may call, and not cast: as a proxy would enforce it. A native service denies all of it.
Kind = "service-intentions"
Name = "oslorpc-openstack-stock"
Sources = [
  {
    Name = "shop"
    Permissions = [
      { Action = "allow", HTTP = { PathExact = "/oslorpc.v1.RPCService/Call" } },
    ]
  },
]
