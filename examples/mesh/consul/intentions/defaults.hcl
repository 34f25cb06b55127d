# Consul takes permissions only for a service that speaks HTTP.
Kind     = "service-defaults"
Name     = "oslorpc-openstack-stock"
Protocol = "grpc"
